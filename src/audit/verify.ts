/** Holds the rows against their seals, and the seals against one another and the roots that were published. Names the first thing that is wrong. */
import type { Keys } from '../platform/keys.ts';
import type { Row } from '../platform/database/named-query.ts';
import { FIRST, HASH_BYTES, leafOf, rootOf, sealHash, sealKey } from './merkle.ts';
import { idOf, rowsBetween, type Read } from './sealed.ts';

export interface Published {
  /** Unknown of a root that somebody only wrote down. */
  readonly n?: number;
  readonly hash: string;
}

export interface Verified {
  readonly seals: number;
  readonly rows: number;
  /** Rows that no seal holds yet. */
  readonly unsealed: number;
  /** Root to publish and to give to the next check. */
  readonly root: string;
  /** What is wrong first; undefined: nothing. */
  readonly wrong: string | undefined;
}

interface StoredSeal {
  readonly n: string;
  readonly fromXid: string;
  readonly toXid: string;
  readonly count: string;
  readonly leaves: Buffer;
  readonly root: string;
  readonly prev: string;
  readonly sealedAt: string;
  readonly hash: string;
  readonly signature: Buffer;
}

const SEAL = `n, from_xid, to_xid, count, encode(leaves, 'hex'), encode(root, 'hex'), encode(prev, 'hex'), sealed_at, encode(hash, 'hex'), encode(signature, 'hex')`;

function toSeal(row: Row): StoredSeal {
  const text = (i: number): string => row[i] ?? '';
  return {
    n: text(0),
    fromXid: text(1),
    toXid: text(2),
    count: text(3),
    leaves: Buffer.from(text(4), 'hex'),
    root: text(5),
    prev: text(6),
    sealedAt: new Date(text(7).replace(' ', 'T').replace(/\+00$/, 'Z')).toISOString(),
    hash: text(8),
    signature: Buffer.from(text(9), 'hex'),
  };
}

/** What a seal contradicts. @param before the one before it */
function wrongSeal(seal: StoredSeal, before: StoredSeal | undefined, keys: Pick<Keys, 'derive'>): string | undefined {
  const hash = sealHash(seal);
  if (hash.toString('hex') !== seal.hash) return `seal ${seal.n} was edited`;
  if (!sealKey(keys).verifies(hash, seal.signature)) return `seal ${seal.n} has no signature of this installation`;
  if (rootOf(seal.leaves).toString('hex') !== seal.root) return `the hashes of seal ${seal.n} were edited`;
  if (Number(seal.n) !== Number(before?.n ?? 0) + 1) return `seal ${Number(before?.n ?? 0) + 1} is missing`;
  if (seal.prev !== (before?.hash ?? FIRST) || seal.fromXid !== (before?.toXid ?? '0'))
    return `seal ${seal.n} does not follow seal ${before?.n ?? '0'}`;
  return undefined;
}

/** Compares rows with the hashes of their seal. */
class SealedRows {
  readonly #seal: StoredSeal;
  readonly #hashes: readonly string[];
  readonly #rows: { readonly id: string; readonly hash: string }[] = [];

  constructor(seal: StoredSeal) {
    this.#seal = seal;
    this.#hashes = Array.from({ length: seal.leaves.length / HASH_BYTES }, (_, i) =>
      seal.leaves.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES).toString('hex'),
    );
  }

  add(row: Row): void {
    this.#rows.push({ id: idOf(row), hash: leafOf(row).toString('hex') });
  }

  wrong(): string | undefined {
    const { n } = this.#seal;
    const known = new Set(this.#hashes);
    const there = new Set(this.#rows.map((r) => r.hash));
    for (let i = 0; i < Math.max(this.#hashes.length, this.#rows.length); i++) {
      const [hash, row] = [this.#hashes[i], this.#rows[i]];
      if (row?.hash === hash) continue;
      const before = i === 0 ? 'at the beginning' : `after row ${this.#rows[i - 1]?.id}`;
      if (row === undefined) return `a row of seal ${n} is missing ${before}`;
      if (hash === undefined) return `row ${row.id} was inserted into seal ${n}`;
      if (known.has(row.hash))
        return there.has(hash) ? `row ${row.id} of seal ${n} was moved` : `a row of seal ${n} is missing ${before}`;
      if (there.has(hash)) return `row ${row.id} was inserted into seal ${n}`;
      return this.#rows.length < this.#hashes.length
        ? `a row of seal ${n} is missing, or was edited, ${before}`
        : `row ${row.id} of seal ${n} was edited`;
    }
    return undefined;
  }
}

function wrongRoot(published: readonly Published[], seals: ReadonlyMap<string, string>): string | undefined {
  const hashes = new Set(seals.values());
  const lost = published.find(({ n, hash }) => (n === undefined ? !hashes.has(hash) : seals.get(String(n)) !== hash));
  if (!lost) return undefined;
  const which = lost.n === undefined ? `the root ${lost.hash}` : `seal ${lost.n} with the root ${lost.hash}`;
  return `${which} was published, and is not here: the end was cut off, or an old copy was put in place`;
}

/**
 * @param read under one snapshot
 * @param published roots that the seals must contain
 */
export async function verifyAudit(
  read: Read,
  keys: Pick<Keys, 'derive'>,
  published: readonly Published[],
): Promise<Verified> {
  const hashes = new Map<string, string>();
  let [before, rows]: [StoredSeal | undefined, number] = [undefined, 0];
  let wrong: string | undefined;
  for (let n = 0; wrong === undefined;) {
    const page: readonly Row[] = await read(`select ${SEAL} from audit_seal where n > $1 order by n limit 100`, [n]);
    for (const row of page) {
      const stored = toSeal(row);
      n = Number(stored.n);
      wrong = wrongSeal(stored, before, keys);
      if (wrong !== undefined) break;
      const sealed = new SealedRows(stored);
      for await (const each of rowsBetween(read, stored.fromXid, stored.toXid)) {
        sealed.add(each);
        rows++;
      }
      wrong = sealed.wrong();
      if (wrong !== undefined) break;
      hashes.set(stored.n, stored.hash);
      before = stored;
    }
    if (page.length === 0) break;
  }
  wrong ??= wrongRoot(published, hashes);
  const [left] = await read(`select count(*) from audit_log where xid >= $1::xid8`, [before?.toXid ?? '0']);
  return { seals: hashes.size, rows, unsealed: Number(left?.[0] ?? 0), root: before?.hash ?? '', wrong };
}
