/** Notice, horizon, cancelling and caps: elapsed hours are not days of the calendar. Scheduling semantics D5.9 and D6 to D9. */
import { describe, expect, test } from 'vitest';
import {
  capPeriod,
  earliestStart,
  latestCancel,
  latestStart,
  isUsable,
  problemsOf,
} from '../../../src/scheduling/model/policy.ts';
import type { Notice, Parameters } from '../../../src/scheduling/model/rules.ts';
import { zoneNamed } from '../../../src/scheduling/model/zone.ts';
import { at, HOUR, instant, MINUTE, NEW_YORK, parameters, written } from './calendars.ts';

const zone = zoneNamed(NEW_YORK);
const elapsed = (ms: number): Notice => ({ unit: 'elapsed', ms });
const days = (n: number): Notice => ({ unit: 'days', days: n });
const clock = (moment: number): string => zone.format(moment).slice(0, 16).replace('T', ' ');

describe('minimum notice', () => {
  test('of 24 hours is elapsed time, also over a night that is an hour shorter', () => {
    expect(clock(earliestStart(instant('2026-06-10 15:00'), elapsed(24 * HOUR), zone))).toBe('2026-06-11 15:00');
    expect(clock(earliestStart(instant('2026-03-07 15:00'), elapsed(24 * HOUR), zone))).toBe('2026-03-08 16:00');
  });

  test('of 1 day is the next local date, at whatever time', () => {
    for (const time of ['00:00', '15:00', '23:59']) {
      expect(clock(earliestStart(instant(`2026-06-10 ${time}`), days(1), zone))).toBe('2026-06-11 00:00');
    }
    expect(clock(earliestStart(instant('2026-03-07 23:00'), days(2), zone))).toBe('2026-03-09 00:00');
  });

  test('of nothing is now', () => {
    const now = instant('2026-06-10 15:00');
    expect(earliestStart(now, days(0), zone)).toBe(now);
    expect(earliestStart(now, elapsed(0), zone)).toBe(now);
  });
});

test('where midnight is shown twice, a date begins with the first', () => {
  const havana = zoneNamed('America/Havana');
  const [now, first] = [instant('2026-10-31 12:00', havana.name), Date.UTC(2026, 10, 1, 4)];
  expect([havana.format(first), havana.format(first + HOUR)]).toEqual([
    '2026-11-01T00:00:00-04:00',
    '2026-11-01T00:00:00-05:00',
  ]);
  expect(earliestStart(now, days(1), havana)).toBe(first);
  expect(capPeriod({ per: 'day' }, now, havana, 'mon').end).toBe(first);
});

describe('horizon', () => {
  const now = instant('2026-06-10 07:59');

  test('of days ends with the last local date, at its midnight', () => {
    expect(clock(latestStart(now, { days: 1 }, zone))).toBe('2026-06-12 00:00');
    expect(clock(latestStart(now, { days: 60 }, zone))).toBe('2026-08-10 00:00');
  });

  test('the last date opens at its time', () => {
    const horizon = { days: 7, opensAt: at('08:00') };
    expect(clock(latestStart(now, horizon, zone))).toBe('2026-06-17 00:00');
    expect(clock(latestStart(now + MINUTE, horizon, zone))).toBe('2026-06-18 00:00');
  });

  test('of a date includes it, and the shorter one counts', () => {
    expect(clock(latestStart(now, { until: '2026-07-31' }, zone))).toBe('2026-08-01 00:00');
    expect(clock(latestStart(now, { until: '2026-07-31', days: 3 }, zone))).toBe('2026-06-14 00:00');
    expect(clock(latestStart(now, { until: '2026-06-11', days: 300 }, zone))).toBe('2026-06-12 00:00');
  });

  test('of nothing is 60 days', () => {
    expect(latestStart(now, {}, zone)).toBe(latestStart(now, { days: 60 }, zone));
  });
});

describe('cancelling', () => {
  const start = instant('2026-06-10 09:00');

  test('is possible until so many hours before the start', () => {
    expect(latestCancel(start, elapsed(24 * HOUR), zone)).toBe(start - 24 * HOUR);
    expect(latestCancel(start, elapsed(0), zone)).toBe(start);
  });

  test('is possible until the end of the date so many days before', () => {
    expect(latestCancel(start, days(1), zone)).toBe(instant('2026-06-10 00:00') - 1);
    expect(latestCancel(start, days(2), zone)).toBe(instant('2026-06-09 00:00') - 1);
    expect(latestCancel(start, days(0), zone)).toBe(start);
  });
});

