/** What stands is confirmed, cancelled, moved, written anew. */
import { OVER } from '../../../src/scheduling/model/status.ts';
import type { Answer, Json } from '../../http/client.ts';
import { bundle, done, params } from '../clinic.ts';
import {
  all,
  anyVisit,
  changing,
  clock,
  described,
  ended,
  HALF_HOUR,
  isForeign,
  iso,
  OF_HOLDS,
  ownHolds,
  PEOPLE,
  reasonParameter,
  said,
  sender,
  verdictsOf,
  WHO,
  type Command,
  type Context,
  type Who,
} from './command.ts';
import { freeRooms, occupies, STATUSES, type Offer, type Status, type Visit } from './model.ts';
import { VISIT } from './world.ts';

/** In these the time is somebody's, unless a hold has run out. */
const HELD: ReadonlySet<Status> = new Set<Status>(['pending', 'booked', 'arrived', 'checked-in', 'fulfilled']);
const WAITS: ReadonlySet<Status> = new Set<Status>(['pending', 'proposed', 'waitlist']);
const agreed = ({ replies, patient, room }: Visit): boolean =>
  (patient === undefined || replies.patient === 'accepted') &&
  replies.others === 'accepted' &&
  (room === undefined || replies.room === 'accepted');

/** A hold that its patient books, or confirms, which is the same. */
function heldBecomes(before: Visit): Visit {
  const asks = before.offer.mode === 'pending';
  const reply = asks ? 'tentative' : 'accepted';
  return {
    ...before,
    status: asks ? 'pending' : 'booked',
    replies: { patient: 'accepted', others: reply, room: reply },
    hold: undefined,
    expired: false,
  };
}

export function confirm(context: Context): Command | undefined {
  const before = anyVisit(context, 'pending', 'booked', 'proposed', 'waitlist', 'arrived');
  const who: Who = context.random.pick(WHO);
  if (!before) return undefined;
  const replies = who === 'staff' ? all('accepted') : { ...before.replies, patient: 'accepted' as const };
  const noted: Visit = { ...before, replies };
  const books = WAITS.has(before.status) && agreed(noted) && (who === 'staff' || before.hold !== undefined);
  const after: Visit = books ? { ...noted, status: 'booked', hold: undefined } : noted;
  const isHeld = who !== 'staff' && before.status === 'pending' && before.hold !== undefined;
  const send = (): Promise<Answer> => sender(context, who)('POST', `Appointment/${before.id}/$confirm`);
  if (isHeld) return changing(context, who, before, heldBecomes(before), 'confirms', send);
  return changing(context, who, before, after, 'confirms', send);
}

export function cancel(context: Context): Command | undefined {
  const before = anyVisit(context);
  const who: Who = context.random.pick(WHO);
  if (!before) return undefined;
  const replies = who === 'staff' ? before.replies : { ...before.replies, patient: 'declined' as const };
  const after: Visit = { ...before, status: 'cancelled', replies };
  const send = (): Promise<Answer> => sender(context, who)('POST', `Appointment/${before.id}/$cancel`);
  const command = changing(context, who, before, before.status === 'cancelled' ? before : after, 'cancels', send);
  return before.status === 'cancelled' && !isForeign(who, before) ? { ...command, verdicts: ['ok'] } : command;
}

/** Another start, for staff sometimes beside the grid. */
function anyStart({ random, model }: Context, who: Who, offer: Offer): number {
  const early = who === 'staff' && offer.capacity === 1 && random.chance(0.2) ? HALF_HOUR / 2 : 0;
  return random.pick(model.starts as [number]) + early;
}

