/**
 * What the authorization server remembers, in PostgreSQL. Codes, tokens and cookies are found by their SHA-256 and never stored; races are
 * settled by single statements. @see https://github.com/panva/node-oidc-provider/blob/main/docs/README.md#adapter
 */
import { errors, Provider, type Adapter, type AdapterPayload } from 'oidc-provider';
import type { Row } from '../../platform/database/named-query.ts';
import { poolNamed } from '../../platform/database/pool.ts';
import { secretHash } from '../../platform/keys.ts';
import type { ObserveAuth } from '../events.ts';
import type { AuthParts } from '../parts.ts';
import { REFRESH_IDLE_SECONDS } from './lifetimes.ts';
import { revokeGrant } from './grants.ts';
import { arrivedAt } from './arrival.ts';

/** Grants are named in rows that hang on them and are no secret of anybody; all other ids are, or may be. */
const keyOf = (model: string, id: string): string => (model === 'Grant' ? id : secretHash(id));

/** A refresh token that is presented twice at the same time was doubled by an app, not stolen: the second is refused, nothing more. */
const SAME_TIME_MS = 10_000;
/** Between sending and arrival, in a process that has much to do; clocks of processes and database may differ by less. */
const UNDER_WAY_MS = 1_000;

const COLUMNS = `payload, extract(epoch from consumed_at) * 1000, extract(epoch from last_used_at) * 1000`;

interface Stored {
  readonly payload: AdapterPayload;
  /** Milliseconds since the epoch. */
  readonly consumedAt: number | undefined;
  readonly lastUsedAt: number | undefined;
}

const toNumber = (text: string | null | undefined): number | undefined =>
  typeof text === 'string' ? Number(text) : undefined;

const toStored = ([payload, consumed, used]: Row): Stored => ({
  payload: JSON.parse(payload ?? '{}') as AdapterPayload,
  consumedAt: toNumber(consumed),
  lastUsedAt: toNumber(used),
});

/** Never read, and it would be the browser's secret in clear. */
function withoutSecrets({ jti: _jti, ...payload }: AdapterPayload): AdapterPayload {
  if (!payload.session) return payload;
  const { cookie: _cookie, ...session } = payload.session;
  return { ...payload, session };
}

/** They name the person whom an app expects, in clear. */
const HINTS = ['login_hint', 'id_token_hint'] as const;
const SEALED_HINTS = 'hints_sealed';
const HINTS_PURPOSE = 'auth_oidc.payload.hints';

function sealHints({ keys }: AuthParts, bound: string, payload: AdapterPayload): AdapterPayload {
  const { params } = payload;
  if (!params || !HINTS.some((name) => params[name] !== undefined)) return payload;
  const { login_hint, id_token_hint, ...others } = params;
  const sealed = keys.seal(HINTS_PURPOSE, bound, JSON.stringify({ login_hint, id_token_hint }));
  return { ...payload, params: others, [SEALED_HINTS]: sealed };
}

function openHints({ keys }: AuthParts, bound: string, stored: AdapterPayload): AdapterPayload {
  const { [SEALED_HINTS]: sealed, ...payload } = stored;
  if (typeof sealed !== 'string') return stored;
  const hints = JSON.parse(keys.open(HINTS_PURPOSE, bound, sealed)) as Record<string, unknown>;
  return { ...payload, params: { ...payload.params, ...hints } };
}

/** Whether this refresh token is presented for new tokens, and not asked about or revoked. */
const isRefreshing = (): boolean => {
  const oidc = Provider.ctx?.oidc;
  return oidc?.route === 'token' && oidc.params?.['grant_type'] === 'refresh_token';
};

/** Whether the request came while the one that used the token was still under way. */
function wasAtTheSameTime({ consumedAt = 0, lastUsedAt }: Stored): boolean {
  if (Date.now() - consumedAt > SAME_TIME_MS) return false;
  const delivered = lastUsedAt !== undefined && lastUsedAt >= consumedAt;
  return !delivered || arrivedAt(Provider.ctx?.req) - UNDER_WAY_MS < lastUsedAt;
}

const isIdle = ({ payload, lastUsedAt }: Stored): boolean =>
  (lastUsedAt ?? (payload.iat ?? 0) * 1000) + REFRESH_IDLE_SECONDS * 1000 < Date.now();

class PostgresAdapter implements Adapter {
  readonly #model: string;
  readonly #parts: AuthParts;
  readonly #observe: ObserveAuth;

  constructor(model: string, parts: AuthParts, observe: ObserveAuth) {
    this.#model = model;
    this.#parts = parts;
    this.#observe = observe;
  }

