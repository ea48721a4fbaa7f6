/**
 * A follow-up that is due: a ServiceRequest whose occurrence is the span in which it should take place. The due list is a search for them.
 * @see https://hl7.org/fhir/R4/servicerequest.html
 */
import { isDeepStrictEqual } from 'node:util';
import type { Appointment, CodeableConcept, Duration, Reference, ServiceRequest } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { demandLive } from '../../fhir/interaction/version.ts';
import { demandValid, settle } from '../../fhir/interaction/write.ts';
import type { OperationReply } from '../../fhir/operation.ts';
import type { OperationInput } from '../../fhir/operation-parameters.ts';
import { badRequest, errorIssue, FhirError } from '../../fhir/outcome.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import type { StoredVersion, Transaction } from '../../fhir/store/repository.ts';
import { sql } from '../../platform/database/sql.ts';
import { newId } from '../../platform/id.ts';
import { channelOf } from '../channel.ts';
import type { Directory } from '../directory.ts';
import { FOLLOW_UP_CATEGORY } from '../follow-ups.ts';
import { addDays } from '../model/dates.ts';
import { freshDirectory } from '../fresh-directory.ts';
import { minutesOf } from '../extension.ts';
import type { SchedulingParts } from '../parts.ts';
import { ruleBroken } from '../refusal.ts';
import { readSlots, slotsOf } from '../slots.ts';
import { FOLLOW_UP } from '../urls.ts';
import { visitOfAppointment } from '../visit.ts';
import { referencesIn } from './input.ts';

const DEFAULT_TOLERANCE_DAYS = 7;
/** In these the patient has come. */
const FOLLOWED: readonly string[] = ['arrived', 'checked-in', 'fulfilled'];

/** What is followed up. */
interface Origin {
  /** `Appointment/1` or `ServiceRequest/1` */
  readonly reference: string;
  readonly patient: Reference;
  /** Local date from which it is counted. */
  readonly date: string;
  /** `HealthcareService/1` */
  readonly service: string | undefined;
  readonly performers: readonly Reference[];
  readonly code: CodeableConcept;
  readonly reasons: readonly CodeableConcept[] | undefined;
}

const referring = ({ reference, display }: { reference: string; display: string | undefined }): Reference => ({
  reference,
  ...(display === undefined ? {} : { display }),
});

async function readOf<T>({ engine }: SchedulingParts, ctx: RequestContext, type: string, id: string): Promise<T> {
  ctx.access.demand('read', type);
  return JSON.parse(demandLive(await engine.repository.read(type, id, ctx.access.to('read')), type, id).content) as T;
}

async function originOfVisit(
  parts: SchedulingParts,
  ctx: RequestContext,
  directory: Directory,
  id: string,
): Promise<Origin> {
  const { engine } = parts;
  const appointment = await readOf<Appointment>(parts, ctx, 'Appointment', id);
  const slots = await readSlots(engine.repository.query, slotsOf(appointment, engine.baseUrl));
  const { status, patients, actors, start, offer, service } = visitOfAppointment(
    directory,
    engine.baseUrl,
    appointment,
    slots,
  );
  if (!FOLLOWED.includes(status))
    throw ruleBroken(
      `Nothing follows a visit that is ${status}: one that is ${FOLLOWED.join(', ')} is followed up. Else order it by a ServiceRequest.`,
      'Appointment.status',
    );
  const [patient] = patients;
  if (!patient || start === undefined)
    throw ruleBroken('A follow-up needs a visit that has a patient and a time.', 'Appointment.participant');
  return {
    reference: `Appointment/${id}`,
    patient: referring(patient),
    date: offer?.entry.zone?.localOf(start).date ?? new Date(start).toISOString().slice(0, 10),
    service,
    performers: actors.filter((a) => a.reference.startsWith('Practitioner/')).map(referring),
    code: appointment.serviceType?.[0] ?? { text: appointment.description ?? 'Follow-up visit' },
    reasons: appointment.reasonCode,
  };
}

