/** The listening socket: taken first, so that a busy port is told at once, and drained last. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { getRequestListener, RequestError, type HttpBindings } from '@hono/node-server';
import type { IssueCode } from './fhir/outcome.ts';
import { StartError } from './platform/start-error.ts';

/**
 * What browsers are told of every answer: nothing of it is guessed, run, framed, or used by other sites; pages that need more say so.
 * @param publicUrl by https: then by nothing else any more
 * @see https://owasp.org/www-project-secure-headers/
 */
export const safeHeaders = (publicUrl: string): Readonly<Record<string, string>> => ({
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'same-origin',
  ...(publicUrl.startsWith('https:') ? { 'Strict-Transport-Security': 'max-age=31536000' } : {}),
});

/** Answers a request below the issuer. */
export interface Authorize {
  /** Where the server is known to be, `https://kairos.example.org/oauth`. */
  readonly issuer: string;
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
}

export interface Listener {
  readonly port: number;
  /**
   * From now on answers with this instead of 503.
   * @param authorize for requests of the authorization server
   * @param headers of every answer that does not say otherwise
   */
  serve(
    fetch: (request: Request, env: HttpBindings) => Response | Promise<Response>,
    authorize?: Authorize,
    headers?: Readonly<Record<string, string>>,
  ): void;
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

const MOUNT = '/oauth';
/** Below the mount, but ours. */
const OWN_PATHS = /^\/oauth\/(?:interaction\/|(?:userinfo|register)(?:\?|$))/;
/** Where discovery lies for issuers with a path. @see https://www.rfc-editor.org/rfc/rfc8414#section-3.1 */
const ROOT_DOCUMENT = /^\/\.well-known\/(oauth-authorization-server|openid-configuration)\/oauth(?=\?|$)/;

/**
 * The target of a request below the mount of the authorization server; undefined: not for it. By the address as it was sent: nothing that
 * is only decoded into it counts.
 */
function mountedTarget(target: string): string | undefined {
  const document = ROOT_DOCUMENT.exec(target);
  if (document) return `/.well-known/${document[1] ?? ''}${target.slice(document[0].length)}`;
  if (!target.startsWith(MOUNT) || OWN_PATHS.test(target)) return undefined;
  const rest = target.slice(MOUNT.length);
  if (rest === '' || rest.startsWith('?')) return `/${rest}`;
  return rest.startsWith('/') ? rest : undefined;
}

/** The library makes URLs, and accepts assertions, by where a request seems to have been sent: that is not for the client to say. */
function pinHost(request: IncomingMessage & { originalUrl?: string }, issuer: URL, target: string): void {
  const { headers } = request;
  for (const name of Object.keys(headers))
    if ((name.startsWith('x-forwarded-') && name !== 'x-forwarded-for') || name === 'forwarded') delete headers[name];
  headers.host = issuer.host;
  headers['x-forwarded-host'] = issuer.host;
  headers['x-forwarded-proto'] = issuer.protocol.slice(0, -1);
  request.originalUrl = `${issuer.pathname}${target}`;
  request.url = target;
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
    serve(fetch, authorize, headers = {}) {
      const always = Object.entries(headers);
      const issuer = authorize && new URL(authorize.issuer);
      const listener = getRequestListener((request, env) => fetch(request, env as HttpBindings), {
        errorHandler: refuseRequest,
      });
      handle = (request, response) => {
        for (const [name, value] of always) response.setHeader(name, value);
        const url = request.url ?? '';
        if (hasDotSegment(url))
          return answer(
            response,
            404,
            'not-found',
            'Nothing is served at an address with . or .. in it: write it out.',
          );
        const target = authorize && issuer ? mountedTarget(url) : undefined;
        if (!authorize || !issuer || target === undefined) return listener(request, response);
        pinHost(request, issuer, target);
        return authorize.handle(request, response);
      };
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
