/** What is done to the calendar, by every door, each with what the model says of it. */
import type { Random } from '../../src/demo/random.ts';
import { expireHolds } from '../../src/scheduling/use/expire-holds.ts';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  freeRooms,
  isInTwoPlaces,
  judge,
  occupies,
  slotStatus,
  STATUSES,
  type CalendarModel,
  type Change,
  type Channel,
  type Offer,
  type Person,
  type Reply,
  type Status,
  type Verdict,
  type Visit,
} from './calendar-model.ts';
import { OFFERS, slotOf, VISIT, type CalendarWorld } from './calendar-world.ts';
import { appointmentOf, bundle, done, entries, later, params, referring, taking } from './clinic.ts';
import { partsOf } from './slots.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';
const HALF_HOUR = 30 * 60_000;

type Who = Person | 'staff';

export interface Command {
  readonly text: string;
  /** What the server may answer. */
  readonly verdicts: readonly Verdict[];
  send(): Promise<Answer | undefined>;
  /** What it changes when it is done. @returns the visits that are other than before */
  apply(answer: Answer | undefined): readonly Visit[];
}

export interface Context {
  readonly world: CalendarWorld;
  readonly model: CalendarModel;
  readonly random: Random;
}

const PEOPLE = ['ann', 'bob', 'eve'] as const;
const WHO = ['ann', 'bob', 'eve', 'staff', 'staff', 'staff'] as const;
const iso = (ms: number): string => new Date(ms).toISOString();
const clock = (ms: number): string => iso(ms).slice(11, 16);
const channelOf = (who: Who): Channel => (who === 'staff' ? 'staff' : 'patient');
const sender = ({ world }: Context, who: Who): Send => world.clinic[who];
const described = (v: Visit): string =>
  `${v.offer.name} ${clock(v.start)} of ${v.patient ?? 'nobody'}, ${v.status}, ${v.id.slice(-6)}`;
const all = (reply: Reply): Visit['replies'] => ({ patient: reply, others: reply, room: reply });

const overrideExtension = { url: `${OWN}/override`, extension: [{ url: 'reason', valueString: 'it hurts' }] };
const reasonParameter = { name: 'override-reason', valueString: 'it hurts' };
const OF_HOLDS = ['hold-expires', 'hold-renewed', 'hold-expired', 'awaiting-approval'].map((n) => `${OWN}/${n}`);

function anyVisit({ model, random }: Context, ...statuses: readonly Status[]): Visit | undefined {
  const list = [...model.visits.values()].filter((v) => statuses.length === 0 || statuses.includes(v.status));
  // What is over is of less interest.
  const live = list.filter((v) => occupies(v));
  const from = live.length > 0 && random.chance(0.75) ? live : list;
  return from.length > 0 ? random.pick(from as [Visit]) : undefined;
}

/** Whose it is not, does not learn of it. */
const isForeign = (who: Who, { patient }: Visit): boolean => who !== 'staff' && patient !== who;

function verdictsOf(
  { model }: Context,
  who: Who,
  before: Visit | undefined,
  after: Visit,
  change: Partial<Change> = {},
): readonly Verdict[] {
  const channel = channelOf(who);
  const verdict = judge(model, before, after, { channel, offeredOnly: false, ...change });
  const doubtful = channel === 'patient' && before?.status === 'pending' && isInTwoPlaces(model, before);
  return doubtful ? [...new Set([verdict, verdict === 'conflict' ? 'ok' : 'conflict'] as const)] : [verdict];
}

/** Whoever works with Slots, as staff does here, makes room for an appointment that names the Slot. */
const ownHolds = ({ model }: Context, who: Who, { id, slot }: Visit): readonly Visit[] =>
  who !== 'staff' || slot === undefined
    ? []
    : [...model.visits.values()].filter((v) => v.ofSlot && v.status === 'pending' && v.slot === slot && v.id !== id);
