/** Zones, held against Intl and Temporal, which we ask nothing of once a zone is known. Scheduling semantics D5. */
import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import { dateOf } from '../../../src/scheduling/model/dates.ts';
import {
  addDays,
  daysBetween,
  tzdataVersion,
  weekdayOf,
  zoneNamed,
  zoneOf,
} from '../../../src/scheduling/model/zone.ts';
import { HOUR, MINUTE } from './calendars.ts';

const ZONES = Intl.supportedValuesOf('timeZone');
const [FROM, TO] = [Date.UTC(2020, 0, 1), Date.UTC(2040, 0, 1)];
const DAY = 1440 * MINUTE;

/** The offset that Intl writes: `GMT-05:00`. */
function offsetReader(name: string): (instant: number) => number {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset', year: 'numeric' });
  return (instant) => {
    const [, sign, hours, minutes] = /GMT(?:([+-])(\d\d):(\d\d))?/.exec(format.format(instant)) ?? [];
    return (sign === '-' ? -1 : 1) * (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * MINUTE;
  };
}

describe('all zones, 2020 to 2040', () => {
  test('offsets are those of Intl, every 25 days and on both sides of every change', () => {
    let changes = 0;
    for (const name of ZONES) {
      const [zone, read] = [zoneNamed(name), offsetReader(name)];
      const instants: number[] = [];
      for (let moment = FROM; moment < TO; moment += 25 * DAY) instants.push(moment);
      for (let change = zone.nextChange(FROM); change < TO; change = zone.nextChange(change)) {
        instants.push(change - 1, change);
        changes++;
      }
      const wrong = instants.filter((moment) => zone.offsetAt(moment) !== read(moment));
      expect(wrong, name).toEqual([]);
    }
    expect(ZONES.length).toBeGreaterThan(400);
    expect(changes).toBeGreaterThan(4000);
  });

  test('a time that clocks jump over is the instant of the jump, and one shown twice has an earlier and a later instant', () => {
    let [gaps, folds] = [0, 0];
    for (const name of ZONES) {
      const zone = zoneNamed(name);
      for (let change = zone.nextChange(FROM); change < TO; change = zone.nextChange(change)) {
        const shift = zone.offsetAt(change) - zone.offsetAt(change - 1);
        // The local minute in the middle of what is left out or shown twice, on the clock that went until the change.
        const local = change + zone.offsetAt(change - 1) + shift / 2;
        const [date, minutes] = [dateOf(Math.floor(local / DAY)), (((local % DAY) + DAY) % DAY) / MINUTE];
        const both = [zone.instantOf(date, minutes, 'start'), zone.instantOf(date, minutes, 'end')];
        if (shift > 0) {
          gaps++;
          expect(both, `${name} ${date}`).toEqual([change, change]);
        } else {
          folds++;
          expect(both, `${name} ${date}`).toEqual([change + shift / 2, change - shift / 2]);
          for (const moment of both) expect(zone.localOf(moment), name).toEqual({ date, minutes });
        }
      }
    }
    expect(Math.min(gaps, folds)).toBeGreaterThan(2000);
  });
});

test('wall clock, instants and texts are those of Temporal', () => {
  const anyInstant = fc.integer({ min: Date.UTC(1975, 0, 1) / 1000, max: Date.UTC(2100, 0, 1) / 1000 });
  fc.assert(
    fc.property(fc.constantFrom(...ZONES), anyInstant, (name, seconds) => {
      const zone = zoneNamed(name);
      const zoned = Temporal.Instant.fromEpochMilliseconds(seconds * 1000).toZonedDateTimeISO(name);
      const local = zone.localOf(seconds * 1000);
      expect(local.date).toBe(zoned.toPlainDate().toString());
      expect(local.minutes).toBeCloseTo(zoned.hour * 60 + zoned.minute + zoned.second / 60, 6);
      expect(Date.parse(zone.format(seconds * 1000))).toBe(seconds * 1000);
      if (zoned.year < 1980) return;
      expect(zone.format(seconds * 1000)).toBe(zoned.toString({ timeZoneName: 'never' }));
      const instants = (['earlier', 'later'] as const).map(
        (disambiguation) => zoned.toPlainDateTime().toZonedDateTime(name, { disambiguation }).epochMilliseconds,
      );
      expect([
        zone.instantOf(local.date, local.minutes, 'start'),
        zone.instantOf(local.date, local.minutes, 'end'),
      ]).toEqual(instants);
    }),
    { numRuns: 600 },
  );
});

describe('single zones', () => {
  test('New York writes its offset, with and without daylight saving time', () => {
    const zone = zoneNamed('America/New_York');
    expect(zone.format(Date.UTC(2026, 10, 27, 14))).toBe('2026-11-27T09:00:00-05:00');
    expect(zone.format(Date.UTC(2026, 6, 27, 13, 0, 0, 250))).toBe('2026-07-27T09:00:00.250-04:00');
    expect(zoneNamed('UTC').format(0)).toBe('1970-01-01T00:00:00+00:00');
  });

  test('Kathmandu is 5:45 ahead', () => {
    const zone = zoneNamed('Asia/Kathmandu');
    expect(zone.format(Date.UTC(2026, 0, 1))).toBe('2026-01-01T05:45:00+05:45');
    expect(zone.instantOf('2026-01-01', 345, 'start')).toBe(Date.UTC(2026, 0, 1));
    expect(zone.nextChange(FROM)).toBe(Infinity);
  });

  test('Lord Howe moves its clocks by half an hour', () => {
    const zone = zoneNamed('Australia/Lord_Howe');
    const change = Date.UTC(2026, 3, 4, 15);
    expect([zone.format(change - MINUTE), zone.format(change)]).toEqual([
      '2026-04-05T01:59:00+11:00',
      '2026-04-05T01:30:00+10:30',
    ]);
    expect(zone.instantOf('2026-04-05', 105, 'end') - zone.instantOf('2026-04-05', 105, 'start')).toBe(30 * MINUTE);
  });

  test('Morocco goes back for Ramadan', () => {
    const zone = zoneNamed('Africa/Casablanca');
    const offsets = ['2026-02-10', '2026-03-01', '2026-04-01'].map((date) =>
      zone.offsetAt(zone.instantOf(date, 720, 'start')),
    );
    expect(offsets.map((offset) => offset / MINUTE)).toEqual([60, 0, 60]);
  });

  test('Samoa left out 30 December 2011', () => {
    const zone = zoneNamed('Pacific/Apia');
    const jump = zone.instantOf('2011-12-31', 0, 'start');
    expect(zone.instantOf('2011-12-30', 0, 'start')).toBe(jump);
    expect(zone.instantOf('2011-12-30', 720, 'end')).toBe(jump);
    expect(zone.localOf(jump - 1).date).toBe('2011-12-29');
  });

  test('changes near the ends of what is looked up at once are found', () => {
    // 1935-02-28 and 2004-11-03, each within days of a change of its zone.
    const [early, late] = [-2 * 2 ** 39, 2 * 2 ** 39];
    const cordoba = zoneNamed('America/Cordoba');
    const offsets = [early - HOUR, early, early + HOUR, early + DAY].map((moment) => cordoba.offsetAt(moment) / HOUR);
    expect(offsets).toEqual([-3, -3, -3, -4]);
    const paulo = zoneNamed('America/Sao_Paulo');
    const jump = Date.UTC(2004, 10, 2, 3);
    expect(paulo.nextChange(jump - 1)).toBe(jump);
    expect(paulo.instantOf('2004-11-02', 30, 'start')).toBe(jump);
    expect([late - 1, late].map((moment) => paulo.offsetAt(moment) / HOUR)).toEqual([-2, -2]);
    // The next change is beyond the end.
    expect(paulo.nextChange(late - 1)).toBe(paulo.nextChange(late));
  });

  test('far from our years the offset goes on, and nothing throws', () => {
    const zone = zoneNamed('Europe/Berlin');
    expect(zone.localOf(Date.UTC(9999, 5, 1)).date).toBe('9999-06-01');
    expect(zone.localOf(Date.UTC(1000, 5, 1)).date).toBe('1000-06-01');
    expect(zone.nextChange(Date.UTC(2500, 0, 1))).toBe(Infinity);
  });
});

test('only names of zones are zones, and one zone has one name', () => {
  for (const name of [
    '',
    'Mars/Olympus',
    '+02:00',
    '2020-01-01T00:00[Europe/Berlin]',
    'Europe/Berlin ',
    '__proto__',
    'Z;',
  ]) {
    expect(zoneOf(name), name).toBeUndefined();
  }
  expect(zoneOf('europe/berlin')).toBe(zoneOf('Europe/Berlin'));
  expect(zoneOf('europe/berlin')?.name).toBe('Europe/Berlin');
  expect(() => zoneNamed('Mars/Olympus')).toThrow(RangeError);
  expect(tzdataVersion).toMatch(/^20\d\d[a-z]/);
});

test('days of the calendar are those of Temporal', () => {
  fc.assert(
    fc.property(fc.integer({ min: -20_000, max: 60_000 }), fc.integer({ min: -2000, max: 2000 }), (day, days) => {
      const date = Temporal.PlainDate.from('1970-01-01').add({ days: day });
      const other = date.add({ days });
      expect(addDays(date.toString(), days)).toBe(other.toString());
      expect(daysBetween(date.toString(), other.toString())).toBe(days);
      expect(weekdayOf(date.toString())).toBe(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'][date.dayOfWeek - 1]);
    }),
  );
});
