/** The pages of identity: one table of routes, joined as a Hono application. */
import { Hono } from 'hono';
import { clientAddress } from '../client-address.ts';
import type { AuthParts } from '../parts.ts';
import { assetReply, loadAssets } from './assets.ts';
import { errorPage, missing, PageError } from './errors.ts';
import type { PagesIdentity } from './identity.ts';
import { redirect } from './reply.ts';
import type { Route } from './route.ts';
import { ROUTES } from './routes.ts';
import { openVisit, wantsHtml, type PageBindings, type Visit } from './visit.ts';

export interface Pages {
  readonly routes: Hono<{ Bindings: PageBindings }>;
  /** The reply to a request that nothing else answers. */
  notFound(request: Request, env: PageBindings | undefined): Promise<Response>;
}

/** Pages that list or show people other than the visitor. */
const SHOWS_PEOPLE = /^\/admin\/people|\/patient$/;

const METHODS = ['GET', 'POST', 'PUT'] as const;

/** HEAD is GET without the body, which the server leaves out. */
const methodOf = ({ method }: Request) => METHODS.find((name) => name === (method === 'HEAD' ? 'GET' : method));

/** What a route takes, for 405. */
const allowed = (route: Route): string =>
  METHODS.filter((method) => route[method])
    .flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
    .join(', ');

const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost']);

/**
 * Our address on this machine, when a browser came by another name of it: cookies and passkeys belong to one name.
 * @returns undefined when it came as it should, or from elsewhere
 */
function sameMachine({ publicUrl }: AuthParts, request: Request): string | undefined {
  const own = new URL(publicUrl);
  const url = new URL(request.url);
  const other = LOOPBACK.has(own.hostname) && LOOPBACK.has(url.hostname) && own.hostname !== url.hostname;
  return other && own.port === url.port ? `${own.origin}${url.pathname}${url.search}` : undefined;
}

/** @param more routes besides those of the table */
export function createPages(parts: AuthParts, identity: PagesIdentity, more: readonly Route[] = []): Pages {
  const assets = loadAssets();
  const routes = new Hono<{ Bindings: PageBindings }>();

  const isSecure = parts.publicUrl.startsWith('https:');
  /** @see https://www.rfc-editor.org/rfc/rfc6797 */
  const guarded = (reply: Response): Response => {
    if (isSecure) reply.headers.set('Strict-Transport-Security', 'max-age=31536000');
    return reply;
  };

  /** Before the reply leaves. */
  const tell = (
    route: Route,
    { request, env, params, account, pending }: Visit,
    status: number,
  ): Promise<void> | undefined => {
    const { method } = request;
    if (method !== 'POST' && method !== 'PUT' && !SHOWS_PEOPLE.test(route.path)) return undefined;
    if (!route.touches) return undefined;
    const whose = account ?? pending?.account;
    const told = parts.observe({
      kind: 'page',
      method,
      path: route.path.replaceAll(/:(id|act)\b/g, (_, name: string) => params[name] ?? ''),
      status,
      ...(whose ? { accountId: whose.id, roles: whose.roles } : {}),
      address: clientAddress(parts, env.incoming),
    });
    return told ?? undefined;
  };

  const serve = async (
    route: Route,
    request: Request,
    env: PageBindings,
    params: Readonly<Record<string, string>>,
  ): Promise<Response> => {
    const { method } = request;
    let visit: Visit | undefined;
    try {
      const known = methodOf(request);
      const handler = known && route[known];
      if (!handler) throw new PageError(405, 'method', 'not-supported', { Allow: allowed(route) });
      const elsewhere = method === 'GET' && wantsHtml(request) ? sameMachine(parts, request) : undefined;
      if (elsewhere !== undefined) return redirect(elsewhere, { status: 307 });
      visit = await openVisit(request, { parts, identity, env, params, touches: route.touches, isOwn: route.isOwn });
      const reply = await handler(visit);
      await tell(route, visit, reply.status);
      return guarded(reply);
    } catch (error) {
      const reply = await errorPage(error, request, { parts, identity, env }, visit);
      // Already refused: that it could not be recorded changes nothing.
      if (visit) await tell(route, visit, reply.status)?.catch(() => undefined);
      return guarded(reply);
    }
  };

  const notFound: Pages['notFound'] = (request, env = {}) =>
    errorPage(missing(), request, { parts, identity, env }, undefined);

  for (const route of [...ROUTES, ...more])
    routes.all(route.path, (c) => serve(route, c.req.raw, c.env ?? {}, c.req.param() as Record<string, string>));
  routes.get('/assets/:name', (c) => assetReply(assets, c.req.param('name'), c.req.raw) ?? notFound(c.req.raw, c.env));
  return { routes, notFound };
}
