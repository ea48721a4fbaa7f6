/**
 * The ways of an appointment through its statuses: who may take it from where to where, on which condition. All doors ask this table.
 * @see https://hl7.org/fhir/R4/valueset-appointmentstatus.html
 */
import { DAY } from './dates.ts';
import type { Channel } from './rules.ts';
import { zoneNamed, zoneOf } from './zone.ts';

export const STATUSES = [
  'proposed',
  'pending',
  'booked',
  'arrived',
  'fulfilled',
  'cancelled',
  'noshow',
  'entered-in-error',
  'checked-in',
  'waitlist',
] as const;
export type Status = (typeof STATUSES)[number];

/** In these the visit occupies its actors. */
export const HOLDS_TIME: ReadonlySet<Status> = new Set<Status>([
  'pending',
  'booked',
  'arrived',
  'checked-in',
  'fulfilled',
]);

/** In these it is over; what may still be written about it does not move time. */
export const OVER: ReadonlySet<Status> = new Set<Status>(['fulfilled', 'cancelled', 'noshow', 'entered-in-error']);

export type Condition = 'no-front-desk' | 'self-check-in' | 'same-day' | 'begun' | 'move' | 'held';

export interface Move {
  readonly to: Status;
  readonly by: readonly Channel[];
  /** Takes a step back: within 24 hours of it. */
  readonly undo?: true;
  readonly condition?: Condition;
}

const ANYONE: readonly Channel[] = ['patient', 'staff'];
const STAFF: readonly Channel[] = ['staff'];
const PATIENT: readonly Channel[] = ['patient'];

const to = (to: Status, by: readonly Channel[], condition?: Condition): Move => ({
  to,
  by,
  ...(condition && { condition }),
});
const back = (to: Status, condition?: Condition): Move => ({
  to,
  by: STAFF,
  undo: true,
  ...(condition && { condition }),
});

// A row for each status. A status to itself is a change of what the appointment says; for a booked one that may be another time.
// prettier-ignore
const TABLE: Readonly<Record<Status | 'new', readonly Move[]>> = {
  new: [to('proposed', ANYONE), to('pending', ANYONE), to('booked', ANYONE), to('waitlist', ANYONE), to('arrived', STAFF)],
  proposed: [to('proposed', ANYONE), to('pending', ANYONE), to('booked', ANYONE), to('waitlist', STAFF), to('cancelled', ANYONE)],
  waitlist: [to('waitlist', ANYONE), to('proposed', STAFF), to('pending', STAFF), to('booked', STAFF), to('cancelled', ANYONE)],
  pending: [to('pending', ANYONE), to('booked', STAFF), to('booked', PATIENT, 'held'), to('cancelled', ANYONE), to('waitlist', STAFF)],
  booked: [
    to('booked', ANYONE, 'move'), to('arrived', STAFF), to('checked-in', STAFF), to('checked-in', PATIENT, 'self-check-in'),
    to('noshow', STAFF, 'begun'), to('cancelled', ANYONE), to('fulfilled', STAFF, 'no-front-desk'),
  ],
  arrived: [to('arrived', ANYONE), to('checked-in', STAFF), to('fulfilled', STAFF), to('cancelled', STAFF), back('booked'), back('noshow', 'begun')],
  'checked-in': [to('checked-in', ANYONE), to('fulfilled', STAFF), back('arrived'), to('cancelled', STAFF)],
  fulfilled: [to('fulfilled', STAFF), to('entered-in-error', STAFF), back('checked-in')],
  noshow: [to('noshow', STAFF), back('booked', 'same-day'), back('arrived', 'same-day'), to('entered-in-error', STAFF)],
  cancelled: [to('cancelled', STAFF), to('entered-in-error', STAFF), back('booked')],
  'entered-in-error': [to('entered-in-error', STAFF)],
};

/** Where an appointment may go from here, whoever takes it. @param from undefined: it is new */
export const movesFrom = (from: Status | undefined): readonly Move[] => TABLE[from ?? 'new'];

export interface Facts {
  readonly channel: Channel;
  readonly now: number;
  /** When the version before was written. */
  readonly changedAt?: number;
  readonly start?: number;
  readonly noFrontDesk: boolean;
  readonly selfCheckInMs?: number;
  readonly zone?: string;
  /** A pending one waits for somebody's approval: it is no hold that its holder may book. */
  readonly awaitingApproval?: boolean;
  /** It tells what happened elsewhere, by clocks of its own. */
  readonly isSystem?: boolean;
}

export type Judgement =
  { readonly ok: true } | { readonly ok: false; readonly reason: string; readonly legal: readonly Status[] };

function sameDay({ now, start, zone }: Facts): boolean {
  const at = zoneOf(zone ?? 'UTC');
  return start !== undefined && at !== undefined && at.localOf(now).date === at.localOf(start).date;
}

const hasBegun = ({ now, start, isSystem }: Facts): boolean => isSystem === true || start === undefined || now >= start;

const written = (instant: number, zone = 'UTC'): string => (zoneOf(zone) ?? zoneNamed('UTC')).format(instant);

const inCheckInWindow = ({ now, start, selfCheckInMs }: Facts): boolean =>
  start !== undefined && selfCheckInMs !== undefined && now >= start - selfCheckInMs && now <= start;

/** What speaks against a move; undefined: nothing. */
function objection(move: Move, facts: Facts): string | undefined {
  if (move.undo && !(facts.changedAt !== undefined && facts.now - facts.changedAt <= DAY)) {
    return 'a step back is possible for 24 hours';
  }
  switch (move.condition) {
    case 'no-front-desk':
      return facts.noFrontDesk ? undefined : 'only a service without a front desk goes from booked to fulfilled';
    case 'self-check-in':
      return inCheckInWindow(facts) ? undefined : 'it is not the time at which patients may check in themselves';
    case 'same-day':
      return sameDay(facts) ? undefined : 'it can be taken back on the day of the visit only';
    case 'begun':
      return hasBegun(facts)
        ? undefined
        : `that somebody did not come can be said from ${written(facts.start ?? 0, facts.zone)} on, when the visit begins`;
    case 'held':
      return facts.awaitingApproval ? 'it waits for approval' : undefined;
    case 'move':
    case undefined:
      return undefined;
    default:
      return move.condition satisfies never;
  }
}

/** Whether an appointment may go from one status to another. @param from undefined: it is new */
export function judgeMove(from: Status | undefined, to: Status, facts: Facts): Judgement {
  const mine = movesFrom(from).filter((move) => move.by.includes(facts.channel));
  const objections = mine.filter((move) => move.to === to).map((move) => objection(move, facts));
  if (objections.includes(undefined)) return { ok: true };
  const legal = mine.filter((move) => move.to !== from && objection(move, facts) === undefined).map((move) => move.to);
  return { ok: false, reason: objections[0] ?? refusal(from, to, facts.channel), legal: [...new Set(legal)] };
}

function refusal(from: Status | undefined, to: Status, channel: Channel): string {
  const others = movesFrom(from).some((move) => move.to === to);
  const way = from === undefined ? `a new appointment cannot be ${to}` : `${from} does not go to ${to}`;
  return others && channel === 'patient' ? `${way}, unless staff does it` : way;
}
