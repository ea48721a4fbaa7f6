/** The HTTP application: FHIR under its base, a page for people, health and metrics. */
import type { IncomingMessage } from 'node:http';
import { Hono } from 'hono';
import type { Bindings } from './compose-auth.ts';
import { anonymousAccess } from './auth/access/anonymous.ts';
import type { Access } from './fhir/access.ts';
import type { Engine } from './fhir/engine.ts';
import { createEdge, type Observer } from './fhir/http/edge.ts';
import { errorReply, render } from './fhir/http/render.ts';
import { errorIssue, FhirError } from './fhir/outcome.ts';
import { newId } from './platform/id.ts';
import { errorFields, type Log } from './platform/log.ts';
import { CONTENT_TYPE, type Metrics } from './platform/metrics.ts';
import { createEventsEdge } from './scheduling/events/http.ts';
import type { Hub } from './scheduling/events/hub.ts';

export interface AppParts {
  readonly log: Log;
  readonly metrics: Metrics;
  /** Whether requests can be served now: the database answers, and no stop is under way. */
  readonly ready: () => boolean | Promise<boolean>;
  /** Accept every exchange before its reply leaves. */
  readonly observers?: readonly Observer[];
  /** Who is asking; unless told, nobody is known. @param inUse whether this is activity of their session */
  readonly accessOf?: (header: (name: string) => string | undefined, inUse?: boolean) => Access | Promise<Access>;
  /** Counts a request of whoever asks. @throws FhirError 429, 503 */
  readonly admit?: (access: Access | undefined, incoming: IncomingMessage | undefined) => void;
  /** The client's network; the peer's unless told. */
  readonly addressOf?: (incoming: IncomingMessage) => string;
  /** Of identity: before everything else. */
  readonly pages?: Hono<{ Bindings: Bindings }>;
  /** Streams of changes, under `/events`. */
  readonly events?: Hub;
  /** The reply where nothing is served; unset: an OperationOutcome for everybody. */
  readonly notFound?: (request: Request, env: Bindings | undefined) => Promise<Response>;
  readonly maxInFlight?: number;
  readonly bodyTimeoutMs?: number;
}

const BASE_PATH = '/fhir/R4';
const MAX_IN_FLIGHT = 1000;
const BODY_TIMEOUT_MS = 30_000;
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** Counts and times of what was answered. */
function measure(metrics: Metrics): Observer {
  const duration = metrics.histogram(
    'fhir_request_duration_seconds',
    'Time from the request to its reply, by interaction and status.',
    SECONDS,
  );
  return ({ interaction = 'none', status, durationMs }) =>
    duration.observe({ interaction, status: String(status) }, durationMs / 1000);
}

const text = (body: string, status = 200): Response =>
  new Response(body, { status, headers: { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' } });

/** An error outside of the FHIR base, in the same form. */
const refuse = (error: FhirError, method: string): Response | Promise<Response> =>
  render(errorReply(error), {
    requestId: newId(),
    isHead: method === 'HEAD',
    crossOrigin: true,
    acceptEncoding: undefined,
  });

/** Not what identity serves there, `.well-known/…`. @param url absolute */
function isBelowBase(url: string): boolean {
  const start = url.indexOf('/', url.indexOf('://') + 3);
  return url.startsWith(`${BASE_PATH}/`, start) && url[start + BASE_PATH.length + 1] !== '.';
}

export function buildApp(engine: Engine, parts: AppParts): Hono<{ Bindings: Bindings }> {
  const { metrics } = parts;
  const anonymous = anonymousAccess(engine);
  const { observers = [], accessOf = (): Access => anonymous } = parts;
  const { addressOf = (incoming: IncomingMessage): string => incoming.socket.remoteAddress ?? '' } = parts;
  const edge = createEdge(engine, {
    log: parts.log,
    observers: [measure(metrics), ...observers],
    accessOf: (header) => accessOf(header),
    ...(parts.admit ? { admit: parts.admit } : {}),
    addressOf,
    basePath: BASE_PATH,
    maxInFlight: parts.maxInFlight ?? MAX_IN_FLIGHT,
    bodyTimeoutMs: parts.bodyTimeoutMs ?? BODY_TIMEOUT_MS,
  });
  metrics.gauge('fhir_requests_in_flight', 'Requests under way.', () => [[{}, edge.inFlight()]]);

  const app = new Hono<{ Bindings: Bindings }>();
  const pages: Readonly<Record<string, () => Response | Promise<Response>>> = {
    '/livez': () => text('ok\n'),
    '/readyz': async () => ((await parts.ready()) ? text('ready\n') : text('not ready\n', 503)),
    '/metrics': async () =>
      new Response(await metrics.text(), { headers: { 'Content-Type': CONTENT_TYPE, 'Cache-Control': 'no-store' } }),
  };
  const { admit } = parts;
  // Health and metrics are always told.
  if (admit)
    app.use(async (c, next) => {
      if (pages[c.req.path] || c.req.path === '/events') return next();
      try {
        admit(undefined, c.env?.incoming);
      } catch (error) {
        if (!(error instanceof FhirError)) throw error;
        if (!(c.req.header('accept') ?? '').includes('text/html')) return refuse(error, c.req.method);
        const page = text(`${error.issues[0]?.diagnostics ?? ''}\n`, error.status);
        for (const [name, value] of Object.entries(error.headers)) page.headers.set(name, value);
        return page;
      }
      return next();
    });
  if (parts.pages) app.route('/', parts.pages);
  app.all(`${BASE_PATH}/*`, (c) => edge.handle(c.req.raw, c.env?.incoming));
  const { events: hub } = parts;
  if (hub) {
    const events = createEventsEdge(engine, {
      hub,
      observers,
      accessOf,
      addressOf,
      ...(parts.admit ? { admit: parts.admit } : {}),
    });
    metrics.gauge('event_streams_open', 'Streams of events that are open.', () => [[{}, hub.size()]]);
    app.all('/events', (c) => events(c.req.raw, c.env));
  }
  for (const [path, page] of Object.entries(pages)) {
    app.get(path, () => page());
    app.all(path, (c) =>
      refuse(
        new FhirError(405, [errorIssue('not-supported', `${path} is only read: use GET.`)], { Allow: 'GET, HEAD' }),
        c.req.method,
      ),
    );
  }
  app.notFound((c) =>
    parts.notFound && (c.req.header('accept') ?? '').includes('text/html')
      ? parts.notFound(c.req.raw, c.env)
      : refuse(
          new FhirError(404, [errorIssue('not-found', `Nothing is served here; FHIR is under ${engine.baseUrl}.`)]),
          c.req.method,
        ),
  );
  const failed = (error: unknown, method: string): Response | Promise<Response> => {
    const errorId = newId();
    parts.log.error('unexpected error', { errorId, ...errorFields(error) });
    return refuse(
      new FhirError(500, [
        errorIssue('exception', `Something went wrong on our side; it is in our log as ${errorId}.`),
      ]),
      method,
    );
  };
  app.onError((error, c) => failed(error, c.req.method));
  // Every other request is one of FHIR's, and the router would take a tenth of the time of a read.
  const { fetch } = app;
  app.fetch = (request, env, execution) =>
    isBelowBase(request.url)
      ? edge
          .handle(request, (env as Partial<Bindings> | undefined)?.incoming)
          .catch((error: unknown) => failed(error, request.method))
      : fetch(request, env, execution);
  return app;
}
