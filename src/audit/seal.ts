/**
 * Seals rows under signed roots, each chained to the one before: who changes, adds or takes away a row later contradicts a root that is published.
 * @see https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
 */
import { appendFile, readFile } from 'node:fs/promises';
import type pg from 'pg';
import { inTransaction, type Run } from '../platform/database/transaction.ts';
import type { Keys } from '../platform/keys.ts';
import { FIRST, leafOf, rootOf, sealHash, sealKey } from './merkle.ts';
import { rowsBetween } from './sealed.ts';

export interface SealParts {
  /** Connections as the application role. */
  readonly pool: pg.Pool;
  readonly keys: Pick<Keys, 'derive'>;
  readonly now: () => number;
  /** Roots are appended to it, one a line: `n hash`. */
  readonly rootsFile: string;
}

export interface Sealed {
  readonly n: number;
  readonly count: number;
  readonly hash: string;
}

/** One process at a time. */
const LOCK = [0x4b41, 7] as const;

/** Rows whose transactions have ended, with all that began before them. @returns undefined: there were none */
async function sealNew(run: Run, { keys, now }: SealParts): Promise<Sealed | undefined> {
  const { rows: held } = await run(`select pg_try_advisory_xact_lock($1, $2)`, [...LOCK]);
  if (held[0]?.[0] !== 't') return undefined;
  const [last] = (await run(`select n, to_xid, encode(hash, 'hex') from audit_seal order by n desc limit 1`)).rows;
  // Before the rows are read: what this names has been committed or undone by then.
  const { rows } = await run(`select pg_snapshot_xmin(pg_current_snapshot())`);
  const [fromXid, toXid] = [last?.[1] ?? '0', rows[0]?.[0] ?? '0'];
  if (BigInt(toXid) < BigInt(fromXid))
    throw new Error(
      'The numbers of transactions are lower than those sealed: the database was restored from a dump. See docs/audit.md.',
    );
  const leaves: Buffer[] = [];
  const read = async (text: string, values: readonly unknown[] = []) => (await run(text, values)).rows;
  for await (const row of rowsBetween(read, fromXid, toXid)) leaves.push(leafOf(row));
  if (leaves.length === 0) return undefined;
  const all = Buffer.concat(leaves);
  const n = Number(last?.[0] ?? 0) + 1;
  const text = {
    n: String(n),
    fromXid,
    toXid,
    count: String(leaves.length),
    root: rootOf(all).toString('hex'),
    prev: last?.[2] ?? FIRST,
    sealedAt: new Date(now()).toISOString(),
  };
  const hash = sealHash(text);
  await run(
    `insert into audit_seal (n, from_xid, to_xid, count, leaves, root, prev, sealed_at, hash, signature)
     values ($1, $2::xid8, $3::xid8, $4, decode($5, 'hex'), decode($6, 'hex'), decode($7, 'hex'), $8, decode($9, 'hex'), decode($10, 'hex'))`,
    [
      n,
      fromXid,
      toXid,
      leaves.length,
      all.toString('hex'),
      text.root,
      text.prev,
      text.sealedAt,
      hash.toString('hex'),
      sealKey(keys).sign(hash).toString('hex'),
    ],
  );
  return { n, count: leaves.length, hash: hash.toString('hex') };
}

/** The roots that were published here, in order; none where the file is not there. */
export async function publishedRoots(file: string): Promise<readonly { readonly n: number; readonly hash: string }[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return text
    .split('\n')
    .map((line) => /^(\d+) ([0-9a-f]{64})$/.exec(line))
    .flatMap((m) => (m ? [{ n: Number(m[1]), hash: m[2] ?? '' }] : []));
}

/** Roots of seals that the file has not yet: also of those that a process made that ended before it could tell. */
async function publish({ pool, rootsFile }: SealParts, known: number): Promise<void> {
  const { rows } = await pool.query<{ n: string; hash: string }>(
    `select n::text, encode(hash, 'hex') as hash from audit_seal where n > $1 order by n`,
    [known],
  );
  if (rows.length > 0)
    await appendFile(rootsFile, rows.map(({ n, hash }) => `${n} ${hash}\n`).join(''), { mode: 0o600 });
}

/** Seals what is there. @returns undefined: nothing new, or another process is at it */
export async function seal(parts: SealParts): Promise<Sealed | undefined> {
  const sealed = await inTransaction(parts.pool, (run) => sealNew(run, parts));
  const known = await publishedRoots(parts.rootsFile);
  await publish(parts, known.at(-1)?.n ?? 0);
  return sealed;
}