export function reschedule(context: Context): Command | undefined {
  const { model, random } = context;
  const before = anyVisit(context);
  const who: Who = random.pick(WHO);
  if (!before) return undefined;
  const start = anyStart(context, who, before.offer);
  const reason = who === 'staff' && random.chance(0.2);
  const replaces = random.chance(0.35);
  const rooms = freeRooms(model, before.offer, start, [before]);
  const room = before.room !== undefined && rooms.includes(before.room) ? before.room : (rooms[0] ?? before.room);
  const moved: Visit = {
    ...before,
    start,
    end: start + HALF_HOUR,
    room,
    forced: reason || (before.forced && start === before.start && !replaces),
    slot: before.offer === VISIT && model.starts.includes(start) ? start : undefined,
  };
  const send = (): Promise<Answer> =>
    sender(context, who)(
      'POST',
      `Appointment/${before.id}/$reschedule`,
      params(
        { name: 'start', valueDateTime: iso(start) },
        ...(replaces ? [{ name: 'mode', valueCode: 'replace' }] : []),
        ...(reason ? [reasonParameter] : []),
      ),
    );
  const text = `moves to ${clock(start)} ${room ?? ''}${reason ? ' with a reason' : ''}`;
  if (!replaces) {
    const command = changing(context, who, before, moved, text, send, { offeredOnly: true, reason });
    // What is over does not move, not even to where it is.
    const isLate = OVER.has(before.status) && !isForeign(who, before);
    return isLate ? { ...command, verdicts: ['rule'] } : command;
  }
  const asks = who !== 'staff' && before.offer.mode === 'pending';
  const fresh: Visit = {
    ...moved,
    id: '',
    status: asks ? 'pending' : 'booked',
    replies: { patient: 'accepted', others: asks ? 'tentative' : 'accepted', room: asks ? 'tentative' : 'accepted' },
    hold: undefined,
    expired: false,
    ofSlot: false,
  };
  const ends: Visit = { ...before, status: 'cancelled' };
  const isOver = before.status === 'cancelled';
  const [end = 'ok'] = isOver ? [] : verdictsOf(context, who, before, ends);
  const holds = ownHolds(context, who, fresh).filter((v) => v.id !== before.id);
  const begin = verdictsOf(context, who, undefined, fresh, {
    offeredOnly: true,
    reason,
    ended: [...holds, ...(isOver ? [] : [before])],
  });
  return {
    text: `${who} ${text}, as a new one: ${described(before)}`,
    verdicts: isForeign(who, before) ? ['denied'] : end === 'ok' ? begin : [end],
    send,
    apply: (answer) => [...ended(holds), ...(isOver ? [] : [ends]), { ...fresh, id: said(answer) }],
  };
}

type Put = 'put' | 'bundle';
async function putting(
  context: Context,
  who: Who,
  door: Put,
  id: string,
  change: (now: Json) => object,
): Promise<Answer> {
  const { clinic } = context.world;
  const resource = change(done(await clinic.staff('GET', `Appointment/${id}`)).body);
  const url = `Appointment/${id}`;
  return door === 'put'
    ? sender(context, who)('PUT', url, resource)
    : sender(context, who)('POST', '', bundle('transaction', { request: { method: 'PUT', url }, resource }));
}

/** A status is written. */
export function write(context: Context): Command | undefined {
  const { random } = context;
  const before = anyVisit(context);
  if (!before) return undefined;
  const who: Who = random.chance(0.6) || before.patient === undefined ? 'staff' : before.patient;
  const status = random.pick(STATUSES);
  const books = status === 'booked' && before.status !== 'booked';
  const ends = before.status === status || status === 'cancelled' || status === 'entered-in-error';
  const after: Visit = {
    ...before,
    status,
    ...(books ? { replies: all('accepted') } : {}),
    ...(ends ? {} : { hold: undefined, expired: false }),
  };
  const isPatch = !books && ends && before.status !== 'cancelled' && before.status !== 'noshow' && random.chance(0.5);
  const change = (now: Json): object => {
    const { cancelationReason, extension, participant, ...rest } = now as unknown as {
      cancelationReason?: object;
      extension?: { url: string }[];
      participant: { required?: string; status: string }[];
    };
    const kept = ends ? extension : extension?.filter((e) => !OF_HOLDS.includes(e.url));
    return {
      ...rest,
      status,
      ...(kept && kept.length > 0 ? { extension: kept } : {}),
      ...(cancelationReason && (status === 'cancelled' || status === 'noshow') ? { cancelationReason } : {}),
      participant: participant.map((p) => (books && p.required === 'required' ? { ...p, status: 'accepted' } : p)),
    };
  };
  const send = (): Promise<Answer> =>
    isPatch
      ? sender(context, who)('PATCH', `Appointment/${before.id}`, [{ op: 'replace', path: '/status', value: status }])
      : putting(context, who, random.pick(['put', 'bundle']), before.id, change);
  const holds = occupies(after) && !HELD.has(before.status) ? ownHolds(context, who, before) : [];
  const text = `writes ${status}${isPatch ? ' by PATCH' : ''}`;
  const command = changing(context, who, before, after, text, send, { ended: holds });
  return { ...command, apply: () => [...ended(holds), after] };
}