  #run(text: string, values: readonly unknown[]): ReturnType<typeof poolNamed> {
    return poolNamed(this.#parts.pool, text, values);
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const { grantId, uid, accountId, clientId } = payload;
    const key = keyOf(this.#model, id);
    const { rowCount } = await this.#run(
      `insert into auth_oidc (model, id_hash, payload, grant_id, uid, account_id, client_id, expires_at)
       values ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(secs => $8))
       on conflict (model, id_hash) do update set payload = excluded.payload, grant_id = excluded.grant_id, uid = excluded.uid,
         account_id = excluded.account_id, client_id = excluded.client_id, expires_at = excluded.expires_at
         where auth_oidc.model <> 'ReplayDetection' or auth_oidc.expires_at < now()`,
      [
        this.#model,
        key,
        JSON.stringify(sealHints(this.#parts, key, withoutSecrets(payload))),
        grantId ?? null,
        this.#model === 'Session' ? uid : null,
        accountId ?? null,
        clientId ?? null,
        expiresIn ?? null,
      ],
    );
    // Two requests with the same assertion: the library looked before either wrote.
    if (rowCount === 0) throw new errors.InvalidClientAuth('client assertion tokens must only be used once');
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const key = keyOf(this.#model, id);
    const { rows } = await this.#run(`select ${COLUMNS} from auth_oidc where model = $1 and id_hash = $2`, [
      this.#model,
      key,
    ]);
    const stored = rows[0] && toStored(rows[0]);
    if (!stored) return undefined;
    if (this.#model === 'RefreshToken') {
      if (isIdle(stored)) return undefined;
      if (stored.consumedAt !== undefined && isRefreshing() && wasAtTheSameTime(stored)) return undefined;
    }
    const consumed = stored.consumedAt === undefined ? {} : { consumed: Math.floor(stored.consumedAt / 1000) };
    return { ...openHints(this.#parts, key, stored.payload), ...consumed, jti: id };
  }

  /** Of a session; its cookie's secret is not known here. */
  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    const { rows } = await this.#run(`select ${COLUMNS} from auth_oidc where model = $1 and uid = $2`, [
      this.#model,
      uid,
    ]);
    return rows[0] && toStored(rows[0]).payload;
  }

  /** Of the device flow, which is off. */
  findByUserCode(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  /** Only one request may do it. A code that is presented twice may have been stolen: nothing stays of what it gave. */
  async consume(id: string): Promise<void> {
    const key = keyOf(this.#model, id);
    const { rowCount } = await this.#run(
      `update auth_oidc set consumed_at = now() where model = $1 and id_hash = $2 and consumed_at is null`,
      [this.#model, key],
    );
    if (rowCount === 1) return;
    if (this.#model !== 'RefreshToken') {
      const { rows } = await this.#run(`select grant_id from auth_oidc where model = $1 and id_hash = $2`, [
        this.#model,
        key,
      ]);
      const grantId = rows[0]?.[0] ?? undefined;
      if (grantId !== undefined && (await revokeGrant(this.#parts, grantId)))
        await this.#observe({ kind: 'grant-revoked', grantId, reason: 'replay' });
    }
    throw new errors.InvalidGrant('already used');
  }

  async destroy(id: string): Promise<void> {
    if (this.#model === 'Grant') await revokeGrant(this.#parts, id);
    else
      await this.#run(`delete from auth_oidc where model = $1 and id_hash = $2`, [this.#model, keyOf(this.#model, id)]);
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    await this.#run(`delete from auth_oidc where model = $1 and grant_id = $2`, [this.#model, grantId]);
  }
}

/** Clients come from the registry, which alone writes them. */
class ClientAdapter extends PostgresAdapter {
  readonly #find: (id: string) => Promise<AdapterPayload | undefined>;

  constructor(parts: AuthParts, observe: ObserveAuth, find: (id: string) => Promise<AdapterPayload | undefined>) {
    super('Client', parts, observe);
    this.#find = find;
  }

  override upsert(): Promise<void> {
    return Promise.reject(new Error('Clients are registered in auth/clients/registry.ts'));
  }

  override find(id: string): Promise<AdapterPayload | undefined> {
    return this.#find(id);
  }

  override destroy(): Promise<void> {
    return this.upsert();
  }
}

/** @param findClient metadata of a client as the library knows them */
export const createAdapters =
  (parts: AuthParts, observe: ObserveAuth, findClient: (id: string) => Promise<AdapterPayload | undefined>) =>
  (model: string): Adapter =>
    model === 'Client' ? new ClientAdapter(parts, observe, findClient) : new PostgresAdapter(model, parts, observe);
