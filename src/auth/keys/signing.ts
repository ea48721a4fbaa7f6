/**
 * The keys that sign id_tokens: RSA, published before they sign, kept published after. Private parts are sealed.
 * @see https://openid.net/specs/openid-connect-core-1_0.html#RotateSigningKeys
 */
import { createHash, generateKeyPair, type JsonWebKey } from 'node:crypto';
import { promisify } from 'node:util';
import type pg from 'pg';
import { poolNamed, runNamed } from '../../platform/database/pool.ts';
import type { AuthParts } from '../parts.ts';

const PURPOSE = 'auth_signing_key.private_sealed';
const ALG = 'RS256';
const BITS = 2048;
/** Any number that no other lock of the database has. */
const LOCK = 7_316_044_210;

const DAY = 86_400;
/** After this a new key follows. */
const SIGNS_DAYS = 90;
/** Between publishing a key and signing with it: caches of other parties have fetched it by then. */
const PUBLISHED_DAYS = 1;
/** Published after the last signature: far longer than an id_token lives. */
const KEPT_DAYS = 2;

export interface SigningKey {
  readonly kid: string;
  readonly jwk: JsonWebKey;
}

const generate = promisify(generateKeyPair);

/** In a thread of its own: it takes a few hundred milliseconds. */
async function newKey(): Promise<SigningKey & { readonly publicJwk: JsonWebKey }> {
  const { privateKey, publicKey } = await generate('rsa', { modulusLength: BITS });
  const publicJwk = publicKey.export({ format: 'jwk' });
  const kid = createHash('sha256')
    .update(publicJwk.n ?? '')
    .digest('base64url')
    .slice(0, 16);
  return { kid, jwk: { ...privateKey.export({ format: 'jwk' }), kid, alg: ALG, use: 'sig' }, publicJwk };
}

async function insertKey(
  { keys }: Pick<AuthParts, 'keys'>,
  client: pg.ClientBase,
  key: Awaited<ReturnType<typeof newKey>>,
  inSeconds: number,
): Promise<void> {
  await runNamed(
    client,
    `insert into auth_signing_key (kid, private_sealed, public_jwk, signs_from) values ($1, $2, $3, now() + make_interval(secs => $4))`,
    [key.kid, keys.seal(PURPOSE, key.kid, JSON.stringify(key.jwk)), JSON.stringify(key.publicJwk), inSeconds],
  );
}

/** Runs `work` while no other process changes the keys. */
async function alone<T>({ pool }: Pick<AuthParts, 'pool'>, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await runNamed(client, 'select pg_advisory_xact_lock($1)', [LOCK]);
    const result = await work(client);
    await client.query('commit');
    client.release();
    return result;
  } catch (error) {
    // The connection goes, and the transaction with it.
    client.release(true);
    throw error;
  }
}

const anyKey = `select exists (select from auth_signing_key where retired_at is null and signs_from <= now())`;

/** Makes the first key of an installation. */
export async function ensureSigningKey(parts: Pick<AuthParts, 'pool' | 'keys'>): Promise<void> {
  if ((await poolNamed(parts.pool, anyKey)).rows[0]?.[0] === 't') return;
  const key = await newKey();
  await alone(parts, async (client) => {
    if ((await runNamed(client, anyKey)).rows[0]?.[0] !== 't') await insertKey(parts, client, key, 0);
  });
}

export interface SigningKeys {
  /** Changes when the set, or the key that signs, does. */
  readonly version: string;
  /** The one that signs first. */
  readonly keys: readonly SigningKey[];
}

/** Which keys there are, without opening them. */
export async function signingVersion({ pool }: Pick<AuthParts, 'pool'>): Promise<string> {
  const { rows } = await poolNamed(
    pool,
    `select kid, signs_from <= now() from auth_signing_key where retired_at is null order by signs_from desc, kid`,
  );
  return rows.map((row) => row.join(' ')).join(', ');
}

/** Published keys: the newest that may sign, those before it, and those that will. */
export async function loadSigningKeys({ pool, keys }: Pick<AuthParts, 'pool' | 'keys'>): Promise<SigningKeys> {
  const { rows } = await poolNamed(
    pool,
    `select kid, signs_from <= now(), private_sealed from auth_signing_key where retired_at is null order by signs_from desc, kid`,
  );
  const opened = rows.map(([kid, signs, sealed]) => ({
    kid: kid ?? '',
    signs: signs === 't',
    jwk: JSON.parse(keys.open(PURPOSE, kid ?? '', sealed ?? '')) as JsonWebKey,
  }));
  return {
    version: rows.map(([kid, signs]) => `${kid ?? ''} ${signs ?? ''}`).join(', '),
    keys: [...opened.filter((k) => k.signs), ...opened.filter((k) => !k.signs)],
  };
}

/** What a rotation did. */
export interface Rotation {
  readonly added: number;
  readonly retired: number;
}

/**
 * Publishes the next key when the present one has signed for long enough, and retires those that a newer one replaced long ago.
 * @param now makes the next key at once, whatever the age of the present one
 */
export async function rotateSigningKeys(
  parts: Pick<AuthParts, 'pool' | 'keys'>,
  { now = false }: { readonly now?: boolean } = {},
): Promise<Rotation> {
  const due = `select not exists (select from auth_signing_key where retired_at is null and signs_from > now() - make_interval(secs => $1))`;
  const age = [now ? 0 : SIGNS_DAYS * DAY];
  const isDue = (await poolNamed(parts.pool, due, age)).rows[0]?.[0] === 't';
  const key = isDue ? await newKey() : undefined;
  return alone(parts, async (client) => {
    let added = 0;
    if (key && (await runNamed(client, due, age)).rows[0]?.[0] === 't') {
      await insertKey(parts, client, key, PUBLISHED_DAYS * DAY);
      added = 1;
    }
    const { rowCount } = await runNamed(
      client,
      `update auth_signing_key k set retired_at = now() where retired_at is null and exists
         (select from auth_signing_key newer where newer.signs_from > k.signs_from and newer.signs_from < now() - make_interval(secs => $1))`,
      [KEPT_DAYS * DAY],
    );
    return { added, retired: rowCount };
  });
}
