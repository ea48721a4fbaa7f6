/**
 * What wraps the library: headers of RFC 6749, the members that SMART adds to a token response, JSON where programs call, POST to the
 * authorization endpoint. @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#response-5
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import { isAway } from '../../platform/database/away.ts';
import { poolNamed } from '../../platform/database/pool.ts';
import { errorFields } from '../../platform/log.ts';
import { secretHash } from '../../platform/keys.ts';
import { spend } from '../attempts.ts';
import { clientAddress } from '../client-address.ts';
import { Refusal } from '../refusal.ts';
import { isRegisteredOrigin } from '../clients/registry.ts';
import { FhirError } from '../../fhir/outcome.ts';
import type { ObserveAuth } from '../events.ts';
import type { AuthParts } from '../parts.ts';
import { formTarget } from '../form-target.ts';
import { setCookie } from '../session/cookies.ts';
import { endSession } from '../session/end.ts';
import { sessionOf } from '../session/session.ts';
import { noteArrival } from './arrival.ts';
import { originsOfClient } from './config.ts';
import { correct } from './correct.ts';
import { nameClient } from './nameless-refresh.ts';
import { answersPrograms, type ProviderPages } from './pages.ts';

/** What the library tells by events while it answers a request. */
export interface Aside {
  /** What it failed by, where it was not its own fault. */
  failure?: unknown;
  /** Under way: the answer waits for them. */
  readonly records: Promise<void>[];
}

export type Asides = WeakMap<KoaContextWithOIDC, Aside>;

export function asideOf(asides: Asides, ctx: KoaContextWithOIDC): Aside {
  let known = asides.get(ctx);
  if (!known) asides.set(ctx, (known = { records: [] }));
  return known;
}

/** What cannot be recorded is not given. */
const isUnrecorded = (error: unknown): boolean => error instanceof FhirError && error.status === 503;

/** That the request may be sent again is said, and nothing else. */
export const isPassing = (error: unknown): boolean => isAway(error) || isUnrecorded(error);

type Middleware = (ctx: KoaContextWithOIDC, next: () => Promise<unknown>) => Promise<void>;

/** Longest form that an authorization request may come as, and a token request. */
const FORM_BYTES = 8_192;
const TOKEN_BYTES = 57_344;
/** Authorization requests from one place: each is kept for a while, and a clinic shares an address. */
const REQUESTS = { limit: 3_000, seconds: 900 } as const;

/** What is for programs shows and runs nothing. */
const NOTHING_RUNS = "default-src 'none'; frame-ancestors 'none'";
// `script-src` must stand there: the library adds the hash of its own script, which submits a form, to it.
const PAGE_POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action ";

/** Signing out sends the form here, and its answer back to the app. */
function formTargets({ oidc }: KoaContextWithOIDC): string {
  const back: unknown = oidc.params?.['post_logout_redirect_uri'];
  return oidc.route === 'end_session'
    ? `'self'${typeof back === 'string' ? ` ${formTarget(back).join(' ')}` : ''}`
    : "'none'";
}

/** Whether what is percent-encoded is text: bytes that are none would come back to the app as others. */
const isText = (encoded: string): boolean =>
  (encoded.match(/(?:%[\da-f]{2})+/gi) ?? []).every((bytes) => {
    try {
      return !decodeURIComponent(bytes).includes('\0');
    } catch {
      return false;
    }
  });

/** undefined: longer than allowed, or the client hung up. */
async function readBody(request: AsyncIterable<Buffer>, limit: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request) {
      bytes += chunk.length;
      if (bytes > limit) return undefined;
      chunks.push(chunk);
    }
  } catch {
    // Nobody hears the answer; as an error of ours it would only fill the log.
    return undefined;
  }
  return Buffer.concat(chunks);
}

function refuse(ctx: KoaContextWithOIDC, description: string): void {
  ctx.status = 400;
  ctx.set('cache-control', 'no-store');
  ctx.set('pragma', 'no-cache');
  ctx.body = { error: 'invalid_request', error_description: description };
}

