/** Which visits a colleague is to take over, and what their hours say to each. @see https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.participant */
import type { Appointment, AppointmentParticipant, CodeableConcept } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { badRequest } from '../../fhir/outcome.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import type { StoredVersion } from '../../fhir/store/repository.ts';
import { sql } from '../../platform/database/sql.ts';
import { actorKey } from '../actor.ts';
import type { Directory, Offer } from '../directory.ts';
import { asExtensions, withoutExtensions } from '../extension.ts';
import { MINUTE } from '../model/dates.ts';
import type { SchedulingParts } from '../parts.ts';
import { participantsOf } from '../proposed.ts';
import { hoursAgainst } from '../reasons.ts';
import { slotId } from '../slot-id.ts';
import { readSlots, slotsOf } from '../slots.ts';
import { OVERRIDE } from '../urls.ts';
import { fittest, visitOfAppointment, type Visit } from '../visit.ts';
import { readToChange } from './change.ts';
import type { Span } from './moments.ts';

export interface Cover {
  /** `Practitioner/1` */
  readonly from: string;
  readonly to: string;
  /** In which visits begin. */
  readonly span: Span;
  readonly schedule: string | undefined;
  /** Only these; none: all in the span. */
  readonly appointments: readonly string[];
  readonly reason: CodeableConcept | undefined;
  readonly overrideReason: string | undefined;
  readonly dryRun: boolean;
}

/** A visit that is to change hands. */
export interface Handover {
  readonly id: string;
  readonly stored: StoredVersion;
  readonly before: Appointment;
  readonly after: Appointment;
  /** Whose time is given up or taken. */
  readonly keys: readonly string[];
  /** What speaks against it, whether or not the colleague has time; for staff. */
  readonly against: readonly string[];
}

/** Those of other statuses have nobody any more, or not yet. */
const MOVABLE: ReadonlySet<string> = new Set(['pending', 'booked', 'arrived', 'checked-in']);
/** Visits that change hands in one act. */
const MOST_VISITS = 200;

const iso = (ms: number): string => new Date(ms).toISOString();

async function idsIn({ engine }: SchedulingParts, { from, span, appointments }: Cover): Promise<readonly string[]> {
  const rows = await engine.repository.query(
    sql`select o.appointment from scheduling_rows(array[${actorKey(from)}::uuid], tstzrange(${iso(span.start)}::timestamptz, ${iso(span.end)}::timestamptz)) o
        where o.expires is null or o.expires > now() order by lower(o.during)`,
  );
  const all = rows.map(([id]) => String(id));
  return appointments.length === 0 ? all : all.filter((id) => appointments.includes(`Appointment/${id}`));
}

/** The colleague's offer of the same service at the same place. */
function offerOf(
  directory: Directory,
  to: string,
  { service, offer, start, end }: Visit,
): { readonly offer: Offer | undefined; readonly against: readonly string[] } {
  const offers = directory
    .of(to)
    .filter((e) => e.schedule.active !== false)
    .flatMap((e) => e.offers)
    .filter((o) => o.serviceReference === service);
  const here = offer ? offers.filter((o) => o.entry.location?.id === offer.entry.location?.id) : offers;
  if (here.length > 0) return { offer: fittest(here, start, end), against: [] };
  // What nobody offers may be done by anybody.
  if (!offer) return { offer: undefined, against: [] };
  const what = service ?? 'visits';
  const why = offers.length > 0 ? `offers ${what} at other places only` : `does not offer ${what}`;
  return { offer: undefined, against: [`${to} ${why}.`] };
}

/** The generated Slot of the colleague's time, where there is one of that length. */
async function slotFor({ engine }: SchedulingParts, ctx: RequestContext, offer: Offer, { start = 0, end = 0 }: Visit) {
  if (end - start !== offer.parameters.duration * MINUTE) return {};
  const slot = `Slot/${slotId(offer.entry.reference, offer.serviceReference, start)}`;
  const known = await engine.repository.existing([slot], ctx.access.to('refer'));
  return known.has(slot) ? { slot: [{ reference: slot }] } : {};
}

function participants(
  appointment: Appointment,
  resolve: (p: AppointmentParticipant) => string,
  { from, to }: Cover,
  before: Offer | undefined,
  after: Offer | undefined,
): AppointmentParticipant[] {
  const status = appointment.status === 'pending' ? 'tentative' : 'accepted';
  // With the old offer goes whom it brought along.
  const left = new Set([from, ...(before && after ? participantsOf(before, [], status).map(resolve) : [])]);
  const stay = appointment.participant.filter((p) => !left.has(resolve(p)));
  const come: AppointmentParticipant[] = after
    ? participantsOf(after, [], status)
    : [{ actor: { reference: to }, required: 'required', status }];
  const here = new Set(stay.map(resolve));
  return [...stay, ...come.filter((p) => !here.has(resolve(p)))];
}

/** undefined: it is no visit that is meant. */
async function handover(
  parts: SchedulingParts,
  ctx: RequestContext,
  directory: Directory,
  cover: Cover,
  id: string,
): Promise<Handover | undefined> {
  const { engine } = parts;
  const { stored, appointment } = await readToChange(parts, ctx, id);
  const slots = await readSlots(engine.repository.query, slotsOf(appointment, engine.baseUrl));
  const visit = visitOfAppointment(directory, engine.baseUrl, appointment, slots);
  const { start = 0, end = 0 } = visit;
  const within = cover.span.spanAt(visit.offer?.entry.zone);
  if (!MOVABLE.has(visit.status) || start < within.start || start >= within.end) return undefined;
  if (cover.schedule !== undefined && !visit.schedules.includes(cover.schedule)) return undefined;
  const { offer, against } = offerOf(directory, cover.to, visit);
  const resolve = ({ actor }: AppointmentParticipant): string =>
    directory.resolve(localReference(actor?.reference ?? '', engine.baseUrl));
  const { slot: _, extension: __, ...rest } = appointment;
  const after: Appointment = {
    ...rest,
    ...asExtensions(withoutExtensions(appointment, OVERRIDE)),
    ...(offer ? await slotFor(parts, ctx, offer, visit) : {}),
    participant: participants(appointment, resolve, cover, visit.offer, offer),
  };
  const hours = offer ? await hoursAgainst(engine, offer, { start, end }) : [];
  const next = visitOfAppointment(directory, engine.baseUrl, after, new Map(), offer);
  return {
    id,
    stored,
    before: appointment,
    after,
    keys: [visit, next].flatMap((v) => [...v.actors, ...v.patients]).map((a) => a.key),
    against: [
      ...against,
      ...hours.map((r) => `${cover.to}: ${r.text}${r.private === undefined ? '' : ` (${r.private})`}.`),
    ],
  };
}

/** In the order of their starts. @throws FhirError 400 when these are too many */
export async function handoversOf(
  parts: SchedulingParts,
  ctx: RequestContext,
  directory: Directory,
  cover: Cover,
): Promise<readonly Handover[]> {
  const ids = await idsIn(parts, cover);
  if (ids.length > MOST_VISITS)
    throw badRequest('too-costly', `More than ${MOST_VISITS} visits are meant: cover them in several acts.`, 'end');
  const found: Handover[] = [];
  for (const id of ids) {
    const each = await handover(parts, ctx, directory, cover, id);
    if (each) found.push(each);
  }
  return found;
}
