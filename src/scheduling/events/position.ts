/**
 * Where a stream of events stands: which transactions it has told of. Ids of transactions are given out in an order in which they are not committed, so
 * that no single number can say it: a snapshot can. @see https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
 */
import { timingSafeEqual } from 'node:crypto';
import { sign } from '../../fhir/search/page.ts';

export interface Position {
  /** The first id that had not been given out. */
  readonly next: bigint;
  /** Smaller ids of transactions that still ran, rising. */
  readonly running: readonly bigint[];
}

/** `xmin:xmax:xip,xip` as PostgreSQL prints it. */
export function parseSnapshot(text: string): Position {
  const [, next = '', running = ''] = text.split(':');
  if (next === '') throw new Error('This is no snapshot');
  return { next: BigInt(next), running: running === '' ? [] : running.split(',').map(BigInt) };
}

export const snapshotText = ({ next, running }: Position): string =>
  `${running[0] ?? next}:${next}:${running.join(',')}`;

/** What `from` had seen, and of what `until` sees the transactions up to this one as well: a place to stop on the way between the two. */
export function upTo(from: Position, until: Position, xid: bigint): Position {
  const end = xid < until.next ? xid + 1n : until.next;
  return {
    next: from.next > end ? from.next : end,
    // What `from` did not see beyond the end is still to come, whether or not `until` sees it.
    running: [...until.running.filter((x) => x < end), ...from.running.filter((x) => x >= end)],
  };
}

/** A position as a client keeps it. */
export interface Bookmark {
  readonly position: Position;
  /** Which sequence of transactions the ids belong to: a restored database gives them out again. */
  readonly era: string;
  /** Seconds since the epoch. */
  readonly at: number;
}

const BINDING = 'event position';
const MAX_LENGTH = 16_384;
const MAX_XID = 2n ** 64n - 1n;
const FORM = /^(\d{1,12})\.([0-9a-f]{8})\.(\d{1,20})\.((?:\d{1,20}(?:~\d{1,20})*)?)\.([\w-]{24})$/;

/** Printable, without spaces: what stands after `id:`. */
export function sealBookmark(key: Uint8Array, { position: { next, running }, era, at }: Bookmark): string {
  const payload = `${at}.${era}.${next}.${running.map((x) => next - x).join('~')}`;
  return `${payload}.${sign(key, BINDING, payload)}`;
}

/** @returns undefined when it is none of ours, or was changed */
export function openBookmark(key: Uint8Array, text: string): Bookmark | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const [, at = '', era = '', next = '', below = '', signature = ''] = FORM.exec(text) ?? [];
  const payload = text.slice(0, -signature.length - 1);
  const [given, expected] = [Buffer.from(signature), Buffer.from(sign(key, BINDING, payload))];
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
  const end = BigInt(next);
  const running = below === '' ? [] : below.split('~').map((distance) => end - BigInt(distance));
  const rising = running.every((x, i) => x > (running[i - 1] ?? 0n) && x < end);
  if (end > MAX_XID || !rising) return undefined;
  return { position: { next: end, running }, era, at: Number(at) };
}
