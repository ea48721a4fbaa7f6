/**
 * Links between the entries of a transaction: each fullUrl is replaced by the address that its resource gets.
 * @see https://hl7.org/fhir/R4/http.html#trules
 */
import type { Definitions } from '../definitions/registry.ts';
import { DIGITS } from '../json.ts';
import { relativeToBase } from '../own-base.ts';

/** Element types that hold a link. */
const LINK_TYPES: ReadonlySet<string> = new Set(['uri', 'url', 'oid', 'uuid', 'canonical']);
const CONDITIONAL = /^[A-Z][A-Za-z]+\?/;

/** Steps from the resource down to a value. */
interface Place {
  readonly parent: Place | undefined;
  readonly key: string;
  readonly holder: object;
}

/** Whether the element at a place is of a type that holds links. Asked only where the text is that of a known link. */
function isLink(definitions: Definitions, place: Place): boolean {
  if (place.key === 'reference') return true;
  const path: Place[] = [];
  for (let p: Place | undefined = place; p; p = p.parent) path.unshift(p);
  let type: string | undefined;
  for (const { holder, key } of path) {
    const { resourceType } = holder as { resourceType?: unknown };
    if (typeof resourceType === 'string') type = resourceType;
    const found = type === undefined ? undefined : definitions.element(type, key);
    type = found?.def.backbone ?? found?.type;
  }
  return type !== undefined && LINK_TYPES.has(type);
}

const NARRATIVE_LINK = /\b(href|src)="([^"]+)"/g;

type Resolve = (link: string) => string | undefined;

function rewriteValue(definitions: Definitions, value: unknown, resolve: Resolve, place: Place | undefined): unknown {
  if (typeof value === 'string') {
    if (!place) return value;
    if (place.key === 'div') {
      return value.replace(NARRATIVE_LINK, (all, attribute: string, link: string) => {
        const target = resolve(link);
        return target === undefined ? all : `${attribute}="${target}"`;
      });
    }
    const target = resolve(value);
    return target !== undefined && isLink(definitions, place) ? target : value;
  }
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    let changed: unknown[] | undefined;
    for (const [i, item] of value.entries()) {
      const next = rewriteValue(definitions, item, resolve, place);
      if (next !== item) (changed ??= [...(value as unknown[])])[i] = next;
    }
    const digits = (value as unknown as Record<symbol, unknown>)[DIGITS];
    return changed && digits ? Object.assign(changed, { [DIGITS]: digits }) : (changed ?? value);
  }
  let changed: Record<string, unknown> | undefined;
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== 'string' && (typeof item !== 'object' || item === null)) continue;
    const next = rewriteValue(definitions, item, resolve, { parent: place, key, holder: value });
    if (next !== item) (changed ??= { ...(value as Record<string, unknown>) })[key] = next;
  }
  return changed ?? value;
}

/**
 * The resource with its links resolved; the same object when there are none. Never changes what it is given.
 * @param resolve new text of a link, undefined to leave it
 */
export const rewriteLinks = <T>(definitions: Definitions, resource: T, resolve: Resolve): T =>
  rewriteValue(definitions, resource, resolve, undefined) as T;

/** References such as `Patient?identifier=sys|1`, each once. */
export function conditionalReferences(value: unknown, found = new Set<string>()): ReadonlySet<string> {
  if (Array.isArray(value)) for (const item of value) conditionalReferences(item, found);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      if (key === 'reference' && typeof item === 'string' && CONDITIONAL.test(item)) found.add(item);
      else if (typeof item === 'object') conditionalReferences(item, found);
    }
  }
  return found;
}

const RESTFUL = /(?:^|\/)([A-Z][A-Za-z]+\/[A-Za-z0-9.-]{1,64})$/;
const URN = /^urn:(?:uuid|oid):/i;

/** Names of entries as they are compared: those of URNs without case. @see https://www.rfc-editor.org/rfc/rfc4122#section-3 */
const folded = (name: string): string => (URN.test(name) ? name.toLowerCase() : name);

/** Texts by which other entries may refer to an entry. */
export function namesOf(fullUrl: string | undefined): readonly string[] {
  if (fullUrl === undefined) return [];
  const relative = RESTFUL.exec(fullUrl)?.[1];
  return relative === undefined || relative === fullUrl ? [folded(fullUrl)] : [fullUrl, relative];
}

/** Longer texts name no entry. */
const MAX_LINK = 2000;
/** What may follow the name of an entry: version of a canonical, fragment, version of a resource. */
const SUFFIX = /\||#|\/_history\//;

/**
 * What a link leads to, whatever follows the name of the entry in it. A canonical's version and a fragment stay behind the new address;
 * the version of a resource goes, since it was counted elsewhere.
 * @param links addresses by the names of entries
 * @see https://hl7.org/fhir/R4/bundle.html#references
 */
export const linkResolver =
  (links: ReadonlyMap<string, string>, baseUrl: string): Resolve =>
  (link) => {
    const exact = links.get(link);
    if (exact !== undefined || link.length > MAX_LINK) return exact;
    const end = link.search(SUFFIX);
    const name = folded(end === -1 ? link : link.slice(0, end));
    const target = name === link ? undefined : links.get(name);
    if (target === undefined || end === -1) return target;
    if (!link.startsWith('/_history/', end)) return target + link.slice(end);
    // A version of a resource that is stored here under this very address.
    return relativeToBase(name, baseUrl) === target ? undefined : target;
  };
