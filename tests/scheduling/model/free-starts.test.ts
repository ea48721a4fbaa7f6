/** Which starts are free, held against their definition. Scheduling semantics D3 and D6 to D9. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { windowsOf } from '../../../src/scheduling/model/availability.ts';
import type { Interval } from '../../../src/scheduling/model/interval.ts';
import { freeStarts, type StartsInput } from '../../../src/scheduling/model/starts.ts';
import { zoneNamed } from '../../../src/scheduling/model/zone.ts';
import { calendar, HOUR, instant, MINUTE, NEW_YORK, parameters, rule } from './calendars.ts';
import { anyInput } from './inputs.ts';

describe('free starts', () => {
  const [window] = windowsOf(calendar([rule('09:00', '12:00')]), '2026-06-10');
  const span = (start: string, end: string): Interval => ({
    start: instant(`2026-06-10 ${start}`),
    end: instant(`2026-06-10 ${end}`),
  });
  const input = (more: Partial<StartsInput>): StartsInput => ({
    windows: window ? [window] : [],
    blocks: [],
    taken: [],
    actors: ['doctor'],
    parameters: parameters(),
    from: instant('2026-06-10 00:00'),
    to: instant('2026-06-11 00:00'),
    earliest: -Infinity,
    latest: Infinity,
    ...more,
  });
  const free = (more: Partial<StartsInput>): string[] =>
    freeStarts(input(more)).map((start) => zoneNamed(NEW_YORK).format(start).slice(11, 16));
  const taken = (start: string, end: string, actor = 'doctor', lane = 1, capacity = 1) => ({
    ...span(start, end),
    actor,
    lane,
    capacity,
  });

  test('visits back to back do not meet', () => {
    expect(free({ taken: [taken('09:30', '10:00')] })).toEqual(['09:00', '10:00', '10:30', '11:00', '11:30']);
  });

  test('all actors must be free, and others do not matter', () => {
    const both = [taken('09:00', '10:00'), taken('10:00', '11:00', 'room'), taken('11:00', '12:00', 'nobody')];
    expect(free({ actors: ['doctor', 'room'], taken: both })).toEqual(['11:00', '11:30']);
  });

  test('a visit needs its buffers free of visits, and only strict ones free of blocks', () => {
    const buffers = { before: 15, after: 15 };
    expect(free({ parameters: parameters(buffers), taken: [taken('10:00', '10:30')] })).toEqual([
      '09:00',
      '11:00',
      '11:30',
    ]);
    expect(free({ parameters: parameters(buffers), blocks: [span('10:00', '10:30')] })).toEqual([
      '09:00',
      '09:30',
      '10:30',
      '11:00',
      '11:30',
    ]);
    expect(
      free({ parameters: parameters({ ...buffers, strictBuffers: true }), blocks: [span('10:00', '10:30')] }),
    ).toEqual(['11:00']);
  });

  test('a visit before the hours reaches into them with its buffer', () => {
    expect(free({ taken: [taken('08:00', '09:15')] })[0]).toBe('09:30');
  });

  test('the strictest tolerance wins, both ways', () => {
    const two = parameters({ capacity: 2 });
    expect(free({ parameters: two, taken: [taken('09:00', '12:00', 'doctor', 1, 2)] })).toHaveLength(6);
    expect(free({ parameters: two, taken: [taken('09:00', '12:00', 'doctor', 1, 1)] })).toEqual([]);
    expect(free({ taken: [taken('09:00', '12:00', 'doctor', 1, 2)] })).toEqual([]);
    expect(free({ parameters: two, taken: [taken('09:00', '12:00', 'doctor', 0, 5)] })).toEqual([]);
    expect(
      free({
        parameters: two,
        taken: [taken('09:00', '09:30', 'doctor', 1, 2), taken('09:00', '09:30', 'doctor', 2, 2)],
      }),
    ).toHaveLength(5);
  });

  test('the capacity of the hours comes before that of the parameters', () => {
    const windows = window ? [{ ...window, capacity: 2 }] : [];
    expect(free({ windows, taken: [taken('09:00', '12:00', 'doctor', 1, 2)] })).toHaveLength(6);
  });

  test('lie in what is asked for, and within notice and horizon', () => {
    expect(free({ from: span('09:30', '12:00').start, to: span('09:00', '11:00').end })).toEqual([
      '09:30',
      '10:00',
      '10:30',
    ]);
    expect(free({ earliest: span('09:30', '12:00').start, latest: span('09:00', '11:00').end })).toEqual([
      '09:30',
      '10:00',
      '10:30',
    ]);
  });

  test('are told once, though windows overlap', () => {
    expect(free({ windows: window ? [window, window] : [] })).toHaveLength(6);
  });

  test('are those that the definition gives, minute by minute', () => {
    let [found, asked] = [0, 0];
    fc.assert(
      fc.property(anyInput, ({ input, byDefinition }) => {
        const starts = freeStarts(input);
        const expected: number[] = [];
        for (let start = input.from; start < input.to; start += MINUTE) if (byDefinition(start)) expected.push(start);
        expect(starts).toEqual(expected);
        found += starts.length;
        asked++;
      }),
      { numRuns: 400 },
    );
    expect(found / asked).toBeGreaterThan(1);
  });

  test('of 60 days with thousands of visits take milliseconds', () => {
    const day = 24 * HOUR;
    const windows = Array.from({ length: 60 }, (_, i) =>
      window ? { ...window, start: window.start + i * day, end: window.end + i * day } : window,
    ).filter((each) => each !== undefined);
    const many = Array.from({ length: 20_000 }, (_, i) => {
      const start = (window?.start ?? 0) + (i % 60) * day + (i % 7) * 10 * MINUTE;
      return { start, end: start + 5 * MINUTE, actor: i % 2 ? 'doctor' : 'other', lane: 1, capacity: 1 };
    });
    const began = performance.now();
    const starts = freeStarts(input({ windows, taken: many, to: instant('2026-09-01 00:00') }));
    expect(performance.now() - began).toBeLessThan(1000);
    expect(starts.length).toBeGreaterThan(0);
  });
});