/** A start is written. */
export function shift(context: Context): Command | undefined {
  const { random } = context;
  const before = anyVisit(context);
  if (!before) return undefined;
  const who: Who = random.chance(0.5) || before.patient === undefined ? 'staff' : before.patient;
  const start = anyStart(context, who, before.offer);
  const after: Visit = { ...before, start, end: start + HALF_HOUR };
  const door: Put = random.pick(['put', 'bundle']);
  const send = (): Promise<Answer> =>
    putting(context, who, door, before.id, (now) => ({ ...now, start: iso(start), end: iso(start + HALF_HOUR) }));
  return changing(context, who, before, after, `writes ${clock(start)}`, send);
}

const LIVE: ReadonlySet<Status> = new Set<Status>([
  'proposed',
  'pending',
  'booked',
  'waitlist',
  'arrived',
  'checked-in',
]);

export function respond(context: Context): Command | undefined {
  const { random } = context;
  const before = anyVisit(context);
  if (!before?.patient) return undefined;
  const byPatient = random.chance(0.6);
  const who: Who = byPatient ? before.patient : 'staff';
  const reply = random.pick(['accepted', 'declined', 'tentative'] as const);
  // A practitioner who declines what is booked is a matter for people: they still stand in the calendar's way or not by the Slot.
  if (!byPatient && reply === 'declined' && before.status !== 'pending') return undefined;
  const replies = byPatient ? { ...before.replies, patient: reply } : { ...before.replies, others: reply };
  const noted: Visit = { ...before, replies };
  const books =
    reply === 'accepted' && before.status === 'pending' && agreed(noted) && !(byPatient && before.hold !== undefined);
  const after: Visit =
    reply === 'declined'
      ? { ...noted, status: 'cancelled' }
      : books
        ? { ...noted, status: 'booked', hold: undefined }
        : noted;
  const actor = byPatient ? `Patient/${before.patient}` : `Practitioner/${before.offer.practitioner}`;
  const send = (): Promise<Answer> =>
    sender(context, who)('POST', 'AppointmentResponse', {
      resourceType: 'AppointmentResponse',
      appointment: { reference: `Appointment/${before.id}` },
      actor: { reference: actor },
      participantStatus: reply,
    });
  // That all have agreed books it, whoever was the last.
  const command = changing(context, who, before, after, `replies ${reply}`, send, books ? { channel: 'staff' } : {});
  if (!LIVE.has(before.status)) return { ...command, verdicts: ['rule'] };
  const same = JSON.stringify(before.replies) === JSON.stringify(replies) && after.status === before.status;
  return same ? { ...command, verdicts: ['ok'] } : command;
}

/** A step of the day, by its operation. */
export function step(context: Context): Command | undefined {
  const { random } = context;
  const before = anyVisit(context);
  const who: Who = random.chance(0.8) ? 'staff' : random.pick(PEOPLE);
  if (!before) return undefined;
  const [name, status, more] = random.pick<readonly [string, Status, object]>([
    ['check-in', 'checked-in', {}],
    ['check-in', 'arrived', { name: 'status', valueCode: 'arrived' }],
    ['no-show', 'noshow', {}],
    ['complete', 'fulfilled', {}],
  ]);
  const parameters = 'name' in more ? [more] : [];
  const send = (): Promise<Answer> =>
    sender(context, who)('POST', `Appointment/${before.id}/$${name}`, params(...parameters));
  const command = changing(context, who, before, { ...before, status }, `$${name} ${status}`, send);
  return before.status === status && !isForeign(who, before) ? { ...command, verdicts: ['ok'] } : command;
}