/** Whether an authorization request may begin: what it makes costs room before anybody has signed in. */
async function hasRoom(parts: AuthParts, ctx: KoaContextWithOIDC): Promise<boolean> {
  if (Buffer.byteLength(ctx.querystring) > FORM_BYTES) {
    refuse(ctx, `the request is longer than ${FORM_BYTES} bytes`);
    return false;
  }
  try {
    await spend(parts, [{ key: ['authorize', 'source', clientAddress(parts, ctx.req)], ...REQUESTS }]);
    return true;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    refuse(ctx, 'too many requests from this address: try again later');
    ctx.status = error.status;
    ctx.set('retry-after', String(Math.max(1, Math.ceil(error.retryAfterSeconds ?? 1))));
    return false;
  }
}

const FORM = 'application/x-www-form-urlencoded';

function refuseLong(ctx: KoaContextWithOIDC, limit: number): void {
  ctx.set('connection', 'close');
  refuse(ctx, `the form is longer than ${limit} bytes`);
}

/** Where browsers come by GET and POST alike. */
const BY_GET_TOO = ['/authorize', '/logout'];

/**
 * The library's POST would need cookies that other sites' requests carry: the same parameters come again by GET instead.
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#authorization-methods
 */
async function repeatByGet({ issuer }: AuthParts, ctx: KoaContextWithOIDC, path: string): Promise<void> {
  if (!ctx.is(FORM)) return refuse(ctx, `only ${FORM} bodies are supported`);
  const form = (await readBody(ctx.req, FORM_BYTES))?.toString('utf8');
  if (form === undefined) return refuseLong(ctx, FORM_BYTES);
  if (!isText(form)) return refuse(ctx, 'a parameter holds bytes that are no UTF-8, or the character NUL');
  // Written anew, so that nothing but parameters can stand in the address.
  const given = [ctx.querystring, new URLSearchParams(form).toString()].filter((q) => q !== '').join('&');
  ctx.status = 303;
  ctx.set('cache-control', 'no-store');
  ctx.set('location', `${issuer}${path}?${given}`);
  ctx.body = '';
}

/** What SMART tells beside the token. */
function addContext(ctx: KoaContextWithOIDC): void {
  const extra = ctx.oidc.entities.AccessToken?.extra;
  if (!extra || typeof ctx.body !== 'object' || ctx.body === null) return;
  const { fhirUser: _fhirUser, ...told } = extra;
  ctx.body = { ...told, ...ctx.body };
}

/** A refresh token was used; of one that was replaced, that its successor is on its way. */
async function noteRefresh(parts: AuthParts, ctx: KoaContextWithOIDC): Promise<void> {
  const { RotatedRefreshToken, RefreshToken } = ctx.oidc.entities;
  const used = RotatedRefreshToken ?? RefreshToken;
  if (!used || ctx.oidc.params?.['grant_type'] !== 'refresh_token') return;
  await poolNamed(
    parts.pool,
    `update auth_oidc set last_used_at = now() where model = 'RefreshToken' and id_hash = $1`,
    [secretHash(used.jti)],
  );
}

async function observeToken(observe: ObserveAuth, ctx: KoaContextWithOIDC): Promise<void> {
  const { AccessToken, ClientCredentials } = ctx.oidc.entities;
  const token = AccessToken ?? ClientCredentials;
  await observe({
    kind: 'token-issued',
    clientId: ctx.oidc.client?.clientId ?? '',
    grantType: String(ctx.oidc.params?.['grant_type'] ?? ''),
    ...(AccessToken ? { accountId: AccessToken.accountId, grantId: AccessToken.grantId ?? '' } : {}),
    ...(token?.scope === undefined ? {} : { scope: token.scope }),
  });
}

/** `Allow-Credentials` for scripts of registered origins alone. @see https://fetch.spec.whatwg.org/#http-cors-protocol */
async function allowCredentials(parts: AuthParts, ctx: KoaContextWithOIDC): Promise<void> {
  const origin = ctx.get('origin');
  if (origin === '' || ctx.response.get('access-control-allow-origin') !== origin) return;
  const { client, route } = ctx.oidc;
  const registered = client
    ? originsOfClient(client).includes(origin)
    : route.startsWith('cors.') && (await isRegisteredOrigin(parts, origin));
  if (registered) ctx.set('access-control-allow-credentials', 'true');
}

/** Signing out at an app's request signs out of our pages too. */
async function endOwnSession(parts: AuthParts, ctx: KoaContextWithOIDC): Promise<void> {
  const { session, params } = ctx.oidc;
  if (ctx.status !== 303 || params?.['logout'] === undefined || !session) return;
  const own = await sessionOf(parts, ctx.headers.cookie);
  // Another person may have signed in since: then only what was left of the one before ends.
  if (!own || own.accountId !== session.accountId) return;
  await endSession(parts, own.uid);
  ctx.append('set-cookie', setCookie(parts, 'sid', '', 0));
  ctx.set('clear-site-data', '"cache", "storage"');
}

