/** The record of a patient with what it refers to. @see https://hl7.org/fhir/R4/patient-operation-everything.html */
import type { Bundle, BundleEntry, Resource } from '@medplum/fhirtypes';
import type { Rows } from '../fhir/access.ts';
import { breather } from '../fhir/breathe.ts';
import type { RequestContext } from '../fhir/context.ts';
import type { Engine } from '../fhir/engine.ts';
import { parseJson, stringify } from '../fhir/json.ts';
import type { OperationRequest } from '../fhir/operation.ts';
import { defineOperation, PAGE_PARAMETER, type OperationInput } from '../fhir/operation-parameters.ts';
import { badRequest, errorIssue, FhirError, notFound } from '../fhir/outcome.ts';
import { search } from '../fhir/search/search.ts';

/** The parameter of each type that holds the date of care; resources of other types have none and always belong to the record. */
const CARE_DATE: Readonly<Record<string, string>> = {
  Account: 'period',
  Appointment: 'date',
  AppointmentResponse: 'appointment.date',
  AuditEvent: 'date',
  ChargeItem: 'occurrence',
  Communication: 'sent',
  CommunicationRequest: 'occurrence',
  Consent: 'date',
  Encounter: 'date',
  Invoice: 'date',
  PaymentNotice: 'created',
  PaymentReconciliation: 'created',
  Provenance: 'recorded',
  Schedule: 'date',
  ServiceRequest: 'occurrence',
  Task: 'period',
};

/** Resources of one reply without `_count`. */
const WHOLE = 5_000;

interface Asked {
  readonly id: string;
  /** Types of the compartment to look through, in order. */
  readonly types: readonly string[];
  /** Types outside the compartment: what the record refers to. What lies inside belongs to this patient, and is a match, or to another. */
  readonly supporting: readonly string[];
  readonly wanted: (type: string) => boolean;
  readonly since: string | undefined;
  readonly dates: readonly string[];
  readonly count: number | undefined;
}

/** Where a page begins: in `types[at]`, at the search's own cursor. */
interface Position {
  readonly at: number;
  readonly cursor: string | undefined;
}

function readAsked(engine: Engine, rows: Rows, id: string, input: OperationInput): Asked {
  const compartment = engine.definitions.compartments.get('Patient')?.resources ?? {};
  const named = new Set(
    input
      .texts('_type')
      .flatMap((t) => t.split(','))
      .map((t) => t.trim())
      .filter((t) => t !== ''),
  );
  for (const type of named) {
    if (!engine.resources.has(type))
      throw badRequest('not-supported', `Parameter _type: ${type.slice(0, 64)} is not served here.`, '_type');
  }
  const count = input.integer('_count');
  if (count !== undefined && count < 1) throw badRequest('value', 'Parameter _count must be 1 or more.', '_count');
  const start = input.text('start');
  const end = input.text('end');
  const wanted = (type: string): boolean => named.size === 0 || named.has(type);
  return {
    id,
    wanted,
    supporting: [...engine.resources.values()]
      .filter((r) => r.storage === 'ordinary' && r.type !== 'Patient' && !(r.type in compartment) && wanted(r.type))
      .filter((r) => rows.reach(r.type) !== 'none')
      .map((r) => r.type)
      .sort(),
    // Records of access are given only to who asks for them: they grow with every read.
    types: [...engine.resources.keys()]
      .filter((t) => t in compartment && (named.size === 0 ? t !== 'AuditEvent' : named.has(t)))
      .filter((t) => rows.reach(t) !== 'none')
      .sort(),
    since: input.text('_since'),
    dates: [...(start === undefined ? [] : [`ge${start}`]), ...(end === undefined ? [] : [`le${end}`])],
    count: count === undefined ? undefined : Math.min(count, engine.limits.maxPageSize),
  };
}

/** Parameters that would show less of each resource are not acted on, so they are refused. @throws FhirError 400 */
function demandWhole({ query }: OperationRequest): void {
  for (const [name, value] of query) {
    if ((name === '_elements' && value !== '') || (name === '_summary' && value !== '' && value !== 'false'))
      throw badRequest('not-supported', `Parameter ${name} is not supported: $everything shows resources whole.`, name);
  }
}

interface Page {
  /** Length of its text. */
  readonly size: number;
  readonly entries: readonly BundleEntry[];
  readonly cursor: string | undefined;
}