const ended = (visits: readonly Visit[]): readonly Visit[] =>
  visits.map((v) => ({ ...v, status: 'cancelled' as const }));

/** One visit becomes another. */
function changing(
  context: Context,
  who: Who,
  before: Visit,
  after: Visit,
  text: string,
  send: () => Promise<Answer>,
  change: Partial<Change> = {},
): Command {
  return {
    text: `${who} ${text}: ${described(before)}`,
    verdicts: isForeign(who, before) ? ['denied'] : verdictsOf(context, who, before, after, change),
    send,
    apply: () => [after],
  };
}

const said = (answer: Answer | undefined): string => {
  if (!answer) return '';
  const location = entries(answer)[0]?.['response']?.['location'];
  return location === undefined
    ? String(appointmentOf(answer)['id'])
    : (/Appointment\/([^/]+)/.exec(String(location))?.[1] ?? '');
};

/** The resource that a client would post. */
function resourceOf(visit: Visit, status: string, more: object = {}): object {
  const { offer, start, end, patient, room, replies } = visit;
  return {
    resourceType: 'Appointment',
    status,
    start: iso(start),
    end: iso(end),
    participant: [
      ...(patient === undefined ? [] : [taking(`Patient/${patient}`, replies.patient)]),
      taking(`Practitioner/${offer.practitioner}`, replies.others),
      ...(room === undefined ? [] : [taking(`Location/${room}`, replies.room)]),
      taking(`HealthcareService/${offer.name}`, 'accepted', 'information-only'),
    ],
    ...more,
  };
}

type Door = 'proposal' | 'described' | 'post' | 'bundle';

/** A new visit, booked or held. */
export function take(context: Context): Command {
  const { model, random, world } = context;
  const offer = random.pick(OFFERS);
  const who: Who = random.pick(WHO);
  const patient = who === 'staff' ? random.pick(PEOPLE) : who;
  const door: Door = random.pick(['proposal', 'described', 'post', 'bundle']);
  const isOperation = door === 'proposal' || door === 'described';
  const isHold = random.chance(0.35);
  const reason = who === 'staff' && random.chance(0.25);
  const early = door !== 'proposal' && offer.capacity === 1 && random.chance(0.2) ? HALF_HOUR / 2 : 0;
  const start = random.pick(model.starts as [number]) + early;
  const waits = !isHold && who !== 'staff' && offer.mode === 'pending';
  const [free] = freeRooms(model, offer, start);
  const room = isOperation ? (free ?? offer.rooms[0]) : random.pick([...offer.rooms, offer.rooms[0]] as [string]);
  const others: Reply = waits && !isOperation ? 'needs-action' : isHold || waits ? 'tentative' : 'accepted';
  const visit: Visit = {
    id: '',
    offer,
    start,
    end: start + HALF_HOUR,
    status: isHold || waits ? 'pending' : 'booked',
    patient,
    room,
    replies: { patient: isHold ? 'tentative' : 'accepted', others, room: others },
    hold: isHold ? { lapsed: false, renewed: false } : undefined,
    expired: false,
    forced: reason,
    slot: door === 'proposal' && offer === VISIT ? start : undefined,
    ofSlot: false,
  };
  const send = sender(context, who);
  const operation = `Appointment/$${isHold ? 'hold' : 'book'}`;
  const extension = [
    ...(isHold ? [{ url: `${OWN}/hold-expires`, valueInstant: later(new Date().toISOString(), 5) }] : []),
    ...(reason ? [overrideExtension] : []),
  ];
  const posted = (): object => resourceOf(visit, visit.status, extension.length > 0 ? { extension } : {});
  const { room: _, ...roomless } = visit;
  const doors: Readonly<Record<Door, () => Promise<Answer>>> = {
    proposal: () => {
      const id = world.proposals.get(`${offer.name} ${start}`) ?? '';
      return send(
        'POST',
        operation,
        params(
          referring('appointment-reference', `Appointment/${id}`),
          ...(who === 'staff' ? [referring('patient-reference', `Patient/${patient}`)] : []),
          ...(reason ? [reasonParameter] : []),
        ),
      );
    },
    described: () => {
      const resource = resourceOf({ ...roomless, room: undefined }, 'proposed');
      const parameter = { name: 'appointment-resource', resource };
      return send('POST', operation, params(parameter, ...(reason ? [reasonParameter] : [])));
    },
    post: () => send('POST', 'Appointment', posted()),
    bundle: () =>
      send('POST', '', bundle('transaction', { request: { method: 'POST', url: 'Appointment' }, resource: posted() })),
  };
  return {
    text: `${who} ${isHold ? 'holds' : 'books'} by ${door}${reason ? ' with a reason' : ''}: ${offer.name} ${clock(start)} ${room ?? ''} for ${patient}`,
    verdicts: verdictsOf(context, who, undefined, visit, { offeredOnly: isOperation, reason }),
    send: doors[door],
    apply: (answer) => [{ ...visit, id: said(answer) }],
  };
}

