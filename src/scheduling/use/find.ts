/** `$find`: from its parameters to a Bundle. @see https://profiles.ihe.net/ITI/Scheduling/ITI-115.html */
import type { Reference } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import type { OperationReply, OperationRequest } from '../../fhir/operation.ts';
import { PAGE_PARAMETER, type OperationInput } from '../../fhir/operation-parameters.ts';
import { badRequest, type Issue } from '../../fhir/outcome.ts';
import { actorOf, type Actor } from '../actor.ts';
import { channelOf, patientMeant } from '../channel.ts';
import { findBundle } from '../find-bundle.ts';
import { findStarts } from '../find.ts';
import { DAY } from '../model/dates.ts';
import type { SchedulingParts } from '../parts.ts';
import type { CodeOrText, Wanted } from '../select.ts';
import { spanOf } from './moments.ts';
import { orderFrom, type Order } from './order.ts';
import { resolved } from './target.ts';

/** Longest span that is looked through at once. */
const MOST_DAYS = 92;

async function all(
  parts: SchedulingParts,
  ctx: RequestContext,
  references: readonly Reference[],
  type: string,
): Promise<string[]> {
  const found: string[] = [];
  for (const reference of references) {
    const target = await resolved(parts, ctx, reference, type);
    // Who is not known has no times: and that is what is answered.
    found.push(target ?? `${type}/-`);
  }
  return found;
}

const codes = (input: OperationInput, name: string): CodeOrText[] =>
  input.tokens(name).flatMap(({ system, code }) => (code === undefined ? [] : [{ system, code }]));

/** What is asked for; where it leaves that open, what the order says. */
async function wantedBy(
  parts: SchedulingParts,
  ctx: RequestContext,
  input: OperationInput,
  order: Order | undefined,
): Promise<Wanted> {
  const directory = await parts.directory.current();
  const [practitioners, organizations, locations, services, schedules] = await Promise.all([
    all(parts, ctx, input.references('practitioner'), 'Practitioner'),
    all(parts, ctx, input.references('organization'), 'Organization'),
    all(parts, ctx, input.references('location-reference'), 'Location'),
    all(parts, ctx, input.references('service'), 'HealthcareService'),
    all(parts, ctx, input.references('schedule'), 'Schedule'),
  ]);
  const isFree = practitioners.length + schedules.length === 0;
  return {
    practitioners: (isFree ? (order?.performers ?? []) : practitioners).map((p) => directory.resolve(p)),
    organizations,
    locations,
    services: services.length === 0 ? (order?.services ?? []) : services,
    schedules,
    specialties: codes(input, 'specialty'),
    visitTypes: codes(input, 'visit-type'),
    locationTexts: input.texts('location-string'),
  };
}

/** Patients who are named. Only who may read them learns by it when they are elsewhere. @throws FhirError 400 */
async function patientsOf(
  parts: SchedulingParts,
  ctx: RequestContext,
  input: OperationInput,
  order: Order | undefined,
): Promise<Actor[]> {
  const named = await all(parts, ctx, input.references('patient-reference'), 'Patient');
  const sent = input.resources('patient-resource').flatMap((p) => (p.id === undefined ? [] : [`Patient/${p.id}`]));
  const said = [...new Set([...named, ...sent])];
  const wanted = said.length === 0 && order?.patient !== undefined ? [order.patient] : said;
  if (wanted.length === 0) return [];
  const known = await parts.engine.repository.existing(wanted, ctx.access.to('refer'));
  const missing = wanted.find((p) => !known.has(p));
  if (missing !== undefined)
    throw badRequest('not-found', 'The patient is not known here: name one you may book for.', 'patient-reference');
  return wanted.map((p) => actorOf(p));
}

const UNUSED: readonly (readonly [name: string, why: string])[] = [
  ['reason', 'a reason does not narrow the times'],
  ['timing', 'only start and end narrow the times'],
  ['insurance-reference', 'coverage does not narrow the times'],
  ['coverage', 'coverage does not narrow the times'],
];

const unusedIssues = (input: OperationInput): Issue[] =>
  UNUSED.filter(([name]) => input.names.has(name)).map(([name, why]) => ({
    severity: 'information',
    code: 'informational',
    diagnostics: `Parameter ${name} was not used: ${why}.`,
  }));

