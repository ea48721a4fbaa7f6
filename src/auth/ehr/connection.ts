/**
 * What an EHR lets us do for one session: its tokens, sealed and never shown to a browser, renewed when they run out.
 * @see https://hl7.org/fhir/smart-app-launch/app-launch.html#obtain-access-token
 */
import { setTimeout as sleep } from 'node:timers/promises';
import * as oidc from 'openid-client';
import { isResourceId } from '../../fhir/resource-id.ts';
import { poolNamed } from '../../platform/database/pool.ts';
import { inTransaction } from '../../platform/database/transaction.ts';
import { newId } from '../../platform/id.ts';
import type { EhrSettings } from '../../platform/identity-settings.ts';
import { failure } from '../federation/failure.ts';
import type { FederationParts } from '../federation/parts.ts';
import { toFailure } from '../federation/remote.ts';
import type { AuthParts } from '../parts.ts';
import { ehrRemote } from './registered.ts';

export interface EhrContext {
  /** Id of the patient there. */
  readonly remotePatient: string;
  readonly remoteEncounter?: string | undefined;
  /** Id of the patient here, once it has been found. */
  readonly patient?: string | undefined;
}

export interface EhrConnection {
  readonly id: string;
  readonly sessionUid: string;
  /** FHIR base of the EHR. */
  readonly issuer: string;
  readonly context: EhrContext;
}

export interface EhrTokens {
  readonly accessToken: string;
  readonly refreshToken?: string | undefined;
  /** Seconds since the epoch; undefined: not told. */
  readonly expiresAt?: number | undefined;
}

const TOKENS = 'auth_ehr_connection.tokens_sealed';
const CONTEXT = 'auth_ehr_connection.context_sealed';
/** Renewed so long before the end, for the way and for clocks that differ. */
const EARLY_SECONDS = 30;
const LEASE_SECONDS = 20;
const WAIT_MS = 100;

export const sealTokens = ({ keys }: AuthParts, id: string, tokens: EhrTokens): string =>
  keys.seal(TOKENS, id, JSON.stringify(tokens));

/** @throws Error when they were sealed for another row or with another key */
export const openTokens = ({ keys }: Pick<AuthParts, 'keys'>, id: string, sealed: string): EhrTokens =>
  JSON.parse(keys.open(TOKENS, id, sealed)) as EhrTokens;

export function tokensOf(
  parts: Pick<AuthParts, 'clock'>,
  response: oidc.TokenEndpointResponse,
  before?: EhrTokens,
): EhrTokens {
  return {
    accessToken: response.access_token,
    refreshToken: response.refresh_token ?? before?.refreshToken,
    expiresAt: response.expires_in === undefined ? undefined : parts.clock.now() / 1000 + response.expires_in,
  };
}

/** @returns the id of the connection */
export async function openConnection(
  parts: AuthParts,
  connection: Omit<EhrConnection, 'id'>,
  tokens: EhrTokens,
): Promise<string> {
  const id = newId();
  await poolNamed(
    parts.pool,
    `insert into auth_ehr_connection (id, session_uid, issuer, tokens_sealed, context_sealed, expires_at, created_at)
     values ($1, $2, $3, $4, $5, to_timestamp($6::float8), to_timestamp($7))`,
    [
      id,
      connection.sessionUid,
      connection.issuer,
      sealTokens(parts, id, tokens),
      parts.keys.seal(CONTEXT, id, JSON.stringify(connection.context)),
      tokens.expiresAt ?? null,
      parts.clock.now() / 1000,
    ],
  );
  return id;
}

/** The connections of a session, the newest first. */
async function connectionsOf(
  parts: AuthParts,
  sessionUid: string,
  id: string | null,
): Promise<readonly EhrConnection[]> {
  const { rows } = await poolNamed(
    parts.pool,
    `select id, issuer, context_sealed from auth_ehr_connection where session_uid = $1 and ($2::text is null or id = $2)
     order by created_at desc, id desc limit 100`,
    [sessionUid, id],
  );
  return rows.map(([found, issuer, sealed]) => ({
    id: found ?? '',
    sessionUid,
    issuer: issuer ?? '',
    context: JSON.parse(parts.keys.open(CONTEXT, found ?? '', sealed ?? '')) as EhrContext,
  }));
}

/** One connection of this very session. */
export const connectionOf = async (
  parts: AuthParts,
  sessionUid: string,
  id: string,
): Promise<EhrConnection | undefined> => (await connectionsOf(parts, sessionUid, id))[0];

/** The newest connection of this session that was opened on a patient. @param patient id here */
export const connectionFor = async (
  parts: AuthParts,
  sessionUid: string,
  patient: string,
): Promise<EhrConnection | undefined> =>
  (await connectionsOf(parts, sessionUid, null)).find((c) => c.context.patient === patient);

/** Notes who the patient is here. */
export async function notePatient(parts: AuthParts, connection: EhrConnection, patient: string): Promise<void> {
  await poolNamed(parts.pool, `update auth_ehr_connection set context_sealed = $2 where id = $1`, [
    connection.id,
    parts.keys.seal(CONTEXT, connection.id, JSON.stringify({ ...connection.context, patient })),
  ]);
}

/** Ends a connection; a trigger sees to it that its tokens are given back. */
export async function closeConnection(parts: AuthParts, id: string): Promise<void> {
  await poolNamed(parts.pool, `delete from auth_ehr_connection where id = $1`, [id]);
}

async function storedTokens(parts: AuthParts, id: string): Promise<EhrTokens> {
  const { rows } = await poolNamed(parts.pool, `select tokens_sealed from auth_ehr_connection where id = $1`, [id]);
  const sealed = rows[0]?.[0];
  if (sealed === null || sealed === undefined) throw failure('refused');
  return openTokens(parts, id, sealed);
}