export function release(context: Context): Command | undefined {
  const before = anyVisit(context, 'pending', 'cancelled', 'booked', 'waitlist');
  const who: Who = context.random.pick(WHO);
  if (!before) return undefined;
  const after: Visit = { ...before, status: 'cancelled' };
  const send = (): Promise<Answer> => sender(context, who)('POST', `Appointment/${before.id}/$release`);
  const command = changing(context, who, before, after, 'releases', send);
  if (isForeign(who, before)) return command;
  if (!before.hold) return { ...command, verdicts: ['rule'] };
  return before.status === 'cancelled' ? { ...command, verdicts: ['ok'] } : command;
}

export function renew(context: Context): Command | undefined {
  const before = anyVisit(context, 'pending', 'booked');
  const who: Who = context.random.pick(WHO);
  if (!before) return undefined;
  const after: Visit = { ...before, hold: { lapsed: false, renewed: true } };
  const send = (): Promise<Answer> => sender(context, who)('POST', `Appointment/${before.id}/$hold`);
  const command = changing(context, who, before, after, 'holds on to', send);
  const isHold = before.status === 'pending' && before.hold !== undefined && !before.hold.renewed;
  return isHold || isForeign(who, before) ? command : { ...command, verdicts: ['rule'] };
}

export function book(context: Context): Command | undefined {
  const before = anyVisit(context);
  const who: Who = context.random.pick(WHO);
  if (!before) return undefined;
  const asks = who !== 'staff' && before.offer.mode === 'pending';
  const reply: Reply = asks ? 'tentative' : 'accepted';
  const after: Visit = {
    ...before,
    status: asks ? 'pending' : 'booked',
    replies: { patient: 'accepted', others: reply, room: reply },
    hold: undefined,
    expired: false,
  };
  const send = (): Promise<Answer> => sender(context, who)('POST', `Appointment/${before.id}/$book`);
  const command = changing(context, who, before, before.status === 'booked' ? before : after, 'books', send);
  if (isForeign(who, before) || before.status === 'booked') return command;
  if (['arrived', 'checked-in', 'fulfilled', 'noshow', 'entered-in-error'].includes(before.status))
    return { ...command, verdicts: ['rule'] };
  return who !== 'staff' && before.status === 'pending' && !before.hold ? { ...command, verdicts: ['rule'] } : command;
}

/** In these the time is somebody's, unless a hold has run out. */
const HELD: ReadonlySet<Status> = new Set<Status>(['pending', 'booked', 'arrived', 'checked-in', 'fulfilled']);
const WAITS: ReadonlySet<Status> = new Set<Status>(['pending', 'proposed', 'waitlist']);
const agreed = ({ replies, patient, room }: Visit): boolean =>
  (patient === undefined || replies.patient === 'accepted') &&
  replies.others === 'accepted' &&
  (room === undefined || replies.room === 'accepted');