describe('caps count over', () => {
  const period = (per: 'day' | 'week' | 'month', local: string, weekStart: 'mon' | 'sun' = 'mon'): string | undefined =>
    written([capPeriod({ per }, instant(local), zone, weekStart)])[0];

  test('the local day, also one of 25 hours', () => {
    expect(period('day', '2026-06-10 23:30')).toBe('2026-06-10 00:00 to 2026-06-11 00:00');
    const { start, end } = capPeriod({ per: 'day' }, instant('2026-11-01 12:00'), zone, 'mon');
    expect(end - start).toBe(25 * HOUR);
  });

  test('the week from its first day', () => {
    expect(period('week', '2026-06-14 12:00')).toBe('2026-06-08 00:00 to 2026-06-15 00:00');
    expect(period('week', '2026-06-14 12:00', 'sun')).toBe('2026-06-14 00:00 to 2026-06-21 00:00');
    expect(period('week', '2026-06-08 00:00')).toBe('2026-06-08 00:00 to 2026-06-15 00:00');
  });

  test('the month, whatever its length', () => {
    expect(period('month', '2026-02-28 23:59')).toBe('2026-02-01 00:00 to 2026-03-01 00:00');
    expect(period('month', '2026-12-31 12:00')).toBe('2026-12-01 00:00 to 2027-01-01 00:00');
    expect(period('month', '2028-02-29 12:00')).toBe('2028-02-01 00:00 to 2028-03-01 00:00');
  });
});

test('what is wrong with parameters is said, and nothing of those that are right', () => {
  const found = (more: Partial<Parameters>): string[] => [...problemsOf(parameters(more))].map((p) => p.part);
  expect(found({})).toEqual([]);
  const right: Partial<Parameters>[] = [
    { horizon: { until: '2027-01-01' }, capacity: 32, offset: 29, lateCancel: days(1) },
    { duration: 1440, interval: 1440, before: 1440, after: 1440, capacity: 1 },
    { duration: 1, interval: 1, lateCancel: elapsed(0), selfCheckInMs: 0, noShowAfterMs: 0, holdMinutes: 1 },
    { channels: ['staff'], caps: [{ of: 'new-patient', per: 'day', limit: 1 }], holdMinutes: 15 },
    { horizon: { days: 1, opensAt: 0 } },
    { horizon: { days: 3660, opensAt: 1439 } },
  ];
  for (const more of right) {
    expect(found(more), JSON.stringify(more)).toEqual([]);
    expect(isUsable(parameters(more))).toBe(true);
  }
  const patient = (notice: Notice): Partial<Parameters> => ({ notice: { patient: notice, staff: elapsed(0) } });
  const wrong: [Partial<Parameters>, string, boolean?][] = [
    [{ duration: 0 }, 'duration', false],
    [{ duration: 1441 }, 'duration', false],
    [{ interval: 0 }, 'interval', false],
    [{ interval: 1441 }, 'interval', false],
    [{ offset: 30 }, 'offset'],
    [{ offset: -1 }, 'offset'],
    [{ before: -5 }, 'bufferBefore', false],
    [{ after: 1441 }, 'bufferAfter', false],
    [{ capacity: 0 }, 'capacity', false],
    [{ capacity: 33 }, 'capacity', false],
    [{ capacity: 1.5 }, 'capacity', false],
    [{ channels: [] }, 'channel'],
    [{ channels: ['staff', 'staff'] }, 'channel'],
    [patient(elapsed(-1)), 'minimumNotice'],
    [{ ...patient(days(7)), horizon: { days: 7 } }, 'minimumNotice'],
    [{ ...patient(elapsed(48 * HOUR)), horizon: { days: 2 } }, 'minimumNotice'],
    [{ horizon: { opensAt: 1440 } }, 'horizon'],
    [{ horizon: { days: 3661 } }, 'horizon'],
    [{ cancelNotice: elapsed(-1) }, 'cancelNotice'],
    [{ lateCancel: days(-1) }, 'lateCancel'],
    [{ selfCheckInMs: -1 }, 'selfCheckIn'],
    [{ noShowAfterMs: -1 }, 'noShowAfter'],
    [{ holdMinutes: 0 }, 'holdMinutes'],
    [{ holdMinutes: 16 }, 'holdMinutes'],
    [{ caps: [{ of: 'patient', per: 'week', limit: 0 }] }, 'cap'],
  ];
  for (const [more, part, usable = true] of wrong) {
    expect(found(more), JSON.stringify(more)).toEqual([part]);
    expect(isUsable(parameters(more)), JSON.stringify(more)).toBe(usable);
  }
  expect(found({ horizon: { days: 0 } })).toContain('horizon');
});