/** The span that is asked for need not be the one in which the visit is due. */
function orderIssues(input: OperationInput, order: Order | undefined): Issue[] {
  const unknown = 'Parameter referral-identifier was not used: no ServiceRequest that you may read has it.';
  if (!order && input.names.has('referral-identifier'))
    return [{ severity: 'information', code: 'informational', diagnostics: unknown }];
  if (!order?.due) return [];
  const { start = '', end = '' } = order.due;
  const diagnostics = `The visit is due from ${start} to ${end}, says ${order.reference}.`;
  return [{ severity: 'information', code: 'informational', diagnostics }];
}

/** The parameters of a POST as a query; undefined: one of them is more than text. */
function asQuery({ parameters, query }: OperationRequest): readonly (readonly [string, string])[] | undefined {
  const found: [string, string][] = query.map(([name, value]) => [name, value]);
  for (const entry of parameters.parameter ?? []) {
    const key = Object.keys(entry).find((k) => k.startsWith('value') || k === 'resource') ?? '';
    const value = (entry as unknown as Readonly<Record<string, unknown>>)[key];
    const text = key === 'valueReference' ? entry.valueReference?.reference : value;
    if (typeof text !== 'string' && typeof text !== 'number') return undefined;
    found.push([entry.name, String(text)]);
  }
  return found;
}

/** How many come before the page. @throws FhirError 400 for what none of our links says */
function offsetIn({ query }: OperationRequest): number {
  const [text = '0', ...more] = query.flatMap(([name, value]) => (name === PAGE_PARAMETER ? [value] : []));
  if (/^\d{1,9}$/.test(text) && more.length === 0) return Number(text);
  throw badRequest('value', `${PAGE_PARAMETER} is not one of our page links: start again without it.`, PAGE_PARAMETER);
}

export async function find(
  parts: SchedulingParts,
  ctx: RequestContext,
  request: OperationRequest,
  input: OperationInput,
): Promise<OperationReply> {
  const { engine } = parts;
  const span = spanOf(input.text('start') ?? '', input.text('end') ?? '');
  const { start, end } = span.spanAt(undefined);
  if (end <= start) throw badRequest('value', 'The end must come after the start.', 'end');
  if (end - start > (MOST_DAYS + 1) * DAY) throw badRequest('too-costly', `Ask for ${MOST_DAYS} days at most.`, 'end');
  const order = await orderFrom(parts, ctx, input);
  const [wanted, patients] = await Promise.all([
    wantedBy(parts, ctx, input, order),
    patientsOf(parts, ctx, input, order),
  ]);
  const meant = patientMeant(ctx.access.principal);
  const found = await findStarts(parts, {
    wanted,
    channel: channelOf(ctx.access.principal),
    now: engine.clock.now(),
    ...span,
    also: patients.length > 0 || meant === undefined ? patients : [actorOf(meant)],
  });
  // A POST whose parameters a GET can bear is paged as that.
  const query = request.query.some(([name]) => name === 'start') ? request.query : asQuery(request);
  const isGet = query !== undefined;
  const asked = input.integer('_count') ?? (isGet ? engine.limits.pageSize : engine.limits.maxPageSize);
  const count = Math.min(asked, engine.limits.maxPageSize);
  const offset = offsetIn(request);
  const url = (at: number): string => {
    const to = new URLSearchParams(
      (query ?? []).filter(([name]) => name !== PAGE_PARAMETER).map(([n, v]): [string, string] => [n, v]),
    );
    if (at > 0) to.set(PAGE_PARAMETER, String(at));
    return `${engine.baseUrl}/Appointment/$find?${to.toString()}`;
  };
  const issues: Issue[] = [...orderIssues(input, order), ...unusedIssues(input)];
  const body = findBundle(parts, {
    starts: found.page(offset, count),
    total: found.total,
    patients,
    order: order?.reference,
    issues,
    links: isGet
      ? [
          { relation: 'self', url: url(offset) },
          ...(offset + count < found.total && count > 0
            ? [{ relation: 'next', url: url(offset + count) } as const]
            : []),
        ]
      : [],
  });
  const resources = [...patients.map((p) => p.reference), ...(order ? [order.reference] : [])];
  return { status: 200, body, ...(resources.length > 0 ? { resources } : {}) };
}
