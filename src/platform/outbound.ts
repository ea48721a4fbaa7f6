/**
 * The one way out: HTTP requests to addresses that others have named. The address that was checked is the one that is connected to; there are
 * no redirects, little time and little room. @see https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
 */
import { lookup as lookUpName, type LookupAddress } from 'node:dns';
import http, { type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 262_144;

export interface OutboundRequest {
  readonly method?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | URLSearchParams | Uint8Array | null | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Like `fetch`, within bounds. @throws OutboundError */
export type OutboundFetch = (url: string | URL, request?: OutboundRequest) => Promise<Response>;

/** Nothing was received, or nothing that may be used. The message names no address. */
export class OutboundError extends Error {
  readonly code: 'forbidden' | 'timeout' | 'too-large' | 'redirect' | 'unreachable';
  constructor(code: OutboundError['code'], options?: ErrorOptions) {
    super(`Outbound request: ${code}`, options);
    this.name = 'OutboundError';
    this.code = code;
  }
}

// Everything that is no public unicast address. @see https://www.iana.org/assignments/iana-ipv4-special-registry
const special = new BlockList();
for (const range of [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
]) {
  const [net = '', bits] = range.split('/');
  special.addSubnet(net, Number(bits), 'ipv4');
}
// Within 2000::/3. @see https://www.iana.org/assignments/iana-ipv6-special-registry
for (const range of ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']) {
  const [net = '', bits] = range.split('/');
  special.addSubnet(net, Number(bits), 'ipv6');
}
const globalUnicast = new BlockList();
globalUnicast.addSubnet('2000::', 3, 'ipv6');

/** Whether an address belongs to the public internet. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !special.check(address, 'ipv4');
  // Mapped and translated IPv4 lies outside 2000::/3.
  return family === 6 && globalUnicast.check(address, 'ipv6') && !special.check(address, 'ipv6');
}

/** Resolves once, and gives only what may be connected to: one bad address among several condemns the name. */
const guardedLookup: LookupFunction = (hostname, options, done) => {
  lookUpName(hostname, { ...options, all: true }, (error, found) => {
    // node's types leave out that `all` answers with a list.
    const addresses: readonly LookupAddress[] = error ? [] : found;
    const [first] = addresses;
    if (error || !first) done(error ?? new OutboundError('unreachable'), '', 0);
    else if (!addresses.every(({ address }) => isPublicAddress(address))) done(new OutboundError('forbidden'), '', 0);
    else if (options.all) done(null, [...addresses]);
    else done(null, first.address, first.family);
  });
};

/** @throws OutboundError when the URL itself is not allowed */
function target(given: string | URL, isPrivateOpen: boolean): URL {
  const url = URL.parse(String(given));
  if (!url || url.username !== '' || url.password !== '') throw new OutboundError('forbidden');
  if (url.protocol !== 'https:' && !(isPrivateOpen && url.protocol === 'http:')) throw new OutboundError('forbidden');
  // A literal is not looked up. Decimal, octal and hexadecimal forms have been rewritten by the URL parser.
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (!isPrivateOpen && isIP(host) !== 0 && !isPublicAddress(host)) throw new OutboundError('forbidden');
  return url;
}

async function readBody(response: IncomingMessage): Promise<Buffer<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new OutboundError('too-large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const EMPTY_STATUS = new Set([204, 205, 304]);

async function toResponse(received: IncomingMessage): Promise<Response> {
  const status = received.statusCode ?? 502;
  if (status >= 300 && status < 400 && status !== 304) throw new OutboundError('redirect');
  const body = await readBody(received);
  const headers = new Headers();
  for (const [name, value] of Object.entries(received.headersDistinct))
    for (const one of value ?? []) headers.append(name, one);
  return new Response(EMPTY_STATUS.has(status) ? null : body, { status, headers });
}

function send(url: URL, options: RequestOptions, body: string | Uint8Array | undefined): Promise<Response> {
  const { request } = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const sent = request(url, options, (received) => {
      toResponse(received)
        .then(resolve, reject)
        .finally(() => sent.destroy());
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const bodyOf = (body: OutboundRequest['body']): string | Uint8Array | undefined =>
  body instanceof URLSearchParams ? body.toString() : (body ?? undefined);

/**
 * @param settings `outboundPrivate` allows loopback and private addresses, and http: for an EHR in the clinic's own network, and tests
 */
export function createOutboundFetch(
  { outboundPrivate: isPrivateOpen }: { readonly outboundPrivate: boolean },
  timeoutMs = TIMEOUT_MS,
): OutboundFetch {
  return async (given, { method = 'GET', headers = {}, body, signal } = {}) => {
    const url = target(given, isPrivateOpen);
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      return await send(
        url,
        {
          method,
          headers: { Accept: 'application/json', ...headers },
          // Nothing is kept open: a connection made for one name must not serve another.
          agent: false,
          signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
          ...(isPrivateOpen ? {} : { lookup: guardedLookup }),
        },
        bodyOf(body),
      );
    } catch (error) {
      if (error instanceof OutboundError) throw error;
      throw new OutboundError(timeout.aborted ? 'timeout' : 'unreachable', { cause: error });
    }
  };
}
