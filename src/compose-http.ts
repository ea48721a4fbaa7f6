/** The listening socket: taken first, so that a busy port is told at once, and drained last. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { getRequestListener, RequestError, type HttpBindings } from '@hono/node-server';
import type { IssueCode } from './fhir/outcome.ts';
import { StartError } from './platform/start-error.ts';

export interface Listener {
  readonly port: number;
  /** From now on answers with this instead of 503. */
  serve(fetch: (request: Request, env: HttpBindings) => Response | Promise<Response>): void;
  /** Accepts nothing more and waits for the requests that run, `limitMs` at most. */
  drain(limitMs: number): Promise<void>;
  /** Ends every connection. */
  cut(): void;
}

const outcome = (code: IssueCode, diagnostics: string): string =>
  JSON.stringify({ resourceType: 'OperationOutcome', issue: [{ severity: 'error', code, diagnostics }] });

const FHIR_JSON = { 'Content-Type': 'application/fhir+json; charset=utf-8', 'Cache-Control': 'no-store' };

function answer(response: ServerResponse, status: number, code: IssueCode, diagnostics: string): void {
  response.writeHead(status, FHIR_JSON);
  response.end(outcome(code, diagnostics));
}

/**
 * A segment `.` or `..`, percent-encoded or not: as a URL such a path is folded into another one, which must not be answered in its place.
 * @see https://url.spec.whatwg.org/#double-dot-path-segment
 */
function hasDotSegment(target: string): boolean {
  if (!target.includes('/.') && !/\/%2e/i.test(target)) return false;
  return /^[^?#]*\/(?:\.|%2e){1,2}(?:[/?#]|$)/i.test(target);
}

/** What never became a request: a URL or Host that cannot be read. */
function refuseRequest(error: unknown): Response {
  return error instanceof RequestError
    ? new Response(
        outcome('structure', 'The address of the request or its Host header cannot be read: send a valid URL.'),
        { status: 400, headers: FHIR_JSON },
      )
    : new Response(outcome('exception', 'Something went wrong on our side.'), { status: 500, headers: FHIR_JSON });
}

function refuseExpectation(_request: IncomingMessage, response: ServerResponse): void {
  answer(response, 417, 'not-supported', 'Only Expect: 100-continue is met: leave the header out.');
}

function starting(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(503, { 'Content-Type': 'application/fhir+json; charset=utf-8', 'Retry-After': '1' });
  response.end(outcome('transient', 'Kairos is starting: try again in a second.'));
}

/** What the HTTP parser refuses never becomes a request: the answer is written on the socket. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable) return;
  const [status, reason, code, diagnostics] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ([
          '431',
          'Request Header Fields Too Large',
          'too-long',
          'URL and headers are too long: send long searches by POST.',
        ] as const)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? (['408', 'Request Timeout', 'timeout', 'The request did not arrive in time.'] as const)
        : (['400', 'Bad Request', 'structure', 'This is not an HTTP request.'] as const);
  const body = outcome(code, diagnostics);
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/fhir+json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

async function bind(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE') {
      throw new StartError(`Port ${port} on ${host} is in use: stop what listens there, or choose another PORT.`);
    }
    if (error.code === 'EACCES')
      throw new StartError(`Port ${port} is not allowed to this user: choose a PORT above 1023.`);
    throw new StartError(
      `Kairos cannot listen on ${host}:${port} (${error.code ?? error.message}): check HOST and PORT.`,
    );
  });
}

/** @throws StartError when the port cannot be had */
export async function listen(host: string, port: number): Promise<Listener> {
  let handle: (request: IncomingMessage, response: ServerResponse) => unknown = starting;
  const server = createServer(
    // Searches may come in long URLs; a request that trickles in must not hold its socket for ever.
    {
      maxHeaderSize: 65_536,
      headersTimeout: 20_000,
      requestTimeout: 120_000,
      keepAliveTimeout: 65_000,
      // A missing Host is refused with an outcome, by the listener.
      requireHostHeader: false,
    },
    (request, response) => handle(request, response),
  );
  server.on('clientError', refuse);
  server.on('checkExpectation', refuseExpectation);
  await bind(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    serve(fetch) {
      const listener = getRequestListener((request, env) => fetch(request, env as HttpBindings), {
        errorHandler: refuseRequest,
      });
      handle = (request, response) =>
        hasDotSegment(request.url ?? '')
          ? answer(response, 404, 'not-found', 'Nothing is served at an address with . or .. in it: write it out.')
          : listener(request, response);
    },
    async drain(limitMs) {
      const closed = new Promise<'closed'>((resolve) => server.close(() => resolve('closed')));
      for (const deadline = Date.now() + limitMs; Date.now() < deadline;) {
        // A kept-alive connection goes as soon as its last answer is out.
        server.closeIdleConnections();
        if ((await Promise.race([closed, sleep(50)])) === 'closed') return;
      }
      server.closeAllConnections();
      await closed;
    },
    cut: () => server.closeAllConnections(),
  };
}