export function confirm(context: Context): Command | undefined {
  const before = anyVisit(context, 'pending', 'booked', 'proposed', 'waitlist', 'arrived');
  const who: Who = context.random.pick(WHO);
  if (!before) return undefined;
  const replies = who === 'staff' ? all('accepted') : { ...before.replies, patient: 'accepted' as const };
  const noted: Visit = { ...before, replies };
  const books = WAITS.has(before.status) && agreed(noted) && (who === 'staff' || before.hold !== undefined);
  const after: Visit = books ? { ...noted, status: 'booked', hold: undefined } : noted;
  const send = (): Promise<Answer> => sender(context, who)('POST', `Appointment/${before.id}/$confirm`);
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
  if (!replaces) return changing(context, who, before, moved, text, send, { offeredOnly: true, reason });
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

/** One ends and another begins, in one transaction. */
export function swap(context: Context): Command | undefined {
  const { random, model } = context;
  const before = anyVisit(context);
  if (!before) return undefined;
  const offer = random.chance(0.6) ? before.offer : random.pick(OFFERS);
  const start = random.chance(0.5) ? before.start : random.pick(model.starts as [number]);
  const fresh: Visit = {
    ...before,
    id: '',
    offer,
    start,
    end: start + HALF_HOUR,
    status: 'booked',
    patient: random.pick(PEOPLE),
    room: offer.rooms[0],
    replies: all('accepted'),
    hold: undefined,
    expired: false,
    forced: false,
    slot: undefined,
    ofSlot: false,
  };
  const ends: Visit = { ...before, status: 'cancelled' };
  const [end = 'ok'] = verdictsOf(context, 'staff', before, ends);
  const send = async (): Promise<Answer> => {
    const now = done(await context.world.clinic.staff('GET', `Appointment/${before.id}`)).body;
    return sender(context, 'staff')(
      'POST',
      '',
      bundle(
        'transaction',
        { request: { method: 'POST', url: 'Appointment' }, resource: resourceOf(fresh, 'booked') },
        { request: { method: 'PUT', url: `Appointment/${before.id}` }, resource: { ...now, status: 'cancelled' } },
      ),
    );
  };
  return {
    text: `staff books ${offer.name} ${clock(start)} for ${fresh.patient ?? ''} and ends ${described(before)}`,
    verdicts: end === 'ok' ? verdictsOf(context, 'staff', undefined, fresh, { ended: [before] }) : [end],
    send,
    apply: (answer) => [ends, { ...fresh, id: said(answer) }],
  };
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

export function block(context: Context): Command {
  const { random, model, world } = context;
  const { schedule } = random.pick(OFFERS);
  const start = random.pick(model.starts as [number]);
  const end = start + random.pick([15, 30, 60]) * 60_000;
  const isNew = random.chance(0.5);
  const body = params({ name: 'start', valueDateTime: iso(start) }, { name: 'end', valueDateTime: iso(end) });
  return {
    text: `staff ${isNew ? 'blocks' : 'unblocks'} ${schedule} from ${clock(start)} to ${clock(end)}`,
    verdicts: ['ok'],
    send: () => world.clinic.staff('POST', `Schedule/${schedule}/$${isNew ? 'block' : 'unblock'}`, body),
    apply: () => {
      if (isNew) model.blocks.push({ schedule, start, end });
      else
        model.blocks.splice(
          0,
          Infinity,
          ...model.blocks.filter((b) => b.schedule !== schedule || b.start < start || b.end > end),
        );
      return [];
    },
  };
}

/** A client that works with Slots alone. */
export function slot(context: Context): Command | undefined {
  const { random, model, world } = context;
  const start = random.pick(model.starts as [number]);
  const visits = [...model.visits.values()];
  // Until the job has looked, a Slot says what was.
  const stale = visits.some((v) => v.status === 'pending' && v.hold?.lapsed && v.offer === VISIT);
  if (stale) return undefined;
  const to = random.pick(['busy-tentative', 'free']);
  const now = slotStatus(model, VISIT, start);
  const url = `Slot/${slotOf(start)}`;
  const send = async (): Promise<Answer> => {
    const { meta } = done(await world.clinic.staff('GET', url)).body;
    const ifMatch = { 'If-Match': `W/"${String(meta?.['versionId'])}"` };
    return world.clinic.staff('PATCH', url, [{ op: 'replace', path: '/status', value: to }], ifMatch);
  };
  const text = `staff makes the Slot of ${clock(start)}, which is ${now}, ${to}`;
  if (to === 'busy-tentative') {
    const held: Visit = {
      id: '',
      offer: VISIT,
      start,
      end: start + HALF_HOUR,
      status: 'pending',
      patient: undefined,
      room: undefined,
      replies: all('tentative'),
      hold: { lapsed: false, renewed: false },
      expired: false,
      forced: false,
      slot: start,
      ofSlot: true,
    };
    return {
      text,
      verdicts: [now === 'free' ? 'ok' : now === 'busy-tentative' ? 'conflict' : 'rule'],
      send,
      apply: () => [held],
    };
  }
  if (now === 'free' || now === 'busy-unavailable') return undefined;
  const there = visits.filter((v) => occupies(v) && v.offer === VISIT && v.start < start + HALF_HOUR && start < v.end);
  const holds = there.every((v) => v.status === 'pending' && v.hold !== undefined && v.slot === start);
  return {
    text,
    verdicts: [holds ? 'ok' : 'rule'],
    send,
    apply: () => there.map((v) => ({ ...v, status: 'cancelled' as const })),
  };
}

/** A hold runs out. */
export function lapse(context: Context): Command | undefined {
  const { random, model, world } = context;
  const holds = [...model.visits.values()].filter((v) => v.status === 'pending' && v.hold?.lapsed === false);
  if (holds.length === 0) return undefined;
  const before = random.pick(holds as [Visit]);
  const { sql } = world.clinic;
  return {
    text: `time passes: ${described(before)}`,
    verdicts: ['ok'],
    send: async () => {
      const rows = await sql(
        `select scheduling_instant(date_trunc('milliseconds', now() - interval '1 second')) as at`,
      );
      const at = String(rows[0]?.['at']);
      await sql(
        `update appointment set content = regexp_replace(content, '(hold-expires","valueInstant":)"[^"]*"', '\\1"${at}"') where id = $1`,
        [before.id],
      );
      await sql('update scheduling_hold set expires = $2::timestamptz where appointment = $1', [before.id, at]);
      await sql('update occupancy set expires = $2::timestamptz where appointment = $1', [before.id, at]);
      return undefined;
    },
    apply: () => [{ ...before, hold: { lapsed: true, renewed: before.hold?.renewed === true } }],
  };
}

export function job({ world, model }: Context): Command {
  const lapsed = [...model.visits.values()].filter((v) => v.status === 'pending' && v.hold?.lapsed);
  return {
    text: `the job ends ${lapsed.length} holds`,
    verdicts: ['ok'],
    send: async () => {
      await expireHolds(partsOf(world.clinic.server.kairos));
      return undefined;
    },
    apply: () => lapsed.map((v) => ({ ...v, status: 'cancelled' as const, expired: true })),
  };
}

/** Each as often as it says. */
export const COMMANDS: readonly (readonly [times: number, (context: Context) => Command | undefined])[] = [
  [8, take],
  [2, release],
  [1, renew],
  [4, book],
  [2, confirm],
  [2, cancel],
  [4, reschedule],
  [5, write],
  [2, shift],
  [2, swap],
  [3, respond],
  [2, step],
  [1, block],
  [2, slot],
  [1, lapse],
  [1, job],
];
