/** Positions of streams: snapshots, and places between two of them. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  openBookmark,
  parseSnapshot,
  sealBookmark,
  snapshotText,
  upTo,
  type Position,
} from '../../src/scheduling/events/position.ts';

const sees = ({ next, running }: Position, xid: bigint): boolean => xid < next && !running.includes(xid);

/** Transactions that begin and end at random: a snapshot, and a later one. */
const snapshots = fc
  .array(fc.record({ begin: fc.nat(20), length: fc.nat(20) }), { minLength: 1, maxLength: 20 })
  .chain((spans) => fc.record({ spans: fc.constant(spans), first: fc.nat(40), more: fc.nat(20) }))
  .map(({ spans, first, more }) => {
    const order = spans.toSorted((a, b) => a.begin - b.begin);
    const at = (moment: number): Position => {
      const given = order.filter(({ begin }) => begin <= moment).length;
      const running = order.flatMap(({ begin, length }, i) =>
        begin <= moment && begin + length > moment ? [BigInt(i + 1)] : [],
      );
      return { next: BigInt(given + 1), running };
    };
    return { from: at(first), until: at(first + more), last: BigInt(order.length) };
  });

describe('positions', () => {
  test('are read and printed as PostgreSQL does', () => {
    expect(parseSnapshot('10:20:10,14,15')).toEqual({ next: 20n, running: [10n, 14n, 15n] });
    for (const text of ['10:20:10,14,15', '5:5:', '18446744073709551610:18446744073709551615:18446744073709551610'])
      expect(snapshotText(parseSnapshot(text))).toBe(text);
    expect(() => parseSnapshot('')).toThrow('no snapshot');
  });

  test('between two snapshots: all that the first saw, and of what the second sees what came up to there', () => {
    fc.assert(
      fc.property(snapshots, fc.bigInt(0n, 21n), ({ from, until, last }, stop) => {
        const place = upTo(from, until, stop);
        for (let xid = 1n; xid <= last; xid++)
          expect(sees(place, xid)).toBe(sees(from, xid) || (sees(until, xid) && xid <= stop));
        expect(place.running.every((xid, i) => xid < place.next && xid > (place.running[i - 1] ?? 0n))).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('bookmarks', () => {
  const key = new Uint8Array(32).fill(7);
  const mark = { position: { next: 2n ** 40n, running: [3n, 2n ** 40n - 1n] }, era: '0123abcd', at: 1_800_000_000 };
  const sealed = sealBookmark(key, mark);

  test('come back as they were', () => {
    expect(openBookmark(key, sealed)).toEqual(mark);
    const plain = { ...mark, position: { next: 3n, running: [] } };
    expect(openBookmark(key, sealBookmark(key, plain))).toEqual(plain);
    expect(sealed).toMatch(/^[\w.~-]+$/);
  });

  test('of many transactions are short enough for a header', () => {
    const running = Array.from({ length: 1_000 }, (_, i) => 5_000_000_000n + BigInt(i * 3));
    expect(sealBookmark(key, { ...mark, position: { next: 5_000_003_000n, running } }).length).toBeLessThan(8_000);
  });

  test('that were changed, or made elsewhere, do not open', () => {
    for (let i = 0; i < sealed.length; i++)
      for (const c of ['0', '1', 'a', '.', '~', ''])
        if (c !== sealed[i])
          expect(openBookmark(key, sealed.slice(0, i) + c + sealed.slice(i + 1)), `${i} ${c}`).toBeUndefined();
    for (const text of [
      '',
      '1',
      'null',
      sealed.slice(1),
      `${sealed} `,
      `${sealed}${sealed}`,
      'x'.repeat(100_000),
      '1.0123abcd.5..aaaaaaaaaaaaaaaaaaaaaaaa',
    ])
      expect(openBookmark(key, text)).toBeUndefined();
    expect(openBookmark(new Uint8Array(32), sealed)).toBeUndefined();
  });
});