/**
 * Sees to it that tokens without a session are given back to the EHR.
 * @param afterSeconds time in which `claimTokens` may still take them
 * @returns the id to claim them by
 */
export async function giveBack(parts: AuthParts, issuer: string, tokens: EhrTokens, afterSeconds = 0): Promise<string> {
  const id = newId();
  await inTransaction(parts.pool, async (run) => {
    await run(`insert into auth_ehr_revocation (id, issuer, tokens_sealed) values ($1, $2, $3)`, [
      id,
      issuer,
      sealTokens(parts, id, tokens),
    ]);
    await run(
      `insert into outbox (topic, payload, available_at)
       values ('revoke-ehr-tokens', jsonb_build_object('id', $1::text), now() + make_interval(secs => $2))`,
      [id, afterSeconds],
    );
  });
  return id;
}

/** Takes tokens out again that were to be given back. @throws FederationFailure `flow` when it is too late */
export async function claimTokens(parts: AuthParts, id: string): Promise<EhrTokens> {
  const { rows } = await poolNamed(
    parts.pool,
    `delete from auth_ehr_revocation where id = $1 returning tokens_sealed`,
    [id],
  );
  const sealed = rows[0]?.[0];
  if (sealed === null || sealed === undefined) throw failure('flow');
  return openTokens(parts, id, sealed);
}

const isStale = (parts: AuthParts, tokens: EhrTokens): boolean =>
  tokens.expiresAt !== undefined && tokens.expiresAt - EARLY_SECONDS <= parts.clock.now() / 1000;

/** The refresh token is used by one process at a time: used twice, it would end the whole family there. */
async function renew(parts: FederationParts, ehr: EhrSettings, id: string, stale: EhrTokens): Promise<EhrTokens> {
  const deadline = Date.now() + LEASE_SECONDS * 1000;
  while (Date.now() < deadline) {
    const { rowCount } = await poolNamed(
      parts.pool,
      `update auth_ehr_connection set refreshing_until = now() + make_interval(secs => $2)
       where id = $1 and (refreshing_until is null or refreshing_until < now())`,
      [id, LEASE_SECONDS],
    );
    const current = await storedTokens(parts, id);
    const isOurs = rowCount === 1;
    if (current.accessToken !== stale.accessToken) {
      if (isOurs) await endLease(parts, id);
      return current;
    }
    if (isOurs) return exchange(parts, ehr, id, current);
    await sleep(WAIT_MS);
  }
  throw failure('unreachable');
}

async function endLease(parts: AuthParts, id: string): Promise<void> {
  await poolNamed(parts.pool, `update auth_ehr_connection set refreshing_until = null where id = $1`, [id]);
}

async function exchange(parts: FederationParts, ehr: EhrSettings, id: string, before: EhrTokens): Promise<EhrTokens> {
  let response: oidc.TokenEndpointResponse;
  try {
    if (before.refreshToken === undefined) throw failure('refused');
    const configuration = await parts.remotes.configurationOf(ehrRemote(ehr));
    response = await oidc.refreshTokenGrant(configuration, before.refreshToken);
  } catch (error) {
    const reason = toFailure(error);
    // What the EHR no longer honours is of no use; what it could not answer may work again.
    await (reason.code === 'refused' ? closeConnection(parts, id) : endLease(parts, id));
    throw reason;
  }
  const tokens = tokensOf(parts, response, before);
  const { rowCount } = await poolNamed(
    parts.pool,
    `update auth_ehr_connection set tokens_sealed = $2, expires_at = to_timestamp($3::float8), refreshing_until = null where id = $1`,
    [id, sealTokens(parts, id, tokens), tokens.expiresAt ?? null],
  );
  if (rowCount === 1) return tokens;
  await giveBack(parts, ehr.issuer, tokens);
  throw failure('refused');
}

const PATH = /^[A-Z][A-Za-z]{1,63}(?:\/([A-Za-z0-9.-]{1,64}))?(?:\?[\w.~:=&,|%+$-]*)?$/;

/** @throws FederationFailure `unsafe` when the address would not lie below the EHR's base */
function addressOf(ehr: EhrSettings, path: string): string {
  const base = `${ehr.issuer}/`;
  const [match, id] = PATH.exec(path) ?? [];
  if (match === undefined || (id !== undefined && !isResourceId(id))) throw failure('unsafe');
  const url = new URL(path, base);
  if (url.origin !== new URL(base).origin || !url.href.startsWith(new URL(base).href)) throw failure('unsafe');
  return url.href;
}

/**
 * Reads from the EHR with the connection's token, which goes nowhere but to the EHR's own base.
 * @param path below the FHIR base, `Patient/1`
 * @throws FederationFailure `refused` when the EHR no longer honours the tokens (the connection is then gone), `unreachable`, `unsafe`
 */
export async function ehrFetch(parts: FederationParts, connection: EhrConnection, path: string): Promise<Response> {
  const ehr = parts.settings.ehrs.find((e) => e.issuer === connection.issuer);
  if (!ehr) throw failure('unknown');
  const url = addressOf(ehr, path);
  const ask = async ({ accessToken }: EhrTokens): Promise<Response> => {
    try {
      return await parts.remotes.fetch(url, {
        method: 'GET',
        headers: { Accept: 'application/fhir+json', Authorization: `Bearer ${accessToken}` },
      });
    } catch (error) {
      throw toFailure(error);
    }
  };
  let tokens = await storedTokens(parts, connection.id);
  const renewed = isStale(parts, tokens);
  if (renewed) tokens = await renew(parts, ehr, connection.id, tokens);
  const response = await ask(tokens);
  if (response.status !== 401 || renewed) return response;
  await response.body?.cancel();
  return ask(await renew(parts, ehr, connection.id, tokens));
}
