/** From where a request comes, as far as it can be believed. @see https://datatracker.ietf.org/doc/html/rfc7239#section-7.1 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { AuthParts } from './parts.ts';

/** IPv4 addresses that came by IPv6 sockets, written as IPv4. */
const plain = (address: string): string => address.trim().replace(/^::ffff:(?=\d+\.)/i, '');

/** The network of one household or machine: of IPv6 the first 64 bits. */
function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail = ''] = (address.split('%')[0] ?? '').toLowerCase().split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === '' ? [] : tail.split(':');
  const groups = address.includes('::')
    ? [...first, ...Array<string>(Math.max(0, 8 - first.length - last.length)).fill('0'), ...last]
    : first;
  return `${groups
    .slice(0, 4)
    .map((g) => (g === '' ? '0' : Number.parseInt(g, 16).toString(16)))
    .join(':')}::/64`;
}

/**
 * The client's network: the peer's, or behind proxies that are trusted the last address that none of them vouches for. What else a client
 * writes into `X-Forwarded-For` changes nothing.
 */
export function clientAddress(
  { settings }: Pick<AuthParts, 'settings'>,
  request: Pick<IncomingMessage, 'headers' | 'socket'> | undefined,
): string {
  const trusted = new Set(settings.trustedProxies.map(plain));
  const peer = plain(request?.socket.remoteAddress ?? '');
  if (!trusted.has(peer)) return networkOf(peer === '' ? 'unknown' : peer);
  const header = request?.headers['x-forwarded-for'];
  const hops = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',').map(plain);
  const client = hops.findLast((hop) => !trusted.has(hop));
  return networkOf(client !== undefined && isIP(client) !== 0 ? client : peer);
}
