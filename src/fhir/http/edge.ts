/**
 * Where HTTP becomes FHIR: one function from request to response that routes, negotiates, calls the interaction, waits for the observers, and renders.
 * One function instead of a chain of middleware: on a read that chain would cost more than the read.
 * @see https://hl7.org/fhir/R4/http.html
 */
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../platform/clock.ts';
import { newId } from '../../platform/id.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import { actingBy, NOBODY, type Access, type Interaction } from '../access.ts';
import type { ContextEvent, RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { errorIssue, FhirError } from '../outcome.ts';
import { bodyOf } from './body.ts';
import { demandNoToken } from './challenge.ts';
import { createOnce } from './idempotency.ts';
import { demandJson, demandSummary, wantsPretty } from './negotiate.ts';
import { prettyBody } from './pretty.ts';
import { errorReply, PREFLIGHT_HEADERS, render } from './render.ts';
import { NO_BODY, type FhirRequest, type Method, type Reply } from './request.ts';
import { createRoutes } from './routes.ts';
import { parseQuery, splitPath, splitUrl } from './url.ts';

/** A request that was answered, as observers see it before the answer leaves. */
export interface Exchange {
  readonly requestId: string;
  readonly access: Access;
  /** The client's network, where it is known. */
  readonly address: string | undefined;
  readonly interaction: Interaction | undefined;
  readonly type: string | undefined;
  /** `Type/id` of the address, where there is one. */
  readonly target: string | undefined;
  readonly method: string;
  readonly status: number;
  readonly durationMs: number;
  readonly events: readonly ContextEvent[];
}

/** What it returns is awaited before the reply is released. */
export type Observer = (exchange: Exchange) => void | Promise<void>;

export interface EdgeOptions {
  readonly log: Log;
  readonly observers: readonly Observer[];
  /** Who is asking. @throws FhirError 401 */
  readonly accessOf: (header: (name: string) => string | undefined) => Access | Promise<Access>;
  /** Counts a request of whoever asks; undefined: it is not known who. @throws FhirError 429, 503 */
  readonly admit?: (access: Access | undefined, incoming: IncomingMessage | undefined) => void;
  /** The client's network, for the record. */
  readonly addressOf: (incoming: IncomingMessage) => string;
  /** Path of the base, `/fhir/R4`. */
  readonly basePath: string;
  /** Requests under way at once; more are answered 503. */
  readonly maxInFlight: number;
  readonly bodyTimeoutMs: number;
}

const METHODS: ReadonlySet<string> = new Set<Method>(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);
const REQUEST_ID = /^[\w.:-]{1,64}$/;

/** The client's own, where it is one. @param given the header X-Request-Id */
export const requestIdOf = (given: string | undefined): string =>
  given !== undefined && REQUEST_ID.test(given) ? given : newId();

class Context implements RequestContext {
  readonly events: ContextEvent[] = [];
  readonly requestId: string;
  readonly access: Access;
  readonly clock: Clock;
  readonly baseUrl: string;

  constructor(requestId: string, access: Access, clock: Clock, baseUrl: string) {
    this.requestId = requestId;
    this.access = access;
    this.clock = clock;
    this.baseUrl = baseUrl;
  }

  emit(event: ContextEvent): void {
    this.events.push(event);
  }
}

const busy = (): FhirError =>
  new FhirError(
    503,
    [
      errorIssue(
        'throttled',
        'The server has as many requests under way as it takes: send this one again in a second.',
      ),
    ],
    {
      'Retry-After': '1',
    },
  );

export interface Edge {
  /** @param incoming Node's request, when there is a socket */
  handle(request: Request, incoming: IncomingMessage | undefined): Promise<Response>;
  inFlight(): number;
}

export function createEdge(engine: Engine, options: EdgeOptions): Edge {
  const { log, observers, basePath } = options;

  /** Any error as one that a client may see; what nobody foresaw gets an id that is in the log. */
  const toFhirError = (error: unknown, ctx: Pick<RequestContext, 'requestId'>): FhirError => {
    if (error instanceof FhirError) return error;
    const errorId = newId();
    log.error('unexpected error', { errorId, requestId: ctx.requestId, ...errorFields(error) });
    return new FhirError(500, [
      errorIssue('exception', `Something went wrong on our side; it is in our log as ${errorId}.`),
    ]);
  };

  const match = createRoutes(engine, toFhirError);
  const once = createOnce(engine);
  let inFlight = 0;

  const observe = async (exchange: Exchange): Promise<void> => {
    for (const observer of observers) {
      const done = observer(exchange);
      if (done) await done;
    }
  };

  const answer = async (request: Request, incoming: IncomingMessage | undefined): Promise<Response> => {
    const started = performance.now();
    const header = incoming
      ? (name: string): string | undefined => {
          const value = incoming.headers[name];
          return typeof value === 'string' ? value : value?.join(', ');
        }
      : (name: string): string | undefined => request.headers.get(name) ?? undefined;
    const requestId = requestIdOf(header('x-request-id'));
    const { method } = request;
    const rendering = {
      requestId,
      isHead: method === 'HEAD',
      crossOrigin: header('origin') !== undefined,
      acceptEncoding: header('accept-encoding'),
    };
    let ctx: Context | undefined;
    let interaction: Interaction | undefined;
    let type: string | undefined;
    let resource: string | undefined;
    const address = incoming && options.addressOf(incoming);
    const mayChange = method !== 'GET' && method !== 'HEAD';
    let pretty = false;
    let reply: Reply;
    try {
      if (inFlight > options.maxInFlight) throw busy();
      const { path, search } = splitUrl(request.url);
      let access: Access = NOBODY;
      let known: Access | undefined;
      try {
        const granted = options.accessOf(header);
        access = known = granted instanceof Promise ? await granted : granted;
      } catch (error) {
        // Who guesses at tokens is counted as well.
        options.admit?.(undefined, incoming);
        throw error;
      } finally {
        // Whoever is refused is observed as well.
        const asked = mayChange
          ? actingBy(access, { requestId, ...(address === undefined ? {} : { address }), recorded: new Set() })
          : access;
        ctx = new Context(requestId, asked, engine.clock, engine.baseUrl);
      }
      options.admit?.(known, incoming);
      if (!METHODS.has(method)) {
        throw new FhirError(405, [errorIssue('not-supported', `${method.slice(0, 20)} is not served.`)], {
          Allow: [...METHODS].join(', '),
        });
      }
      const { route, target } = match(method as Method, splitPath(path.slice(basePath.length)));
      interaction = route.interaction;
      type = target.type;
      if (type !== undefined && target.id !== undefined) resource = `${type}/${target.id}`;
      const query = parseQuery(search);
      demandNoToken(query);
      if (!route.negotiates) demandJson(header('accept'), query);
      demandSummary(query);
      pretty = wantsPretty(query);
      const hasBody = method === 'POST' || method === 'PUT' || method === 'PATCH';
      const body = hasBody
        ? bodyOf(header, incoming, () => request.body, { timeoutMs: options.bodyTimeoutMs })
        : NO_BODY;
      const routed: FhirRequest = { ...target, method: method as Method, query, header, body };
      reply =
        header('idempotency-key') === undefined
          ? await route.handle(engine, ctx, routed)
          : await once(route, ctx, routed, { path, search });
      if (pretty && typeof reply.body === 'string') reply = { ...reply, body: await prettyBody(reply.body) };
    } catch (error) {
      const failure = await toFhirError(error, { requestId }).complete();
      if (ctx && interaction) {
        ctx.emit({
          interaction,
          ...(type === undefined ? {} : { type }),
          ...(resource === undefined ? {} : { target: resource }),
          outcome: failure.status === 401 || failure.status === 403 ? 'denied' : 'failure',
        });
      }
      reply = errorReply(failure);
      if (pretty && typeof reply.body === 'string') reply = { ...reply, body: await prettyBody(reply.body) };
    }
    if (ctx) {
      try {
        await observe({
          requestId,
          access: ctx.access,
          address,
          interaction,
          type,
          target: resource,
          method,
          status: reply.status,
          durationMs: performance.now() - started,
          events: ctx.events,
        });
      } catch (error) {
        // What cannot be recorded is not shown.
        reply = errorReply(toFhirError(error, { requestId }));
      }
    }
    return render(reply, rendering);
  };

  return {
    async handle(request, incoming) {
      if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers: PREFLIGHT_HEADERS });
      inFlight++;
      try {
        return await answer(request, incoming);
      } finally {
        inFlight--;
      }
    },
    inFlight: () => inFlight,
  };
}