/** What these paths take; scripts ask first with OPTIONS. @see https://www.rfc-editor.org/rfc/rfc9110#section-15.5.6 */
const ONLY_POST = new Set(['/token', '/introspect', '/revoke']);

/** Whether it is so; then it is answered. */
function refusesMethod(ctx: KoaContextWithOIDC): boolean {
  if (!ONLY_POST.has(ctx.path) || ctx.method === 'POST' || ctx.method === 'OPTIONS') return false;
  refuse(ctx, 'send the request by POST');
  ctx.status = 405;
  ctx.set('allow', 'POST, OPTIONS');
  return true;
}

export function createMiddleware(
  parts: AuthParts,
  observe: ObserveAuth,
  pages: ProviderPages,
  asides: Asides,
): Middleware {
  const answer = createAnswer(parts, observe);
  return async (ctx, next) => {
    const aside = asideOf(asides, ctx);
    try {
      try {
        await answer(ctx, next);
      } finally {
        await Promise.all(aside.records);
      }
    } catch (error) {
      if (!isPassing(error)) throw error;
      aside.failure = error;
    }
    if (!isPassing(aside.failure)) return;
    parts.log.warn('The authorization server has no database', errorFields(aside.failure));
    pages.unavailable(ctx);
  };
}

function createAnswer(parts: AuthParts, observe: ObserveAuth): Middleware {
  return async (ctx, next) => {
    noteArrival(ctx.req);
    ctx.set('x-content-type-options', 'nosniff');
    ctx.set('referrer-policy', 'no-referrer');
    // NUL, too: the database cannot hold it, and no parameter has a use for it.
    if (!isText(ctx.querystring)) return refuse(ctx, 'a parameter holds bytes that are no UTF-8, or the character NUL');
    const repeated = ctx.method === 'POST' ? BY_GET_TOO.find((path) => path === ctx.path) : undefined;
    if (repeated !== undefined) return repeatByGet(parts, ctx, repeated);
    if (refusesMethod(ctx)) return;
    if (ctx.path === '/authorize' && !(await hasRoom(parts, ctx))) return;
    ctx.set('content-security-policy', `${PAGE_POLICY}'none'`);
    ctx.set('x-frame-options', 'DENY');
    let lost = false;
    if (ctx.method === 'POST' && ctx.path === '/token' && ctx.get('authorization') === '' && ctx.is(FORM)) {
      const body = await readBody(ctx.req, TOKEN_BYTES);
      if (body === undefined) return refuseLong(ctx, TOKEN_BYTES);
      const { request, isLost } = await nameClient(parts, ctx.req, body);
      ctx.req = request;
      lost = isLost;
    }
    await next();
    const { oidc } = ctx;
    if (!oidc) {
      if (ctx.status === 404) {
        ctx.status = 404;
        ctx.body = { error: 'not_found', error_description: 'nothing is served here' };
      }
      return;
    }
    if (answersPrograms(oidc.route) || oidc.route.startsWith('cors.')) {
      ctx.set('content-security-policy', NOTHING_RUNS);
      if (oidc.route !== 'jwks' && oidc.route !== 'discovery') {
        ctx.set('cache-control', 'no-store');
        ctx.set('pragma', 'no-cache');
        await allowCredentials(parts, ctx);
      }
    }
    if (oidc.route === 'end_session' && ctx.status === 200) {
      const policy = ctx.response.get('content-security-policy');
      ctx.set('content-security-policy', policy.replace("form-action 'none'", `form-action ${formTargets(ctx)}`));
    }
    correct(ctx);
    // Such tokens have ended, or never were: what the library misses is not what the app must mend.
    if (lost && ctx.status === 400)
      ctx.body = { error: 'invalid_grant', error_description: 'grant request is invalid' };
    if (oidc.route === 'token' && ctx.status === 200) {
      addContext(ctx);
      await noteRefresh(parts, ctx);
      await observeToken(observe, ctx);
    }
    if (oidc.route === 'end_session_confirm') await endOwnSession(parts, ctx);
  };
}
