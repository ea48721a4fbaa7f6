/** The state machine of appointments, held against the table of the specification, copied here in its own shape. Scheduling semantics D1. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Facts,
  HOLDS_TIME,
  judgeMove,
  movesFrom,
  OVER,
  type Status,
  STATUSES,
} from '../../../src/scheduling/model/status.ts';
import { HOUR, instant, MINUTE, NEW_YORK } from './calendars.ts';

// status: where to. ¹ no front desk, ² undo, p: patients as well, c: patients in their window, h: patients who hold it.
const SPECIFIED: Readonly<Record<Status | 'new', string>> = {
  new: 'proposed:p pending:p booked:p waitlist:p arrived',
  proposed: 'pending:p booked:p waitlist cancelled:p',
  waitlist: 'proposed pending booked cancelled:p',
  pending: 'booked:h cancelled:p waitlist',
  booked: 'arrived checked-in:c noshow cancelled:p fulfilled:1',
  arrived: 'checked-in fulfilled cancelled booked:2 noshow:2',
  'checked-in': 'fulfilled arrived:2 cancelled',
  fulfilled: 'entered-in-error checked-in:2',
  noshow: 'booked:2 arrived:2 entered-in-error',
  cancelled: 'entered-in-error booked:2',
  'entered-in-error': '',
};
const specified = (from: Status | 'new'): Map<string, string> =>
  new Map(
    SPECIFIED[from]
      .split(' ')
      .filter((each) => each !== '')
      .map((each) => [each.split(':')[0] ?? '', each.split(':')[1] ?? '']),
  );

const start = instant('2026-06-10 10:00');
const FACTS: Facts = {
  channel: 'staff',
  now: start,
  changedAt: start - HOUR,
  start,
  noFrontDesk: false,
  zone: NEW_YORK,
};
const may = (from: Status | undefined, to: Status, more: Partial<Facts> = {}): boolean =>
  judgeMove(from, to, { ...FACTS, ...more }).ok;
const froms = [undefined, ...STATUSES] as const;

test('staff may make every move of the table and no other, when its conditions hold', () => {
  for (const from of froms) {
    const moves = specified(from ?? 'new');
    for (const to of STATUSES) {
      if (from === to) continue;
      expect(may(from, to, { noFrontDesk: true }), `${from} to ${to}`).toBe(moves.has(to));
      expect(may(from, to), `${from} to ${to}, with a front desk`).toBe(moves.has(to) && moves.get(to) !== '1');
      const late = { noFrontDesk: true, changedAt: start - 25 * HOUR };
      expect(may(from, to, late), `${from} to ${to}, late`).toBe(moves.has(to) && moves.get(to) !== '2');
    }
  }
});

test('patients may make their own moves and no other', () => {
  const patient: Partial<Facts> = { channel: 'patient', noFrontDesk: true, selfCheckInMs: HOUR };
  for (const from of froms) {
    const moves = specified(from ?? 'new');
    for (const to of STATUSES) {
      if (from !== to) expect(may(from, to, patient), `${from} to ${to}`).toBe(/[pch]/.test(moves.get(to) ?? ''));
    }
  }
});

describe('conditions', () => {
  test('a step back is possible for 24 hours, and not when nobody knows since when', () => {
    expect(may('arrived', 'booked', { changedAt: start - 24 * HOUR })).toBe(true);
    expect(may('arrived', 'booked', { changedAt: start - 24 * HOUR - 1 })).toBe(false);
    expect(judgeMove('arrived', 'booked', { channel: 'staff', now: start, noFrontDesk: false }).ok).toBe(false);
  });

  test('a no-show is taken back on the day of the visit, by the clock of the place', () => {
    const late = instant('2026-06-10 23:30');
    expect(may('noshow', 'booked', { now: late, changedAt: late })).toBe(true);
    expect(may('noshow', 'arrived', { now: late + HOUR, changedAt: late })).toBe(false);
    expect(may('noshow', 'entered-in-error', { now: late + 90 * 24 * HOUR })).toBe(true);
  });

  test('that somebody did not come is said from the start on; a system tells what happened elsewhere', () => {
    for (const from of ['booked', 'arrived'] as const) {
      expect(may(from, 'noshow', { now: start - 1 })).toBe(false);
      expect(may(from, 'noshow', { now: start })).toBe(true);
      expect(may(from, 'noshow', { now: start - 1, isSystem: true })).toBe(true);
    }
    expect(judgeMove('booked', 'noshow', { ...FACTS, now: start - HOUR })).toEqual({
      ok: false,
      reason: 'that somebody did not come can be said from 2026-06-10T10:00:00-04:00 on, when the visit begins',
      legal: ['arrived', 'checked-in', 'cancelled'],
    });
  });

  test('patients check in within the window before the start', () => {
    const patient = (now: number): boolean =>
      may('booked', 'checked-in', { channel: 'patient', now, selfCheckInMs: 30 * MINUTE });
    expect([-31, -30, 0, 1].map((minutes) => patient(start + minutes * MINUTE))).toEqual([false, true, true, false]);
    expect(may('booked', 'checked-in', { channel: 'patient' })).toBe(false);
    expect(may('booked', 'checked-in', { now: start - 5 * HOUR })).toBe(true);
  });

  test('patients book what they hold, not what waits for approval', () => {
    expect(may('pending', 'booked', { channel: 'patient' })).toBe(true);
    expect(may('pending', 'booked', { channel: 'patient', awaitingApproval: true })).toBe(false);
    expect(may('pending', 'booked', { awaitingApproval: true })).toBe(true);
  });
});

test('what is over may be written about by staff, what is not by both', () => {
  for (const status of STATUSES) {
    expect(may(status, status)).toBe(true);
    expect(may(status, status, { channel: 'patient' }), status).toBe(!OVER.has(status));
  }
});

test('a refusal says why, and what is legal instead', () => {
  expect(judgeMove('booked', 'fulfilled', FACTS)).toEqual({
    ok: false,
    reason: 'only a service without a front desk goes from booked to fulfilled',
    legal: ['arrived', 'checked-in', 'noshow', 'cancelled'],
  });
  expect(judgeMove('booked', 'arrived', { ...FACTS, channel: 'patient' })).toEqual({
    ok: false,
    reason: 'booked does not go to arrived, unless staff does it',
    legal: ['cancelled'],
  });
  expect(judgeMove('booked', 'waitlist', { ...FACTS, channel: 'patient' })).toMatchObject({
    reason: 'booked does not go to waitlist',
  });
  expect(judgeMove(undefined, 'fulfilled', FACTS)).toMatchObject({ reason: 'a new appointment cannot be fulfilled' });
  expect(judgeMove('entered-in-error', 'booked', FACTS)).toEqual({
    ok: false,
    reason: 'entered-in-error does not go to booked',
    legal: [],
  });
  expect(judgeMove('arrived', 'booked', { ...FACTS, changedAt: 0 })).toMatchObject({
    reason: 'a step back is possible for 24 hours',
    legal: ['checked-in', 'fulfilled', 'cancelled'],
  });
});

test('whatever is tried in whatever order, only ways of the table are gone', () => {
  const attempt = fc.record({
    to: fc.constantFrom(...STATUSES),
    channel: fc.constantFrom('patient', 'staff'),
    hours: fc.integer({ min: 0, max: 30 }),
    noFrontDesk: fc.boolean(),
    selfCheckInMs: fc.constantFrom(0, HOUR),
  });
  const reached = new Set<string>();
  fc.assert(
    fc.property(fc.array(attempt, { maxLength: 40 }), (attempts) => {
      let [status, changedAt, now]: [Status | undefined, number, number] = [
        undefined,
        start - 48 * HOUR,
        start - 48 * HOUR,
      ];
      for (const { to, hours, ...facts } of attempts) {
        now += hours * HOUR;
        const verdict = judgeMove(status, to, { ...FACTS, ...facts, now, changedAt });
        if (!verdict.ok) {
          // What is said to be legal is.
          for (const other of verdict.legal)
            expect(judgeMove(status, other, { ...FACTS, ...facts, now, changedAt }).ok).toBe(true);
          continue;
        }
        if (to !== status) {
          const mark = specified(status ?? 'new').get(to);
          expect(mark, `${status} to ${to}`).toBeDefined();
          if (mark === '2') expect(now - changedAt).toBeLessThanOrEqual(24 * HOUR);
          if (mark === '1') expect(facts.noFrontDesk).toBe(true);
          if (facts.channel === 'patient') expect(mark).toMatch(/^[pch]$/);
          reached.add(`${status} to ${to}`);
        }
        [status, changedAt] = [to, now];
      }
    }),
    { numRuns: 1500 },
  );
  // Walks that went nowhere would prove nothing.
  expect(reached.size).toBeGreaterThan(25);
});

test('time is held from pending to fulfilled, and every move leads to a status', () => {
  expect([...HOLDS_TIME].sort()).toEqual(['arrived', 'booked', 'checked-in', 'fulfilled', 'pending']);
  for (const from of froms) for (const move of movesFrom(from)) expect(STATUSES).toContain(move.to);
  expect(movesFrom('booked').find((move) => move.to === 'booked')?.condition).toBe('move');
});
