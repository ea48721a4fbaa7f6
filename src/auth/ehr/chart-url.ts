/**
 * Addresses of charts in an EHR: a template of the organization's with places for identifiers, filled in for one patient. Pure.
 * The form is a small part of URI templates. @see https://www.rfc-editor.org/rfc/rfc6570#section-1.2
 */
import type { Identifier, Organization } from '@medplum/fhirtypes';

/** The extension of Organization that holds the template. */
export const CHART_TEMPLATE = 'https://kairos.example/fhir/StructureDefinition/chart-url-template';

const MAX_LENGTH = 2000;
/** Scheme, host and port: nothing may be filled in there, nor a user name be written. */
const ORIGIN = /^https:\/\/(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?=[/?#]|$)/;
/** What may stand between the places. */
const LITERAL = /^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]*$/;
const PLACE = /\{([^{}]*)\}/g;

/** Where the value of a place comes from. */
type Place =
  | { readonly kind: 'patientId' | 'encounterId' }
  | { readonly kind: 'identifier' | 'encounterIdentifier'; readonly system: string };

export interface ChartTemplate {
  readonly text: string;
  /** Scheme, host and port. */
  readonly origin: string;
  /** Literals and places in turn. */
  readonly parts: readonly (string | Place)[];
}

/** What a template is filled in with. */
export interface ChartSubject {
  readonly id?: string | undefined;
  readonly identifier?: readonly Identifier[] | undefined;
}

function parsePlace(text: string): Place | undefined {
  if (text === 'patientId' || text === 'encounterId') return { kind: text };
  const bar = text.indexOf('|');
  const [kind, system] = bar < 0 ? ['', ''] : [text.slice(0, bar), text.slice(bar + 1)];
  if ((kind === 'identifier' || kind === 'encounterIdentifier') && /^\S+$/.test(system)) return { kind, system };
  return undefined;
}

/** A path that browsers would shorten leads elsewhere than the template says. */
const hasDotSegment = (url: string): boolean =>
  (url.split(/[?#]/)[0] ?? '').split(/[/\\]/).some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment));

/** @returns the template, or what is wrong with it as the end of a sentence that begins "The template" */
export function parseChartTemplate(text: string): ChartTemplate | string {
  if (text.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
  const origin = ORIGIN.exec(text)?.[0];
  if (origin === undefined)
    return 'must begin with https:// and a host, without user name, and with nothing to fill in before the path';
  const parts: (string | Place)[] = [];
  let from = 0;
  for (const found of text.matchAll(PLACE)) {
    const place = parsePlace(found[1] ?? '');
    if (!place)
      return `has an unknown place ${found[0].slice(0, 80)}: use {patientId}, {encounterId}, {identifier|system} or {encounterIdentifier|system}`;
    parts.push(text.slice(from, found.index), place);
    from = found.index + found[0].length;
  }
  parts.push(text.slice(from));
  const literals = parts.filter((p) => typeof p === 'string');
  if (literals.some((l) => !LITERAL.test(l) || /%(?![0-9A-Fa-f]{2})/.test(l)))
    return 'has a character that no URL holds as it is: percent-encode it';
  if (hasDotSegment(literals.join('x'))) return 'has . or .. in its path: write the path out';
  if (!URL.canParse(literals.join('x'))) return 'is no URL';
  return { text, origin, parts };
}

/** The value that is in use: an official one before others, never an old one. */
function identifierOf(subject: ChartSubject | undefined, system: string): string | undefined {
  const current = (subject?.identifier ?? []).filter(
    (i) => i.system === system && i.use !== 'old' && i.value !== undefined && i.value !== '',
  );
  return (current.find((i) => i.use === 'official') ?? current[0])?.value;
}

const encode = (value: string): string =>
  encodeURIComponent(value.toWellFormed()).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

function valueOf(place: Place, patient: ChartSubject, encounter: ChartSubject | undefined): string | undefined {
  switch (place.kind) {
    case 'patientId':
      return patient.id;
    case 'encounterId':
      return encounter?.id;
    case 'identifier':
      return identifierOf(patient, place.system);
    case 'encounterIdentifier':
      return identifierOf(encounter, place.system);
    default:
      return place satisfies never;
  }
}

const printPlace = (place: Place): string => ('system' in place ? `${place.kind}|${place.system}` : place.kind);

/** The address, or which place has no value that can stand there. */
export function chartUrl(
  template: ChartTemplate,
  patient: ChartSubject,
  encounter?: ChartSubject,
): { readonly url: string } | { readonly missing: string } {
  let url = '';
  for (const part of template.parts) {
    if (typeof part === 'string') {
      url += part;
      continue;
    }
    const value = valueOf(part, patient, encounter);
    if (value === undefined || value === '') return { missing: printPlace(part) };
    url += encode(value);
    // A value that is dots alone would lead up the path.
    if (hasDotSegment(url) && /^\.{1,2}$/.test(value)) return { missing: printPlace(part) };
  }
  if (hasDotSegment(url) || new URL(url).origin !== new URL(template.origin).origin) return { missing: 'path' };
  return { url };
}

/** The text of an organization's template; undefined: it has none. */
export const chartTemplateOf = (organization: Pick<Organization, 'extension'>): string | undefined =>
  organization.extension?.find((e) => e.url === CHART_TEMPLATE)?.valueString;