/** Counted from when it should take place, else from when it was written. */
async function originOfOrder(parts: SchedulingParts, ctx: RequestContext, id: string): Promise<Origin> {
  const order = await readOf<ServiceRequest>(parts, ctx, 'ServiceRequest', id);
  const date = (order.occurrenceDateTime ?? order.occurrencePeriod?.start ?? order.authoredOn)?.slice(0, 10);
  if (order.status === 'revoked' || order.status === 'entered-in-error')
    throw ruleBroken(`Nothing follows an order that is ${order.status}.`, 'ServiceRequest.status');
  if (date?.length !== 10)
    throw ruleBroken(
      'A follow-up needs an order that has a date: add occurrenceDateTime.',
      'ServiceRequest.occurrence',
    );
  return {
    reference: `ServiceRequest/${id}`,
    patient: order.subject,
    date,
    service: order.supportingInfo
      ?.map((r) => localReference(r.reference ?? '', parts.engine.baseUrl))
      .find((r) => r.startsWith('HealthcareService/')),
    performers: order.performer ?? [],
    code: order.code ?? { text: 'Follow-up visit' },
    reasons: order.reasonCode,
  };
}

/** Days from the visit, and days around them. @throws FhirError 400 */
function distanceFrom(input: OperationInput): { readonly days: number; readonly tolerance: number } {
  const weeks = input.integer('weeks');
  const minutes = minutesOf(input.duration('after'));
  if ((weeks === undefined) === (minutes === undefined))
    throw badRequest('required', 'Say when it is due: send weeks, or after as a Duration in wk or d.', 'weeks');
  const days = weeks === undefined ? Math.round((minutes ?? 0) / 1440) : weeks * 7;
  if (!(days >= 1 && days <= 3660))
    throw badRequest(
      'value',
      'A follow-up is due in a day at least, and in ten years at most.',
      weeks === undefined ? 'after' : 'weeks',
    );
  const tolerance = input.integer('tolerance-days') ?? Math.min(DEFAULT_TOLERANCE_DAYS, days - 1);
  if (tolerance >= days)
    throw badRequest('value', `It is due in ${days} days: the tolerance must be less.`, 'tolerance-days');
  return { days, tolerance };
}

const inDays = (value: number): Duration => ({ value, unit: 'd', system: 'http://unitsofmeasure.org', code: 'd' });

function orderFor(
  origin: Origin,
  { days, tolerance }: { readonly days: number; readonly tolerance: number },
  said: {
    readonly service: string | undefined;
    readonly code: CodeableConcept | undefined;
    readonly reason: CodeableConcept | undefined;
  },
  now: number,
): ServiceRequest {
  const { reference, patient, date, performers, reasons } = origin;
  const reasonCode = said.reason ? [said.reason] : reasons;
  return {
    resourceType: 'ServiceRequest',
    extension: [
      {
        url: FOLLOW_UP,
        extension: [
          { url: 'after', valueDuration: inDays(days) },
          { url: 'tolerance', valueDuration: inDays(tolerance) },
          ...(reference.startsWith('Appointment/') ? [{ url: 'visit', valueReference: { reference } }] : []),
        ],
      },
    ],
    ...(reference.startsWith('ServiceRequest/') ? { basedOn: [{ reference }] } : {}),
    status: 'active',
    intent: 'order',
    category: [{ coding: [FOLLOW_UP_CATEGORY] }],
    code: said.code ?? origin.code,
    subject: patient as ServiceRequest['subject'],
    occurrencePeriod: { start: addDays(date, days - tolerance), end: addDays(date, days + tolerance) },
    authoredOn: new Date(now).toISOString(),
    ...(performers.length > 0 ? { performer: [...performers] as NonNullable<ServiceRequest['performer']> } : {}),
    ...(reasonCode ? { reasonCode: [...reasonCode] } : {}),
    supportingInfo: [
      ...(reference.startsWith('Appointment/') ? [{ reference }] : []),
      ...(said.service === undefined ? [] : [{ reference: said.service }]),
    ],
  };
}

