/** Spans of time, held against the moments that they have. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Interval, intersect, merge, overlaps, subtract } from '../../../src/scheduling/model/interval.ts';

const interval = fc
  .tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 8 }))
  .map(([start, length]): Interval => ({ start, end: start + length }));
const intervals = fc.array(interval, { maxLength: 8 });

/** Moments 0, 1, 2 … that are covered. */
const moments = (list: readonly Interval[]): Set<number> =>
  new Set(list.flatMap(({ start, end }) => Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i)));

const isTidy = (list: readonly Interval[]): boolean =>
  list.every(({ start, end }, i) => start < end && (i === 0 || start > (list[i - 1]?.end ?? Infinity)));

test('spans that touch do not overlap, and empty ones overlap nothing', () => {
  expect(overlaps({ start: 0, end: 10 }, { start: 10, end: 20 })).toBe(false);
  expect(overlaps({ start: 0, end: 10 }, { start: 9, end: 20 })).toBe(true);
  expect(overlaps({ start: 0, end: 10 }, { start: 5, end: 5 })).toBe(false);
  fc.assert(
    fc.property(interval, interval, (a, b) => {
      expect(overlaps(a, b)).toBe(moments([a]).intersection(moments([b])).size > 0);
    }),
  );
});

test('merge, subtract and intersect keep exactly the moments that they should, sorted and joined', () => {
  fc.assert(
    fc.property(intervals, intervals, (a, b) => {
      for (const [got, want] of [
        [merge(a), moments(a)],
        [subtract(a, b), moments(a).difference(moments(b))],
        [intersect(a, b), moments(a).intersection(moments(b))],
      ] as const) {
        expect(moments(got)).toEqual(want);
        expect(isTidy(got)).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});
