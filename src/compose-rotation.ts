/**
 * Rotation of keys, beside running servers and without a pause of theirs. Each step may be interrupted and begun again: what is done is told by the rows
 * themselves. @see https://csrc.nist.gov/pubs/sp/800/57/pt1/r5/final section 5.3
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Kairos } from './compose.ts';
import { needsRetired, reseal, sealedTables } from './fhir/store/reseal.ts';
import { newKeyId, STALE_MS } from './platform/data-keys.ts';
import { poolNamed } from './platform/database/pool.ts';
import { addKey, SECRETS, SETTLED_S } from './platform/installation-keys.ts';
import { sealedWith } from './platform/keys.ts';
import { countKeys, rewrap } from './platform/rewrap.ts';
import { StartError } from './platform/start-error.ts';

/** Every column that `Keys.seal` fills: table, column, what the row is bound by, and the purpose where it is another than `table.column`. */
export const SEALED_COLUMNS: readonly (readonly [table: string, column: string, key: string, purpose?: string])[] = [
  ['auth_account', 'email_sealed', 'id'],
  ['auth_account', 'name_sealed', 'id'],
  ['auth_totp', 'secret_sealed', 'account_id'],
  ['auth_passkey', 'label_sealed', 'id'],
  ['auth_ticket', 'payload_sealed', 'hash'],
  ['auth_flow', 'payload_sealed', 'hash'],
  ['auth_client', 'secret_sealed', 'client_id'],
  ['auth_signing_key', 'private_sealed', 'kid'],
  ['auth_ehr_connection', 'tokens_sealed', 'id'],
  ['auth_ehr_connection', 'context_sealed', 'id'],
  ['auth_ehr_revocation', 'tokens_sealed', 'id', 'auth_ehr_connection.tokens_sealed'],
  ['mail_message', 'to_sealed', 'id'],
  ['mail_message', 'content_sealed', 'id'],
  ['idempotency', 'head_sealed', 'name', 'idempotency.head'],
  ['idempotency', 'body_sealed', 'name', 'idempotency.body'],
];

/** Sealed parts of rows that are gone within hours: nobody seals them anew, and `retire` waits for them. */
const SHORT_LIVED = `select payload ->> 'hints_sealed' from auth_oidc where payload ? 'hints_sealed'`;

export type Say = (line: string) => void;
type Parts = Pick<Kairos, 'pool' | 'keys' | 'store' | 'processKeys'>;

/** Processes look at the file of root keys once a second. */
const FILE_SEEN_MS = 2_500;
/** From the end of a rotation until keys may go: nobody still asks for one whose row is sealed anew. */
const UNUSED_S = 30;
const PAGE = 500;

/** A line a second at most. */
function pace(say: Say): Say {
  let last = 0;
  return (line) => {
    if (performance.now() - last < 1000) return;
    last = performance.now();
    say(line);
  };
}

/** Waits until every transaction that runs now is over: what it wrote can then be seen. */
async function settle({ pool }: Parts): Promise<void> {
  const { rows } = await poolNamed(pool, 'select pg_current_xact_id()::text');
  for (;;) {
    const [found] = (await poolNamed(pool, 'select pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8', [rows[0]?.[0]]))
      .rows;
    if (found?.[0] === 't') return;
    await sleep(50);
  }
}

/** A new root key, under which every data key is wrapped; or the rest of a rotation that was interrupted. */
export async function rotateRoot({ processKeys: { roots, run } }: Parts, say: Say): Promise<void> {
  const isBegun = async (): Promise<boolean> => {
    const [current] = await roots.ids();
    return (await countKeys(run)).some((c) => c.kek !== current);
  };
  if (await isBegun()) say('A rotation was begun: it goes on.');
  else {
    const before = await roots.ids();
    const current = await roots.rotate();
    if (before[0] === current)
      throw new StartError(
        'Every data key is wrapped with ROOT_KEY. To rotate, give every process a new key in ROOT_KEY_ALSO and restart it, then exchange the two and restart it again; then run this command. See docs/encryption.md.',
      );
    say(`The new root key is ${current}, in ${roots.where}. Take a copy of it now.`);
    // Until the others have seen it they wrap with the old one.
    await sleep(FILE_SEEN_MS);
  }
  const tell = pace(say);
  let total = 0;
  for (let done = -1; done !== 0; total += done)
    done = await rewrap(run, roots, (n) => tell(`  ${total + n} data keys wrapped anew`));
  say(`${total} data keys are wrapped with the new root key. Once copies are safe: npm run keys -- retire`);
}