/** One page of one type of the compartment, through search: under the access of the caller. */
async function searchType(
  engine: Engine,
  ctx: RequestContext,
  asked: Asked,
  type: string,
  cursor: string | undefined,
  count: number,
): Promise<Page> {
  const dated = CARE_DATE[type];
  const query: (readonly [string, string])[] = [
    ['_count', String(count)],
    ['_total', 'none'],
    ...asked.supporting.map((target) => ['_include', `${type}:*:${target}`] as const),
    // Roles lead on to the people and places behind them.
    ...asked.supporting.map((target) => ['_include:iterate', `PractitionerRole:*:${target}`] as const),
    ...(dated === undefined ? [] : asked.dates.map((date) => [dated, date] as const)),
    ...(asked.since === undefined ? [] : [['_lastUpdated', `ge${asked.since}`] as const]),
    ...(cursor === undefined ? [] : [[PAGE_PARAMETER, cursor] as const]),
  ];
  const reply = await search(engine, ctx, { type, compartment: { code: 'Patient', id: asked.id } }, query, {
    strict: true,
  });
  const bundle = parseJson(reply.body, { maxDepth: engine.limits.jsonDepth + 8 }).value as Bundle;
  const next = bundle.link?.find((l) => l.relation === 'next')?.url;
  return {
    size: reply.body.length,
    entries: bundle.entry ?? [],
    cursor: next === undefined ? undefined : (new URL(next).searchParams.get(PAGE_PARAMETER) ?? undefined),
  };
}

/** `Appointment~<cursor of the search>`. */
function readPosition(asked: Asked, text: string | undefined): Position {
  if (text === undefined) return { at: 0, cursor: undefined };
  const [, type = '', cursor = ''] = /^([A-Za-z]+)~(.*)$/s.exec(text) ?? [];
  const at = asked.types.indexOf(type);
  if (at < 0)
    throw badRequest(
      'value',
      `${PAGE_PARAMETER} is not one of our page links: start again without it.`,
      PAGE_PARAMETER,
    );
  return { at, cursor: cursor === '' ? undefined : cursor };
}

const printPosition = (asked: Asked, { at, cursor }: Position): string => `${asked.types[at]}~${cursor ?? ''}`;

/** Collects entries, each resource once. */
class Collected {
  readonly entries = new Map<string, BundleEntry>();
  matches = 0;
  size = 0;
  readonly asked: Asked;

  constructor(asked: Asked) {
    this.asked = asked;
  }

  /** A match beyond the patient, who is shown first. */
  isNew(entry: BundleEntry): boolean {
    return entry.search?.mode === 'match' && !this.isPatient(entry);
  }

  isPatient(entry: BundleEntry): boolean {
    return entry.resource?.resourceType === 'Patient' && entry.resource.id === this.asked.id;
  }

  add(entry: BundleEntry): void {
    const { resource, search: found } = entry;
    // Without fullUrl it is the search's own word, such as that not everything could be included.
    const key = entry.fullUrl ?? 'outcome';
    if (!resource || this.entries.get(key)?.search?.mode === 'match') return;
    const since = this.asked.since === undefined ? -Infinity : Date.parse(this.asked.since);
    if (found?.mode === 'include' && Date.parse(resource.meta?.lastUpdated ?? '') < since) return;
    if (found?.mode === 'match') this.matches += 1;
    this.entries.set(key, entry);
  }

  /** `Type/id` of everything shown. */
  names(): string[] {
    return [...this.entries.values()].flatMap(({ fullUrl, resource }) =>
      fullUrl && resource?.id ? [`${resource.resourceType}/${resource.id}`] : [],
    );
  }
}

async function readPatient(engine: Engine, ctx: RequestContext, id: string): Promise<Resource> {
  const stored = await engine.repository.read('Patient', id, ctx.access.to('read'));
  if (!stored) throw notFound('Patient', id);
  if (stored.content === undefined) throw new FhirError(410, [errorIssue('deleted', `Patient/${id} was deleted.`)]);
  return parseJson(stored.content, { maxDepth: engine.limits.jsonDepth }).value as Resource;
}

