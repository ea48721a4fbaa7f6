/** What must be remembered between two requests of one act, such as a challenge: sealed, short-lived, found by a secret. */
import { poolNamed } from '../../platform/database/pool.ts';
import { newSecret, secretHash } from '../../platform/keys.ts';
import type { AuthParts } from '../parts.ts';

const PURPOSE = 'auth_flow.payload_sealed';

export type FlowPayload = Readonly<Record<string, unknown>>;

/** @returns the secret that finds it */
export async function putFlow(parts: AuthParts, kind: string, payload: FlowPayload, seconds: number): Promise<string> {
  const secret = newSecret();
  const hash = secretHash(secret);
  await poolNamed(
    parts.pool,
    `insert into auth_flow (hash, kind, payload_sealed, expires_at) values ($1, $2, $3, to_timestamp($4) + make_interval(secs => $5))`,
    [hash, kind, parts.keys.seal(PURPOSE, hash, JSON.stringify(payload)), parts.clock.now() / 1000, seconds],
  );
  return secret;
}

const open = (parts: AuthParts, hash: string, sealed: string | null | undefined): FlowPayload | undefined =>
  sealed === null || sealed === undefined
    ? undefined
    : (JSON.parse(parts.keys.open(PURPOSE, hash, sealed)) as FlowPayload);

/** It stays to be used again. */
export async function peekFlow(parts: AuthParts, kind: string, secret: string): Promise<FlowPayload | undefined> {
  const hash = secretHash(secret);
  const { rows } = await poolNamed(
    parts.pool,
    `select payload_sealed from auth_flow where hash = $1 and kind = $2 and expires_at > to_timestamp($3)`,
    [hash, kind, parts.clock.now() / 1000],
  );
  return open(parts, hash, rows[0]?.[0]);
}

/** Only the first who asks gets it. */
export async function takeFlow(parts: AuthParts, kind: string, secret: string): Promise<FlowPayload | undefined> {
  const hash = secretHash(secret);
  const { rows } = await poolNamed(
    parts.pool,
    `delete from auth_flow where hash = $1 and kind = $2 returning payload_sealed, expires_at > to_timestamp($3)`,
    [hash, kind, parts.clock.now() / 1000],
  );
  return rows[0]?.[1] === 't' ? open(parts, hash, rows[0][0]) : undefined;
}