const STATE = 'data-rotation';

async function state({ pool }: Parts): Promise<string | undefined> {
  return (await poolNamed(pool, 'select value from installation where name = $1', [STATE])).rows[0]?.[0] ?? undefined;
}

const setState = ({ pool }: Parts, value: string): Promise<unknown> =>
  poolNamed(
    pool,
    'insert into installation (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value',
    [STATE, value],
  );

async function resealColumns({ pool, keys }: Parts, current: string, say: Say): Promise<number> {
  let total = 0;
  const tell = pace(say);
  for (const [table, column, key, purpose = `${table}.${column}`] of SEALED_COLUMNS) {
    for (let after = ''; ;) {
      const { rows } = await poolNamed(
        pool,
        `select "${key}", "${column}" from "${table}" where "${key}" > $1 and "${column}" is not null order by "${key}" limit ${PAGE}`,
        [after],
      );
      const last = rows.at(-1)?.[0];
      if (last === undefined || last === null) break;
      after = last;
      for (const [bound, sealed] of rows) {
        if (bound === null || bound === undefined || !sealed || sealedWith(sealed) === current) continue;
        const fresh = keys.seal(purpose, bound, keys.open(purpose, bound, sealed));
        const { rowCount } = await poolNamed(
          pool,
          `update "${table}" set "${column}" = $3 where "${key}" = $1 and "${column}" = $2`,
          [bound, sealed, fresh],
        );
        total += rowCount;
        tell(`  ${total} secrets sealed anew`);
      }
    }
  }
  return total;
}

/** The newest key for secrets, once every process has it; all others are retired. */
async function settledSecrets(parts: Parts, say: Say): Promise<string> {
  const { pool, keys } = parts;
  const { rows } = await poolNamed(
    pool,
    `select id, greatest(0, ${SETTLED_S} - extract(epoch from now() - created_at))::float8 from data_key where kind = $1 order by created_at desc, id limit 1`,
    [SECRETS.kind],
  );
  const id = rows[0]?.[0] ?? '';
  const left = Number(rows[0]?.[1]);
  if (left > 0) say('  waiting until every process has the new key for secrets …');
  await sleep(left * 1000);
  // This process is told like the others.
  while (sealedWith(keys.seal('installation.probe', '', '')) !== id) await sleep(200);
  await sleep(FILE_SEEN_MS);
  await settle(parts);
  await poolNamed(pool, 'update data_key set retired_at = now() where kind = $1 and id <> $2 and retired_at is null', [
    SECRETS.kind,
    id,
  ]);
  return id;
}

/** New data keys, with which everything is sealed anew; or the rest of a rotation that was interrupted. */
export async function rotateData(parts: Parts, say: Say): Promise<void> {
  const { pool, processKeys, store } = parts;
  if ((await state(parts))?.startsWith('begun')) say('A rotation was begun: it goes on.');
  else {
    await addKey(processKeys.run, processKeys.roots, newKeyId(), SECRETS);
    await poolNamed(
      pool,
      `with begun as (insert into installation (name, value) values ('${STATE}', 'begun ' || now()) on conflict (name) do update set value = excluded.value)
       update data_key set retired_at = now() where kind in ('subject', 'table') and retired_at is null`,
    );
  }
  // After the commit, and again after an interruption: from now on nobody chooses the old ones, and what was sealed with them is there to be seen.
  await poolNamed(pool, `select nextval('data_key_epoch')`);
  await sleep(STALE_MS + 500);
  await settle(parts);
  let total = 0;
  const tell = pace(say);
  for (const [type, table] of sealedTables(store))
    total += await reseal(store, pool, type, table, (n) => tell(`  ${total + n} contents sealed anew, in ${table}`));
  say(`${total} contents are sealed with new data keys.`);
  const secrets = await resealColumns(parts, await settledSecrets(parts, say), say);
  await setState(parts, 'done');
  await poolNamed(pool, `update data_key set retired_at = greatest(retired_at, now()) where retired_at is not null`);
  say(`${secrets} secrets are sealed with a new key. The old keys go with: npm run keys -- retire`);
}

