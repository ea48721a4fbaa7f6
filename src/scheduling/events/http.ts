/**
 * `GET /events`: changes of appointments and slots as server-sent events, for whoever may know of them; read by `fetch`, which can send a token as a
 * header. @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { NOBODY, type Access } from '../../fhir/access.ts';
import type { ContextEvent } from '../../fhir/context.ts';
import type { Engine } from '../../fhir/engine.ts';
import { requestIdOf, type Observer } from '../../fhir/http/edge.ts';
import { acceptedTypes, mediaTypeOf } from '../../fhir/http/negotiate.ts';
import { errorReply, PREFLIGHT_HEADERS, render } from '../../fhir/http/render.ts';
import { parseQuery, splitUrl } from '../../fhir/http/url.ts';
import { errorIssue, FhirError } from '../../fhir/outcome.ts';
import { parseFilter, type Filter } from './filter.ts';
import type { Hub } from './hub.ts';
import { demandEvents } from './tell.ts';

type Header = (name: string) => string | undefined;

export interface EventsEdgeOptions {
  readonly hub: Hub;
  /** Who is asking. @param inUse whether this is activity of their session @throws FhirError 401; 503 */
  readonly accessOf: (header: Header, inUse?: boolean) => Access | Promise<Access>;
  /** Counts an opening. @throws FhirError 429, 503 */
  readonly admit?: (access: Access | undefined, incoming: IncomingMessage | undefined) => void;
  /** The client's network, for the record. */
  readonly addressOf: (incoming: IncomingMessage) => string;
  /** Accept every opening before it is answered. */
  readonly observers: readonly Observer[];
}

/** What Node's server adds to a request. */
export interface Sockets {
  readonly incoming?: IncomingMessage;
  readonly outgoing?: ServerResponse;
}

const EVENT_STREAM = 'text/event-stream';
const TAKEN: ReadonlySet<string> = new Set([EVENT_STREAM, 'text/*', '*/*', '*']);
const PREFLIGHT: Readonly<Record<string, string>> = {
  ...PREFLIGHT_HEADERS,
  'Access-Control-Allow-Methods': 'GET, OPTIONS',
  'Access-Control-Allow-Headers': 'Accept, Authorization, Cache-Control, Last-Event-ID, X-Request-Id',
};

function demandStream(method: string, accept: string | undefined): void {
  if (method !== 'GET')
    throw new FhirError(405, [errorIssue('not-supported', 'Events are only read: use GET.')], {
      Allow: 'GET, OPTIONS',
    });
  if (accept === undefined || acceptedTypes(accept).some((range) => TAKEN.has(mediaTypeOf(range)))) return;
  throw new FhirError(406, [
    errorIssue('not-supported', `Events are sent as ${EVENT_STREAM}: send Accept: ${EVENT_STREAM}.`, 'http.Accept'),
  ]);
}

const headerOf = (request: Request, incoming: IncomingMessage | undefined): Header =>
  incoming
    ? (name) => {
        const value = incoming.headers[name];
        return typeof value === 'string' ? value : value?.join(', ');
      }
    : (name) => request.headers.get(name) ?? undefined;

export function createEventsEdge(
  engine: Pick<Engine, 'baseUrl' | 'limits'>,
  { hub, accessOf, observers, addressOf, admit }: EventsEdgeOptions,
): (request: Request, sockets?: Sockets) => Promise<Response> {
  return async (request, sockets) => {
    const { method } = request;
    if (method === 'OPTIONS') return new Response(null, { status: 204, headers: PREFLIGHT });
    const started = performance.now();
    const header = headerOf(request, sockets?.incoming);
    const requestId = requestIdOf(header('x-request-id'));
    const crossOrigin = header('origin') !== undefined;
    // The request is over long before the stream is.
    const authorization = header('authorization');
    const ask = (inUse: boolean): Access | Promise<Access> =>
      accessOf((name) => (name === 'authorization' ? authorization : undefined), inUse);
    let access = NOBODY;
    let filter: Filter | undefined;
    const { search } = splitUrl(request.url);

    /** An opening is for the record what a search of each of its types is. */
    const observe = async (status: number): Promise<void> => {
      const outcome = status === 200 ? 'success' : status === 401 || status === 403 ? 'denied' : 'failure';
      const types = filter ? [...filter.types] : [];
      const event: ContextEvent = { interaction: 'search-type', query: search, outcome };
      const events = types.length === 0 ? [event] : types.map((type) => ({ ...event, type }));
      const durationMs = performance.now() - started;
      const type = types.length === 1 ? types[0] : undefined;
      const address = sockets?.incoming && addressOf(sockets.incoming);
      const exchange = {
        requestId,
        access,
        address,
        interaction: event.interaction,
        type,
        target: undefined,
        method,
        status,
        durationMs,
        events,
      };
      for (const observer of observers) await observer(exchange);
    };

    try {
      try {
        access = await ask(true);
      } catch (error) {
        admit?.(undefined, sockets?.incoming);
        throw error;
      }
      admit?.(access, sockets?.incoming);
      demandStream(method, header('accept'));
      filter = parseFilter(parseQuery(search), engine);
      demandEvents({ access, filter });
      const stream = await hub.open({
        filter,
        access,
        accessNow: () => ask(false),
        lastEventId: header('last-event-id'),
        destroy: () => sockets?.outgoing?.destroy(),
      });
      try {
        await observe(200);
      } catch (error) {
        // What cannot be recorded is not shown.
        await stream.cancel();
        throw error;
      }
      const cors = {
        'Access-Control-Allow-Origin': '*',
        'Access-Control-Expose-Headers': PREFLIGHT['Access-Control-Expose-Headers'] ?? '',
      };
      return new Response(stream, {
        headers: {
          'Content-Type': EVENT_STREAM,
          'Cache-Control': 'no-store',
          // Proxies that gather replies would hold events back.
          'X-Accel-Buffering': 'no',
          'X-Content-Type-Options': 'nosniff',
          'X-Request-Id': requestId,
          ...(crossOrigin ? cors : {}),
        },
      });
    } catch (error) {
      await observe(error instanceof FhirError ? error.status : 500);
      if (!(error instanceof FhirError)) throw error;
      return render(errorReply(error), {
        requestId,
        isHead: method === 'HEAD',
        crossOrigin,
        acceptEncoding: header('accept-encoding'),
      });
    }
  };
}
