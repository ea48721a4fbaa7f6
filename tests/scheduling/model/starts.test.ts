/** Starts on the grid of the wall clock, in all zones. Scheduling semantics D5.3 to D5.5. */
import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import { type Window, windowsOf } from '../../../src/scheduling/model/availability.ts';
import { dateOf, dayNumber } from '../../../src/scheduling/model/dates.ts';
import type { Parameters as Layout } from '../../../src/scheduling/model/rules.ts';
import { candidateStarts } from '../../../src/scheduling/model/starts.ts';
import { zoneNamed } from '../../../src/scheduling/model/zone.ts';
import { at, calendar, HOUR, instant, MINUTE, NEW_YORK, parameters, rule } from './calendars.ts';

const ZONES = Intl.supportedValuesOf('timeZone');

/** Starts of the windows of a date, as they are written. */
function startsOf(date: string, start: string, end: string, more: Partial<Layout> = {}, zone = NEW_YORK): string[] {
  const windows = windowsOf(calendar([rule(start, end)], { zone }), date);
  return windows.flatMap((window) => candidateStarts(window, parameters(more))).map(zoneNamed(zone).format);
}
const clocks = (...of: Parameters<typeof startsOf>): string[] => startsOf(...of).map((text) => text.slice(11, 16));

describe('the check values of D5.5: New York 2026, visits of 30 minutes', () => {
  const [spring, autumn, ordinary] = ['2026-03-08', '2026-11-01', '2026-06-10'];

  test('00:00 to 06:00 has 10 starts on 8 March, none of them in the gap', () => {
    const starts = clocks(spring, '00:00', '06:00');
    expect(starts).toHaveLength(10);
    expect(starts).not.toContain('02:00');
    expect(starts).not.toContain('02:30');
    expect(starts.slice(3, 5)).toEqual(['01:30', '03:00']);
  });

  test('00:00 to 06:00 has 14 starts on 1 November, of which 01:00 and 01:30 are two each', () => {
    expect(clocks(autumn, '00:00', '06:00')).toHaveLength(14);
    expect(startsOf(autumn, '00:00', '06:00').slice(2, 6)).toEqual([
      '2026-11-01T01:00:00-04:00',
      '2026-11-01T01:30:00-04:00',
      '2026-11-01T01:00:00-05:00',
      '2026-11-01T01:30:00-05:00',
    ]);
  });

  test('00:00 to 06:00 has 12 starts on an ordinary day', () => {
    expect(clocks(ordinary, '00:00', '06:00')).toHaveLength(12);
  });

  test.each([spring, autumn, ordinary])('09:00 to 17:00 has 16 starts on %s', (date) => {
    const starts = clocks(date, '09:00', '17:00');
    expect(starts).toHaveLength(16);
    expect([starts[0], starts.at(-1)]).toEqual(['09:00', '16:30']);
  });
});

describe('single zones', () => {
  test('Lord Howe stays on the grid when clocks move by half an hour', () => {
    const zone = 'Australia/Lord_Howe';
    const more = { duration: 60, interval: 60 };
    expect(startsOf('2026-04-05', '00:00', '04:00', more, zone)).toEqual([
      '2026-04-05T00:00:00+11:00',
      '2026-04-05T01:00:00+11:00',
      '2026-04-05T02:00:00+10:30',
      '2026-04-05T03:00:00+10:30',
    ]);
    expect(clocks('2026-10-04', '00:00', '04:00', more, zone)).toEqual(['00:00', '01:00', '03:00']);
    expect(clocks('2026-04-05', '01:00', '02:30', {}, zone)).toEqual(['01:00', '01:30', '01:30', '02:00']);
  });

  test('Kathmandu has the grid of its own wall clock', () => {
    expect(startsOf('2026-06-10', '09:00', '10:00', {}, 'Asia/Kathmandu')).toEqual([
      '2026-06-10T09:00:00+05:45',
      '2026-06-10T09:30:00+05:45',
    ]);
  });

  test('Morocco leaves out and repeats an hour around Ramadan', () => {
    const zone = 'Africa/Casablanca';
    expect(clocks('2026-02-15', '01:00', '04:00', { interval: 60 }, zone)).toEqual([
      '01:00',
      '02:00',
      '02:00',
      '03:00',
    ]);
    expect(clocks('2026-03-22', '01:00', '04:00', { interval: 60 }, zone)).toEqual(['01:00', '03:00']);
  });
});

describe('the grid', () => {
  test('is counted from local midnight, not from the start of the hours', () => {
    expect(clocks('2026-06-10', '09:10', '11:00', { interval: 20 })).toEqual(['09:20', '09:40', '10:00', '10:20']);
    expect(clocks('2026-06-10', '09:00', '10:30', { interval: 20, offset: 10 })).toEqual(['09:10', '09:30', '09:50']);
  });

  test('is counted anew after midnight', () => {
    expect(clocks('2026-06-10', '22:00', '02:00', { interval: 50 })).toEqual(['22:30', '23:20', '00:00', '00:50']);
  });

  test('of an opening is counted from the start of the opening', () => {
    const start = instant('2026-06-10 09:10');
    const window: Window = { start, end: start + HOUR, breaks: [], origin: { kind: 'opening' }, zone: NEW_YORK };
    expect(candidateStarts(window, parameters({ interval: 20 }))).toEqual([start, start + 20 * MINUTE]);
  });

  test('of nothing has no starts', () => {
    expect(clocks('2026-06-10', '09:00', '17:00', { interval: 0 })).toEqual([]);
  });
});