/** Deletes retired data keys, of which nothing is sealed any more. @throws StartError when something is */
async function retireData(parts: Parts, say: Say): Promise<void> {
  const { pool, store } = parts;
  const { rows } = await poolNamed(
    pool,
    `select count(*), coalesce(max(${UNUSED_S} - extract(epoch from now() - retired_at)), 0)::float8 from data_key where retired_at is not null`,
  );
  if (Number(rows[0]?.[0]) === 0) return;
  if ((await state(parts))?.startsWith('begun'))
    throw new StartError('The rotation of data keys is not over: npm run keys -- rotate --data goes on with it.');
  await sleep(Math.max(0, Number(rows[0]?.[1])) * 1000);
  for (const [, table] of sealedTables(store)) {
    if (await needsRetired(pool, table))
      throw new StartError(
        `Contents in ${table} need retired data keys: npm run keys -- rotate --data seals them anew.`,
      );
  }
  const used = new Set<string>();
  const sealed = SEALED_COLUMNS.map(
    ([table, column]) => `select "${column}" from "${table}" where "${column}" is not null`,
  );
  for (const query of [...sealed, SHORT_LIVED]) {
    const found = await poolNamed(pool, `select distinct split_part(s, '.', 2) from (${query}) q(s)`);
    for (const [id] of found.rows) if (id) used.add(id);
  }
  const gone = await poolNamed(pool, 'delete from data_key where retired_at is not null and id <> all($1)', [
    [...used],
  ]);
  say(`${gone.rowCount} retired data keys are deleted.`);
}

/** Forgets what nothing uses any more: data keys, then root keys. @throws StartError when something does */
export async function retire(parts: Parts, say: Say): Promise<void> {
  const { roots, run } = parts.processKeys;
  await retireData(parts, say);
  const [, ...others] = await roots.ids();
  const usedBy = async (id: string): Promise<number> =>
    (await countKeys(run)).filter((c) => c.kek === id).reduce((sum, c) => sum + c.live + c.retired, 0);
  for (const id of others) {
    const keys = await usedBy(id);
    if (keys > 0) throw new StartError(`The root key ${id} still wraps ${keys} data keys: npm run keys -- rotate.`);
  }
  if (others.length > 0) await sleep(FILE_SEEN_MS);
  for (const id of others) {
    if ((await usedBy(id)) > 0)
      throw new StartError(`The root key ${id} is in use again: is a process configured with it?`);
    await roots.forget(id);
    say(`The root key ${id} is forgotten. Backups of before still need it.`);
  }
}

/** Lines that tell how things stand. */
export async function status(parts: Parts): Promise<readonly string[]> {
  const { roots, run } = parts.processKeys;
  const counts = await countKeys(run);
  const known = await roots.ids();
  const ids = [...new Set([...known, ...counts.map((c) => c.kek)])];
  const lines = ids.map((id) => {
    const keys = counts.filter((c) => c.kek === id).reduce((sum, c) => sum + c.live + c.retired, 0);
    const what = id === known[0] ? 'current' : known.includes(id) ? 'old' : 'MISSING';
    return `root key ${id} (${what}, ${roots.where}): wraps ${keys} data keys`;
  });
  for (const [kind, group] of Map.groupBy(counts, (c) => c.kind)) {
    const sum = (of: 'live' | 'retired'): number => group.reduce((n, c) => n + c[of], 0);
    lines.push(`data keys, ${kind}: ${sum('live')} in use, ${sum('retired')} retired`);
  }
  const rotation = await state(parts);
  if (rotation?.startsWith('begun'))
    lines.push(`A rotation of data keys is not over (${rotation}): rotate --data goes on.`);
  return lines;
}
