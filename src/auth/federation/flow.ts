/**
 * What a browser has begun elsewhere and will come back from: kept here, sealed, for ten minutes and one use. It is found only with both the
 * `state` of the answer and a cookie of the browser that began. @see https://www.rfc-editor.org/rfc/rfc9700#section-4.7
 */
import { poolNamed } from '../../platform/database/pool.ts';
import { newSecret, secretHash } from '../../platform/keys.ts';
import type { AuthParts } from '../parts.ts';

/** `link`: an identity that was proven, and waits for the account that it shall open. */
export type FlowKind = 'signin' | 'launch' | 'link';

const SECONDS = 600;
const PURPOSE = 'auth_flow.payload_sealed';
const SECRET = /^[A-Za-z0-9_-]{43}$/;
/** Flows of one browser at a time: tabs, and launches that were given up. */
const MAX_COOKIES = 8;

const isSecure = ({ publicUrl }: Pick<AuthParts, 'publicUrl'>): boolean => publicUrl.startsWith('https:');
const prefix = (parts: Pick<AuthParts, 'publicUrl'>): string => (isSecure(parts) ? '__Host-flow-' : 'flow-');
const cookieName = (parts: Pick<AuthParts, 'publicUrl'>, state: string): string =>
  `${prefix(parts)}${secretHash(state).slice(0, 10)}`;

const setCookie = (parts: Pick<AuthParts, 'publicUrl'>, name: string, value: string, maxAgeSeconds: number): string =>
  `${name}=${value}; Path=/; HttpOnly; SameSite=Lax${isSecure(parts) ? '; Secure' : ''}; Max-Age=${maxAgeSeconds}`;

const cookiesOf = (header: string | undefined): readonly (readonly [string, string])[] =>
  header === undefined || header.length > 16_384
    ? []
    : header.split(';').map((pair) => {
        const [name = '', value = ''] = pair.trim().split(/=(.*)/s);
        return [name, value] as const;
      });

/** The header of a request. */
export const cookiesSent = ({ request }: { readonly request: Request }): string | undefined =>
  request.headers.get('cookie') ?? undefined;

/** Found by hash only: neither the cookie nor the state alone leads to it. */
const rowOf = (secret: string, state: string): string => secretHash(`${secret}.${state}`);

export interface SavedFlow {
  /** Goes through the remote side, and comes back. */
  readonly state: string;
  /** Values of Set-Cookie. */
  readonly cookies: readonly string[];
}

/** @param cookieHeader of the request: what too many other flows left behind is forgotten */
export async function saveFlow(
  parts: AuthParts,
  kind: FlowKind,
  payload: unknown,
  cookieHeader: string | undefined,
): Promise<SavedFlow> {
  const [state, secret] = [newSecret(), newSecret()];
  const hash = rowOf(secret, state);
  await poolNamed(
    parts.pool,
    `insert into auth_flow (hash, kind, payload_sealed, expires_at) values ($1, $2, $3, to_timestamp($4))`,
    [hash, kind, parts.keys.seal(PURPOSE, hash, JSON.stringify(payload)), parts.clock.now() / 1000 + SECONDS],
  );
  const before = cookiesOf(cookieHeader)
    .map(([name]) => name)
    .filter((name) => name.startsWith(prefix(parts)) && /^[\w-]{1,40}$/.test(name));
  const forgotten = before.length >= MAX_COOKIES ? before.map((name) => setCookie(parts, name, '', 0)) : [];
  return { state, cookies: [...forgotten, setCookie(parts, cookieName(parts, state), secret, SECONDS)] };
}

function secretFor(parts: AuthParts, state: string | undefined, cookieHeader: string | undefined): string | undefined {
  if (state === undefined || !SECRET.test(state)) return undefined;
  const name = cookieName(parts, state);
  const secret = cookiesOf(cookieHeader).find(([n]) => n === name)?.[1];
  return secret !== undefined && SECRET.test(secret) ? secret : undefined;
}

async function find(
  parts: AuthParts,
  kind: FlowKind,
  state: string | undefined,
  cookieHeader: string | undefined,
  statement: string,
): Promise<unknown> {
  const secret = secretFor(parts, state, cookieHeader);
  if (state === undefined || secret === undefined) return undefined;
  const hash = rowOf(secret, state);
  const { rows } = await poolNamed(parts.pool, statement, [hash, kind, parts.clock.now() / 1000]);
  const sealed = rows[0]?.[0];
  return sealed === null || sealed === undefined
    ? undefined
    : (JSON.parse(parts.keys.open(PURPOSE, hash, sealed)) as unknown);
}

/** The payload, once: of two that ask for it one gets it. undefined: there is none, for this browser. */
export const takeFlow = (
  parts: AuthParts,
  kind: FlowKind,
  state: string | undefined,
  cookieHeader: string | undefined,
): Promise<unknown> =>
  find(
    parts,
    kind,
    state,
    cookieHeader,
    `delete from auth_flow where hash = $1 and kind = $2 and expires_at > to_timestamp($3) returning payload_sealed`,
  );

/** The payload, which stays. */
export const lookAtFlow = (
  parts: AuthParts,
  kind: FlowKind,
  state: string | undefined,
  cookieHeader: string | undefined,
): Promise<unknown> =>
  find(
    parts,
    kind,
    state,
    cookieHeader,
    `select payload_sealed from auth_flow where hash = $1 and kind = $2 and expires_at > to_timestamp($3)`,
  );

/** Value of Set-Cookie that forgets a flow's cookie. */
export const forgetCookie = (parts: AuthParts, state: string): string =>
  setCookie(parts, cookieName(parts, state), '', 0);