describe('breaks and buffers', () => {
  const breaks = [{ start: at('12:00'), end: at('12:30') }];
  const around = (more: Partial<Layout>): string[] => {
    const [window] = windowsOf(calendar([rule('11:00', '13:30', { breaks })]), '2026-06-10');
    const starts = window ? candidateStarts(window, parameters({ interval: 15, ...more })) : [];
    return starts.map((start) => zoneNamed(NEW_YORK).format(start).slice(11, 16));
  };

  test('a visit does not run into a break, and may touch it', () => {
    expect(around({})).toEqual(['11:00', '11:15', '11:30', '12:30', '12:45', '13:00']);
  });

  test('buffers may run into a break, unless the setting says otherwise', () => {
    const buffers = { before: 15, after: 15 };
    expect(around(buffers)).toEqual(around({}));
    expect(around({ ...buffers, bufferIntoBreak: false })).toEqual(['11:00', '11:15', '12:45', '13:00']);
  });

  test('buffers lie in the hours only when they are strict', () => {
    expect(around({ before: 15, after: 15, strictBuffers: true })).toEqual(['11:15', '11:30', '12:30', '12:45']);
  });
});

describe('all zones, 2020 to 2040', () => {
  const zoned = (date: string, name: string, minutes: number, disambiguation: 'earlier' | 'later'): number =>
    Temporal.PlainDate.from(date)
      .toPlainDateTime({ hour: Math.floor(minutes / 60), minute: minutes % 60 })
      .toZonedDateTime(name, { disambiguation }).epochMilliseconds;

  /** By Temporal: every label of the grid, as often as it occurs on this date. */
  function startsByTemporal(date: string, name: string, interval: number, offset: number): number[] {
    const starts = new Set<number>();
    for (let minutes = offset; minutes < 1440; minutes += interval) {
      const both = [zoned(date, name, minutes, 'earlier'), zoned(date, name, minutes, 'later')];
      // What Temporal makes of a label that does not occur has another label.
      for (const start of both) {
        const local = Temporal.Instant.fromEpochMilliseconds(start).toZonedDateTimeISO(name);
        if (local.hour * 60 + local.minute === minutes && local.toPlainDate().toString() === date) starts.add(start);
      }
    }
    return [...starts].sort((a, b) => a - b);
  }

  /** Starts of a visit of a minute on this date; hours to midnight of a day whose midnight is shown twice would run into the next. */
  const startsOn = (date: string, zone: string, interval: number, offset: number): number[] =>
    windowsOf(calendar([rule('00:00', '24:00')], { zone }), date)
      .flatMap((window) => candidateStarts(window, parameters({ duration: 1, interval, offset })))
      .filter((start) => zoneNamed(zone).localOf(start).date === date);

  /** All changes of clocks: the dates that were shown before and after them, which may be two, and by how many minutes. */
  function* changeDays(): Generator<{ name: string; before: string; date: string; shift: number }> {
    for (const name of ZONES) {
      const zone = zoneNamed(name);
      const end = Date.UTC(2040, 0, 1);
      for (let change = zone.nextChange(Date.UTC(2020, 0, 1)); change < end; change = zone.nextChange(change)) {
        const shift = (zone.offsetAt(change) - zone.offsetAt(change - 1)) / MINUTE;
        yield { name, before: zone.localOf(change - 1).date, date: zone.localOf(change).date, shift };
      }
    }
  }

  test('around every change, starts lie on the wall clock’s grid, and there are as many as the days are long', () => {
    let days = 0;
    for (const { name, before, date, shift } of changeDays()) {
      const zone = zoneNamed(name);
      const dates = [...new Set([before, date])].sort();
      const starts = dates.flatMap((each) => startsOn(each, name, 30, 0));
      days++;
      expect(starts.length, `${name} ${date}`).toBe(dates.length * 48 - shift / 30);
      const locals = starts.map((start) => zone.localOf(start));
      expect(
        locals.every(({ minutes }) => minutes % 30 === 0),
        `${name} ${date}`,
      ).toBe(true);
      const labels = new Set(locals.map((local) => `${local.date} ${local.minutes}`));
      // What is shown twice is two starts, and nothing else is.
      expect(starts.length - labels.size, `${name} ${date}`).toBe(Math.max(0, -shift / 30));
      expect(new Set(starts.map(zone.format)).size, `${name} ${date}`).toBe(starts.length);
    }
    expect(days).toBeGreaterThan(4000);
  });

  test('the starts of a sample of changes are those that Temporal finds', () => {
    let at = 0;
    for (const { name, date } of changeDays()) {
      if (at++ % 61 !== 0) continue;
      const [interval, offset] = [15 + (at % 5) * 15, at % 15];
      expect(startsOn(date, name, interval, offset), `${name} ${date}`).toEqual(
        startsByTemporal(date, name, interval, offset),
      );
    }
  });

  test('the starts of any day and grid are those that Temporal finds', () => {
    const anyDay = fc.integer({ min: dayNumber('2020-01-01'), max: dayNumber('2039-12-31') }).map(dateOf);
    const grid = fc
      .integer({ min: 20, max: 240 })
      .chain((interval) => fc.tuple(fc.constant(interval), fc.nat(interval - 1)));
    fc.assert(
      fc.property(fc.constantFrom(...ZONES), anyDay, grid, (name, date, [interval, offset]) => {
        expect(startsOn(date, name, interval, offset)).toEqual(startsByTemporal(date, name, interval, offset));
      }),
      { numRuns: 150 },
    );
  });
});