/** Address of a page: the caller's own query with another position. */
function pageUrl(ctx: RequestContext, request: OperationRequest, position: string | undefined): string {
  const query = new URLSearchParams();
  for (const [name, value] of request.query) if (name !== PAGE_PARAMETER) query.append(name, value);
  for (const p of request.parameters.parameter ?? []) {
    const value = p.valueString ?? p.valueDate ?? p.valueInstant ?? p.valueDateTime ?? p.valueCode ?? p.valueInteger;
    if (
      p.name !== undefined &&
      value !== undefined &&
      p.name !== PAGE_PARAMETER &&
      !query.getAll(p.name).includes(String(value))
    )
      query.append(p.name, String(value));
  }
  if (position !== undefined) query.append(PAGE_PARAMETER, position);
  const text = query.toString();
  return `${ctx.baseUrl}/Patient/${request.id ?? ''}/$everything${text === '' ? '' : `?${text}`}`;
}

const tooLarge = ({ limits }: Engine): FhirError =>
  new FhirError(413, [
    errorIssue(
      'too-costly',
      `The record is larger than ${limits.replyBytes} bytes: ask for it in pages with _count.`,
      '_count',
    ),
  ]);

/** Fills the page. @returns where the next one begins, if there is one */
async function collectPage(
  engine: Engine,
  ctx: RequestContext,
  asked: Asked,
  from: Position,
  collected: Collected,
): Promise<Position | undefined> {
  let { at, cursor } = from;
  for (let type = asked.types[at]; type !== undefined; type = asked.types[at]) {
    const room = asked.count === undefined ? engine.limits.maxPageSize : asked.count - collected.matches;
    if (room <= 0 && cursor !== undefined) return { at, cursor };
    const page = await searchType(engine, ctx, asked, type, cursor, Math.max(room, 1));
    if (room <= 0) {
      // The page is full: is there anything left to link to?
      if (page.entries.some((e) => collected.isNew(e))) return { at, cursor };
    } else {
      if (collected.size + page.size > engine.limits.replyBytes && collected.entries.size > 0) {
        if (asked.count !== undefined) return { at, cursor };
        throw tooLarge(engine);
      }
      collected.size += page.size;
      for (const entry of page.entries) if (!collected.isPatient(entry)) collected.add(entry);
    }
    if (asked.count === undefined && collected.entries.size > WHOLE) {
      throw badRequest(
        'too-costly',
        `The record has more than ${WHOLE} resources: ask for it in pages with _count.`,
        '_count',
      );
    }
    cursor = page.cursor;
    if (cursor === undefined) at += 1;
  }
  return undefined;
}

/** The Bundle's text; others get their turn between the entries. */
async function written(bundle: Bundle, entries: Iterable<BundleEntry>): Promise<string> {
  const breathe = breather();
  const pieces: string[] = [];
  for (const entry of entries) {
    pieces.push(stringify(entry));
    await breathe();
  }
  const head = stringify(bundle);
  return pieces.length === 0 ? head : `${head.slice(0, -1)},"entry":[${pieces.join(',')}]}`;
}

export default defineOperation({
  code: 'everything',
  url: 'http://hl7.org/fhir/OperationDefinition/Patient-everything',
  system: false,
  type: false,
  instance: true,
  resourceTypes: ['Patient'],
  needs: ['read', 'search'],
  affectsState: false,
  async handle(engine, ctx, request, input) {
    if (input.names.has('_offset'))
      throw badRequest('not-supported', 'Parameter _offset is not supported: follow the next link.', '_offset');
    demandWhole(request);
    const id = request.id ?? '';
    const patient = await readPatient(engine, ctx, id);
    const asked = readAsked(engine, ctx.access.to('search'), id, input);
    const collected = new Collected(asked);
    const position = request.query.find(([name]) => name === PAGE_PARAMETER)?.[1];
    const fresh = asked.since === undefined || Date.parse(patient.meta?.lastUpdated ?? '') >= Date.parse(asked.since);
    if (asked.wanted('Patient') && fresh && position === undefined) {
      collected.add({ fullUrl: `${ctx.baseUrl}/Patient/${id}`, resource: patient, search: { mode: 'match' } });
    }
    const next = await collectPage(engine, ctx, asked, readPosition(asked, position), collected);
    const body: Bundle = {
      resourceType: 'Bundle',
      type: 'searchset',
      ...(asked.count === undefined ? { total: collected.matches } : {}),
      link: [
        { relation: 'self', url: pageUrl(ctx, request, position) },
        ...(next === undefined ? [] : [{ relation: 'next', url: pageUrl(ctx, request, printPosition(asked, next)) }]),
      ],
    };
    return { status: 200, body: await written(body, collected.entries.values()), resources: collected.names() };
  },
});
