/**
 * A calendar as one would keep it on paper: a list of visits, who is where when, and the table of the statuses. It shares nothing with the server's own
 * model, and says of each change whether it may be. Scheduling semantics D1, D3, D4, D6.
 */

export const STATUSES = [
  'proposed',
  'pending',
  'booked',
  'arrived',
  'checked-in',
  'fulfilled',
  'cancelled',
  'noshow',
  'entered-in-error',
  'waitlist',
] as const;
export type Status = (typeof STATUSES)[number];
export type Person = 'ann' | 'bob' | 'eve';
export type Channel = 'patient' | 'staff';
/** What the server says: it is done, somebody else has the time, a rule is against it, it is not theirs. */
export type Verdict = 'ok' | 'conflict' | 'rule' | 'denied';
export type Reply = 'accepted' | 'tentative' | 'needs-action' | 'declined';

/** A service of a practitioner. All visits last half an hour. */
export interface Offer {
  readonly name: string;
  readonly schedule: string;
  readonly practitioner: string;
  readonly capacity: number;
  /** One of them is needed. */
  readonly rooms: readonly string[];
  /** What patients make of it. */
  readonly mode: 'booked' | 'pending';
}

export interface Visit {
  readonly id: string;
  readonly offer: Offer;
  readonly start: number;
  readonly end: number;
  readonly status: Status;
  readonly patient: Person | undefined;
  readonly room: string | undefined;
  readonly replies: { readonly patient: Reply; readonly others: Reply; readonly room: Reply };
  /** It is, or was, a hold. */
  readonly hold: { readonly lapsed: boolean; readonly renewed: boolean } | undefined;
  /** Ended by the clock. */
  readonly expired: boolean;
  /** For what time it says that it is booked over others. */
  readonly forced: boolean;
  /** Names the Slot of its time, or of one that it had. */
  readonly slot: number | undefined;
  /** A hold of the Slot itself: whoever has it books by naming the Slot. */
  readonly ofSlot: boolean;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

const meet = (a: Span, b: Span): boolean => a.start < b.end && b.start < a.end;

// Copied from the table of the specification. p: patients as well, h: patients who hold it; what needs a special service, day or hour is left out.
const NEXT: Readonly<Record<Status | 'new', string>> = {
  new: 'proposed:p pending:p booked:p waitlist:p arrived',
  proposed: 'proposed:p pending:p booked:p waitlist cancelled:p',
  waitlist: 'waitlist:p proposed pending booked cancelled:p',
  pending: 'pending:p booked:h cancelled:p waitlist',
  booked: 'booked:p arrived checked-in cancelled:p',
  arrived: 'arrived:p checked-in fulfilled cancelled booked',
  'checked-in': 'checked-in:p fulfilled arrived cancelled',
  fulfilled: 'fulfilled entered-in-error checked-in',
  noshow: 'noshow entered-in-error',
  cancelled: 'cancelled entered-in-error booked',
  'entered-in-error': 'entered-in-error',
};
const OVER: ReadonlySet<Status> = new Set(['fulfilled', 'cancelled', 'noshow', 'entered-in-error']);
const OCCUPIES: ReadonlySet<Status> = new Set(['pending', 'booked', 'arrived', 'checked-in', 'fulfilled']);

export const occupies = ({ status, hold }: Visit): boolean =>
  OCCUPIES.has(status) && !(status === 'pending' && hold?.lapsed === true);

/** Whom a visit needs. */
export function peopleOf({ offer, room, patient, replies }: Visit): string[] {
  return [
    ...(replies.others === 'declined' ? [] : [offer.practitioner]),
    ...(room === undefined || replies.room === 'declined' ? [] : [room]),
    ...(patient === undefined || replies.patient === 'declined' ? [] : [patient]),
  ];
}
const PATIENTS: ReadonlySet<string> = new Set<Person>(['ann', 'bob', 'eve']);

export interface Change {
  readonly channel: Channel;
  /** It is an operation: it books what is offered. */
  readonly offeredOnly: boolean;
  /** A reason to book over others comes with this change. */
  readonly reason?: boolean;
  /** Visits that end in the same act. */
  readonly ended?: readonly Visit[];
}

export interface CalendarModel {
  readonly visits: Map<string, Visit>;
  readonly blocks: (Span & { readonly schedule: string })[];
  /** Starts that the hours offer. */
  readonly starts: readonly number[];
}

const LENGTH = 30 * 60_000;

const isBlocked = ({ blocks }: CalendarModel, { offer, start, end }: Pick<Visit, 'offer' | 'start' | 'end'>): boolean =>
  blocks.some((b) => b.schedule === offer.schedule && meet(b, { start, end }));

/** Whether somebody has no room for one more visit. */
function isFull(model: CalendarModel, who: string, visit: Visit, but: readonly Visit[] = []): boolean {
  const tolerated = ({ offer }: Visit): number => (PATIENTS.has(who) ? 1 : offer.capacity);
  const others = [...model.visits.values()].filter(
    (v) =>
      v.id !== visit.id &&
      !but.some((b) => b.id === v.id) &&
      occupies(v) &&
      meet(v, visit) &&
      peopleOf(v).includes(who),
  );
  return others.length > 0 && others.length + 1 > Math.min(tolerated(visit), ...others.map(tolerated));
}

export const isOnGrid = ({ starts }: CalendarModel, { start, end }: Span): boolean =>
  starts.includes(start) && end === start + LENGTH;

const sketch = (offer: Offer, start: number, room?: string): Visit => ({
  id: '',
  offer,
  start,
  end: start + LENGTH,
  status: 'booked',
  patient: undefined,
  room,
  replies: { patient: 'accepted', others: 'accepted', room: 'accepted' },
  hold: undefined,
  expired: false,
  forced: false,
  slot: undefined,
  ofSlot: false,
});

/** Rooms that nobody has at a time, whatever else stands against a visit then. */
export const roomsLeft = (
  model: CalendarModel,
  offer: Offer,
  start: number,
  but: readonly Visit[] = [],
): readonly string[] => offer.rooms.filter((room) => !isFull(model, room, sketch(offer, start, room), but));

/** Rooms that a visit could have at a time, when all else is free. @param but visits that are not in the way */
export function freeRooms(
  model: CalendarModel,
  offer: Offer,
  start: number,
  but: readonly Visit[] = [],
): readonly string[] {
  const visit = sketch(offer, start);
  if (!isOnGrid(model, visit) || isBlocked(model, visit) || isFull(model, offer.practitioner, visit, but)) return [];
  return roomsLeft(model, offer, start, but);
}

/** What `$find` should offer. */
export const freeStarts = (model: CalendarModel, offer: Offer): readonly number[] =>
  model.starts.filter((start) => {
    const visit = sketch(offer, start);
    if (isBlocked(model, visit) || isFull(model, offer.practitioner, visit)) return false;
    return offer.rooms.length === 0 || freeRooms(model, offer, start).length > 0;
  });

/** What the Slot of a start should say. */
export function slotStatus(model: CalendarModel, offer: Offer, start: number): string {
  const visit = sketch(offer, start);
  if (isBlocked(model, visit)) return 'busy-unavailable';
  const there = [...model.visits.values()].filter(
    (v) => occupies(v) && meet(v, visit) && peopleOf(v).includes(offer.practitioner),
  );
  if (!isFull(model, offer.practitioner, visit)) return 'free';
  return there.some((v) => v.status !== 'pending') ? 'busy' : 'busy-tentative';
}

const moves = (before: Visit, after: Visit): boolean =>
  before.start !== after.start || before.end !== after.end || String(peopleOf(before)) !== String(peopleOf(after));
/** At a time, or with somebody, that it was not before. */
const takes = (before: Visit, after: Visit): boolean =>
  before.start !== after.start ||
  before.end !== after.end ||
  peopleOf(after).some((p) => !peopleOf(before).includes(p));

/** Whether the table has the step. */
function isLegal(before: Visit | undefined, after: Visit, channel: Channel): boolean {
  const wonAgain =
    before?.status === 'cancelled' &&
    before.expired &&
    (after.status === 'booked' || (channel === 'patient' && after.status === 'pending' && !after.hold));
  const from = before === undefined ? 'new' : wonAgain ? 'pending' : before.status;
  const step = NEXT[from].split(' ').find((s) => s.split(':')[0] === after.status);
  if (step === undefined) return false;
  if (channel === 'staff') return true;
  return step.endsWith(':p') || (step.endsWith(':h') && before?.hold !== undefined);
}

/** Whether patients may take it: what is offered, in the way that the service has it. */
const isForPatients = (model: CalendarModel, after: Visit): boolean =>
  isOnGrid(model, after) &&
  ((after.status === 'pending' && after.hold !== undefined) || after.status === after.offer.mode) &&
  (after.offer.rooms.length === 0 || (after.room !== undefined && after.offer.rooms.includes(after.room)));

/** What the server must say to a change. The order is that of who knows best: rules of the clinic, then who was first. */
export function judge(model: CalendarModel, before: Visit | undefined, after: Visit, change: Change): Verdict {
  const { channel, offeredOnly, reason = false, ended = [] } = change;
  if (!isLegal(before, after, channel)) return 'rule';
  if (before && OVER.has(before.status) && OVER.has(after.status) && moves(before, after)) return 'rule';
  if (
    channel === 'patient' &&
    before?.status === 'pending' &&
    after.status === 'booked' &&
    after.offer.mode !== 'booked'
  )
    return 'rule';
  const hasBegun = before?.status === 'arrived' || before?.status === 'checked-in';
  if (channel === 'patient' && hasBegun && moves(before, after)) return 'rule';
  if (!OCCUPIES.has(after.status)) return 'ok';
  if (channel === 'patient' && after.patient === undefined) return 'rule';
  const isTaken = !before || !OCCUPIES.has(before.status) || takes(before, after);
  if (isTaken && channel === 'patient' && !isForPatients(model, after)) return 'rule';
  if (isTaken && offeredOnly && !reason && channel === 'staff' && !isOnGrid(model, after)) return 'rule';
  // Nothing of it is new to the calendar.
  if (before && OCCUPIES.has(before.status) && before.status !== 'pending' && !moves(before, after)) return 'ok';
  const sameTime = before?.start === after.start && before.end === after.end;
  const forced = reason || (after.forced && sameTime);
  const had = (who: string): boolean =>
    before !== undefined &&
    occupies(before) &&
    before.start <= after.start &&
    before.end >= after.end &&
    peopleOf(before).includes(who);
  if (!forced && isBlocked(model, after) && !peopleOf(after).some(had)) return 'conflict';
  for (const who of peopleOf(after)) {
    if (had(who) || !isFull(model, who, after, ended)) continue;
    const forgiven = reason || (forced && before !== undefined && peopleOf(before).includes(who));
    if (!forgiven && !(channel === 'staff' && PATIENTS.has(who))) return 'conflict';
  }
  if (channel === 'patient' && after.status === 'pending' && after.hold) {
    const others = [...model.visits.values()].filter(
      (v) => v.id !== after.id && v.status === 'pending' && v.hold?.lapsed === false && v.patient === after.patient,
    );
    if (others.length >= 2) return 'rule';
  }
  return 'ok';
}

/** A patient whom staff has put into two places may be told so when they touch one of them: which came first only the server knows. */
export const isInTwoPlaces = (model: CalendarModel, visit: Visit): boolean =>
  visit.patient !== undefined &&
  [...model.visits.values()].some(
    (v) => v.id !== visit.id && OCCUPIES.has(v.status) && v.patient === visit.patient && meet(v, visit),
  );