/** What a follow-up says. */
const SAID = [
  'extension',
  'basedOn',
  'intent',
  'category',
  'code',
  'subject',
  'occurrencePeriod',
  'performer',
  'reasonCode',
  'supportingInfo',
] as const satisfies readonly (keyof ServiceRequest)[];

/** An active order that says the same, whatever else it says by now. */
async function standing(
  { engine }: SchedulingParts,
  ctx: RequestContext,
  tx: Transaction,
  order: ServiceRequest,
): Promise<StoredVersion | undefined> {
  const subject = localReference(order.subject.reference ?? '', engine.baseUrl);
  const rows = await tx.execute(
    sql`select r.id from service_request r where r.subject = ${subject} and r.status = 'active' order by r.id`,
  );
  for (const [id] of rows) {
    const stored = await tx.read('ServiceRequest', String(id), ctx.access.to('read'));
    const known = JSON.parse(stored?.content ?? '{}') as Partial<ServiceRequest>;
    if (SAID.every((element) => isDeepStrictEqual(known[element], order[element]))) return stored;
  }
  return undefined;
}

/** Asked for once more, as after a lost answer, it is the order that there is. @returns its text and id */
async function orderOnce(
  parts: SchedulingParts,
  ctx: RequestContext,
  origin: string,
  order: ServiceRequest,
  now: number,
): Promise<{ readonly id: string; readonly content: string }> {
  const { engine } = parts;
  const version = { id: newId(now), version: 1, lastUpdated: new Date(now), method: 'POST' } as const;
  const write = settle(engine, demandValid(engine, 'ServiceRequest', order), version);
  return engine.repository.transaction('read committed', async (tx) => {
    // Who asks for the same at the same moment waits here, and then sees it.
    const [type, id] = origin.split('/');
    await tx.execute(
      type === 'Appointment'
        ? sql`select from appointment a where a.id = ${id} for no key update`
        : sql`select from service_request r where r.id = ${id} for no key update`,
    );
    const stored = await standing(parts, ctx, tx, order);
    if (stored?.content !== undefined) return { id: stored.id, content: stored.content };
    await tx.insert([write], ctx.access.to('create'));
    return write;
  });
}

/** @param type of what is followed up: Appointment or ServiceRequest */
export async function followUp(
  parts: SchedulingParts,
  ctx: RequestContext,
  type: string,
  id: string,
  input: OperationInput,
): Promise<OperationReply> {
  const { engine } = parts;
  if (channelOf(ctx.access.principal) !== 'staff')
    throw new FhirError(403, [errorIssue('forbidden', 'Follow-ups are ordered by staff.')]);
  ctx.access.demand('create', 'ServiceRequest');
  const distance = distanceFrom(input);
  const directory = await freshDirectory(parts);
  const origin =
    type === 'ServiceRequest' ? await originOfOrder(parts, ctx, id) : await originOfVisit(parts, ctx, directory, id);
  const [named] = referencesIn(parts, input, 'service');
  const known = named === undefined ? undefined : directory.service(named);
  if (named !== undefined && !known)
    throw badRequest('not-found', `${named} is not known here: name a HealthcareService that there is.`, 'service');
  const code = known && (known.type?.[0] ?? { text: known.name ?? 'Follow-up visit' });
  const said = { service: named ?? origin.service, code, reason: input.codeableConcept('reason') };
  const now = engine.clock.now();
  const { id: made, content } = await orderOnce(
    parts,
    ctx,
    origin.reference,
    orderFor(origin, distance, said, now),
    now,
  );
  return { status: 200, body: content, resources: [`ServiceRequest/${made}`, origin.reference] };
}
