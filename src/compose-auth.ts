/** Joins identity: the authorization server, its clients and keys, the pages, and the check of bearer tokens. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Hono, type Context } from 'hono';
import type pg from 'pg';
import { createBearer, type Bearer } from './auth/bearer.ts';
import { bootstrapClient } from './auth/clients/registry.ts';
import { createClientKeys } from './auth/clients/keys.ts';
import { createClientFinder } from './auth/clients/provider-client.ts';
import { registerDynamically } from './auth/clients/registration.ts';
import type { ObserveAuth } from './auth/events.ts';
import { jobsRoutes, type OpenBoard } from './auth/pages/admin-jobs.ts';
import { federationRoutes } from './auth/pages/federation/routes.ts';
import { ensureSigningKey } from './auth/keys/signing.ts';
import type { AuthParts } from './auth/parts.ts';
import { watchRevision } from './auth/revision.ts';
import { touchSession } from './auth/session/session.ts';
import { createAuthorizationServer, type AuthorizationServer } from './auth/provider/create.ts';
import { createPages, type Pages } from './auth/pages/pages.ts';
import { createProviderTexts } from './auth/pages/provider-texts.ts';
import { createProviderPages } from './auth/provider/pages.ts';
import { userinfo } from './auth/provider/userinfo.ts';
import { SMART_STYLE, smartConfiguration } from './auth/smart/configuration.ts';
import { isAway } from './platform/database/away.ts';
import { errorFields } from './platform/log.ts';
import { createOutboundFetch, type OutboundFetch } from './platform/outbound.ts';

export interface Identity extends Bearer {
  readonly parts: AuthParts;
  readonly server: AuthorizationServer;
  /** Requests below the path of the issuer, but for `OWN_PATHS`. */
  readonly oauth: (request: IncomingMessage, response: ServerResponse) => void;
  /** Everything else of identity: documents of discovery, pages. */
  readonly pages: Hono<{ Bindings: Bindings }>;
  /** The page where nothing is served. */
  readonly notFound: Pages['notFound'];
  readonly outbound: OutboundFetch;
  close(): Promise<void>;
}

export interface Bindings {
  /** Set by the Node server; absent in tests that call `app.request`. */
  readonly incoming?: IncomingMessage;
  readonly outgoing?: ServerResponse;
}

export interface IdentityOptions {
  /** What happens is handed to it, instead of being recorded. */
  readonly observe?: ObserveAuth;
  /** Of the job queue, for administrators. */
  readonly openBoard?: OpenBoard;
}

const OPEN = { 'Access-Control-Allow-Origin': '*', 'X-Content-Type-Options': 'nosniff' };
const NO_STORE = { 'Cache-Control': 'no-store', Pragma: 'no-cache', 'X-Content-Type-Options': 'nosniff' };
const MAX_REGISTRATION_BYTES = 65_536;

const json = (value: unknown, status: number, headers: Readonly<Record<string, string>>): Response =>
  new Response(JSON.stringify(value), { status, headers: { 'Content-Type': 'application/json', ...headers } });

/** A document that anybody may read, from any origin. */
const openDocument = (value: unknown): Response => json(value, 200, { ...OPEN, 'Cache-Control': 'max-age=300' });

const preflight = (origin: string, methods: string): Response =>
  new Response(null, {
    status: 204,
    headers: {
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Allow-Methods': methods,
      'Access-Control-Allow-Headers': 'Authorization, Content-Type, Accept',
      'Access-Control-Max-Age': '3600',
      Vary: 'Origin',
    },
  });

/** For programs: nobody but the database is to blame, and it comes back. */
const unlessAway =
  ({ log }: AuthParts, handler: (c: Context) => Promise<Response>) =>
  async (c: Context): Promise<Response> => {
    try {
      return await handler(c);
    } catch (error) {
      if (!isAway(error)) throw error;
      log.warn('The authorization server has no database', errorFields(error));
      return json({ error: 'temporarily_unavailable' }, 503, { ...NO_STORE, 'Retry-After': '1' });
    }
  };

/** undefined: longer than allowed. */
async function boundedText(request: Request, limit: number): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > limit) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function documentRoutes(app: Hono<{ Bindings: Bindings }>, server: AuthorizationServer): void {
  const { parts } = server;
  const wellKnown = '/fhir/R4/.well-known/smart-configuration';
  app.get(wellKnown, () => openDocument(smartConfiguration(parts)));
  app.options(wellKnown, () => preflight('*', 'GET'));
  app.get('/smart-style.json', () => openDocument(SMART_STYLE));
  app.options('/smart-style.json', () => preflight('*', 'GET'));

  const tellUser = async (c: Context): Promise<Response> => {
    const { status, body, headers } = await userinfo(server, c.req.header('authorization'), c.req.header('origin'));
    return json(body, status, { ...NO_STORE, Vary: 'Origin', ...headers });
  };
  app.on(['GET', 'POST'], '/oauth/userinfo', unlessAway(parts, tellUser));
  app.options('/oauth/userinfo', (c) => preflight(c.req.header('origin') ?? '*', 'GET, POST'));

  const register = async (c: Context): Promise<Response> => {
    if (parts.settings.registrationToken === undefined) return json({ error: 'not_found' }, 404, NO_STORE);
    if (c.req.method !== 'POST') return json({ error: 'invalid_request' }, 405, { ...NO_STORE, Allow: 'POST' });
    const type = c.req.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
    if (type !== 'application/json') return json({ error: 'invalid_client_metadata' }, 400, NO_STORE);
    const text = await boundedText(c.req.raw, MAX_REGISTRATION_BYTES);
    if (text === undefined) return json({ error: 'invalid_client_metadata' }, 413, NO_STORE);
    const { status, body } = await registerDynamically(parts, c.req.header('authorization'), text);
    const challenge = status === 401 ? { 'WWW-Authenticate': 'Bearer error="invalid_token"' } : {};
    return json(body, status, { ...NO_STORE, ...challenge });
  };
  app.all('/oauth/register', unlessAway(parts, register));
}

/**
 * @param openClient opens a connection for notifications
 * @throws StartError when the settings ask for what cannot be
 */
export async function openIdentity(
  parts: AuthParts,
  openClient: () => Promise<pg.Client>,
  options: IdentityOptions = {},
): Promise<Identity> {
  const { observe } = parts;
  const outbound = createOutboundFetch(parts.settings);
  await Promise.all([bootstrapClient(parts), ensureSigningKey(parts)]);
  const server = await createAuthorizationServer({
    parts,
    observe,
    pages: createProviderPages(createProviderTexts(parts)),
    findClient: createClientFinder(parts, createClientKeys(outbound, parts.clock)),
  });
  const pages = new Hono<{ Bindings: Bindings }>();
  documentRoutes(pages, server);
  const { openBoard } = options;
  const { routes, notFound } = createPages(parts, { server }, [
    ...federationRoutes(parts, outbound),
    ...(openBoard ? jobsRoutes(openBoard) : []),
  ]);
  pages.route('/', routes);
  const revision = watchRevision(openClient, parts.log);
  const bearer = createBearer(parts, { revision, touch: (uid) => touchSession(parts, uid) });
  return {
    accessOf: bearer.accessOf,
    parts,
    server,
    oauth: server.handle,
    pages,
    notFound,
    outbound,
    close() {
      server.close();
      return revision.close();
    },
  };
}
