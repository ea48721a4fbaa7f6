/** Lanes: what the cells say is what two visits tolerate of each other. Scheduling semantics D3. */
import fc from 'fast-check';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { ALL_LANES, freeLane, lanesOf } from '../../../src/scheduling/model/lanes.ts';

interface Held {
  readonly lane: number;
  readonly capacity: number;
}

const upTo = (most: number): Held[] =>
  Array.from({ length: most }, (_, i) => i + 1).flatMap((capacity) =>
    Array.from({ length: capacity }, (_, i) => ({ lane: i + 1, capacity })),
  );

const ranges = (literal: string): [number, number][] =>
  [...literal.matchAll(/\[(\d+),(\d+)\)/g)].map(([, from, to]) => [Number(from), Number(to)]);

const cells = (literal: string): Set<number> =>
  new Set(ranges(literal).flatMap(([from, to]) => Array.from({ length: to - from }, (_, i) => from + i)));

/** Both lanes are within both tolerances, and they are two. */
const tolerate = (a: Held, b: Held): boolean =>
  a.lane !== b.lane && Math.max(a.lane, b.lane) <= Math.min(a.capacity, b.capacity);

const pairs = (most: number): [Held, Held][] => upTo(most).flatMap((a) => upTo(most).map((b): [Held, Held] => [a, b]));

test('capacity 1 is the plain range, and all lanes are all cells', () => {
  expect(lanesOf(1, 1)).toBe('{[65,128)}');
  expect(lanesOf(2, 2)).toBe('{[66,67),[130,192)}');
  expect(lanesOf(1, 32)).toBe('{[65,66),[97,128)}');
  expect(ALL_LANES).toBe('{[65,4096)}');
});

test('all 225 pairs up to 5 visits at once: cells are disjoint exactly when the visits tolerate each other', () => {
  expect(pairs(5)).toHaveLength(225);
  for (const [a, b] of pairs(5)) {
    const disjoint = cells(lanesOf(a.lane, a.capacity)).isDisjointFrom(cells(lanesOf(b.lane, b.capacity)));
    expect(disjoint, JSON.stringify([a, b])).toBe(tolerate(a, b));
  }
});

test('so are those that PostgreSQL compares, and all lanes meet each of them', async () => {
  const client = new pg.Client(inject('postgres').superuser);
  await client.connect();
  try {
    const { rows } = await client.query<{ a: number; b: number; meet: boolean }>(
      `select a.n::int a, b.n::int b, a.lanes::int4multirange && b.lanes::int4multirange meet
       from unnest($1::text[]) with ordinality a(lanes, n), unnest($1::text[]) with ordinality b(lanes, n)`,
      [[...upTo(5).map(({ lane, capacity }) => lanesOf(lane, capacity)), ALL_LANES]],
    );
    const held = upTo(5);
    expect(rows).toHaveLength(256);
    for (const { a, b, meet } of rows) {
      const [one, other] = [held[a - 1], held[b - 1]];
      expect(meet).toBe(!(one && other && tolerate(one, other)));
    }
  } finally {
    await client.end();
  }
});

test('up to 32 visits at once, ranges are in order and inside the grid', () => {
  for (const { lane, capacity } of upTo(32)) {
    const list = ranges(lanesOf(lane, capacity)).flat();
    expect(list.every((bound, i) => i === 0 || bound > (list[i - 1] ?? Infinity))).toBe(true);
    expect(cells(lanesOf(lane, capacity)).isSubsetOf(cells(ALL_LANES))).toBe(true);
  }
  const held = fc.constantFrom(...upTo(32));
  fc.assert(
    fc.property(held, held, (a, b) => {
      const disjoint = cells(lanesOf(a.lane, a.capacity)).isDisjointFrom(cells(lanesOf(b.lane, b.capacity)));
      expect(disjoint).toBe(tolerate(a, b));
    }),
    { numRuns: 1000 },
  );
});

test('there is no lane 0 of a visit, none beyond its capacity, and no capacity beyond 32', () => {
  for (const [lane, capacity] of [
    [0, 1],
    [2, 1],
    [1, 33],
    [Number.NaN, 1],
  ] as const) {
    expect(() => lanesOf(lane, capacity)).toThrow(RangeError);
  }
});

test('the free lane is the lowest whose cells nobody holds', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...upTo(4)), { maxLength: 4 }),
      fc.integer({ min: 1, max: 5 }),
      (taken, capacity) => {
        const others = taken.map(({ lane, capacity }) => cells(lanesOf(lane, capacity)));
        const lowest = Array.from({ length: capacity }, (_, i) => i + 1).find((lane) =>
          others.every((other) => other.isDisjointFrom(cells(lanesOf(lane, capacity)))),
        );
        expect(freeLane(taken, capacity)).toBe(lowest);
      },
    ),
    { numRuns: 2000 },
  );
  expect(freeLane([], 1)).toBe(1);
  expect(freeLane([{ lane: 0, capacity: 9 }], 9)).toBeUndefined();
});

test('whoever takes free lanes in any order never holds one that another does not tolerate', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 12 }), (capacities) => {
      const taken: Held[] = [];
      for (const capacity of capacities) {
        const lane = freeLane(taken, capacity);
        if (lane !== undefined) taken.push({ lane, capacity });
      }
      for (const [i, a] of taken.entries()) for (const b of taken.slice(i + 1)) expect(tolerate(a, b)).toBe(true);
      expect(taken.length).toBeLessThanOrEqual(Math.min(...taken.map(({ capacity }) => capacity), Infinity));
    }),
  );
});

test('nobody takes a lane while visits that were booked over others have none, until there is one more', () => {
  const change = fc.record({
    capacity: fc.integer({ min: 1, max: 4 }),
    forced: fc.boolean(),
    leaves: fc.option(fc.nat(5), { nil: undefined, freq: 2 }),
  });
  let beside = 0;
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
      const taken: (Held & { readonly override?: boolean })[] = [];
      for (const { capacity, forced, leaves } of changes) {
        if (leaves !== undefined) {
          taken.splice(leaves, 1);
          continue;
        }
        const lane = freeLane(taken, capacity);
        const most = Math.min(capacity, ...taken.map((other) => other.capacity));
        if (lane !== undefined) {
          expect(taken.length).toBeLessThan(most);
          for (const other of taken)
            if (other.override !== true) expect(tolerate(other, { lane, capacity })).toBe(true);
          if (taken.some((other) => other.override)) beside++;
          taken.push({ lane, capacity });
        } else if (forced) taken.push({ lane: 1, capacity, override: true });
        // As many as there may be, unless lanes that are not adjacent are all that is left.
        else if (taken.every((other) => other.lane <= most)) expect(taken.length).toBeGreaterThanOrEqual(most);
      }
    }),
    { numRuns: 1000 },
  );
  expect(beside).toBeGreaterThan(0);
});
