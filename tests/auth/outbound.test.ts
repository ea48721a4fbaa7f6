/** The guarded fetch: nothing of ours is reached by an address that somebody else names. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createOutboundFetch, isPublicAddress, OutboundError } from '../../src/platform/outbound.ts';

const guarded = createOutboundFetch({ outboundPrivate: false });
const open = createOutboundFetch({ outboundPrivate: true });

let trap: Server;
let port = 0;
let hits = 0;
let answer: (url: string, response: import('node:http').ServerResponse) => void = (_url, r) => void r.end('{}');

beforeAll(async () => {
  trap = createServer((request, response) => {
    hits++;
    answer(request.url ?? '', response);
  });
  trap.on('connection', () => undefined);
  await new Promise<void>((resolve) => trap.listen(0, '::', resolve));
  port = (trap.address() as AddressInfo).port;
});
afterAll(() => new Promise((resolve) => trap.close(resolve)));

const codeOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'received',
    (error: unknown) => (error instanceof OutboundError ? error.code : String(error)),
  );

describe('security.md A4.4, C12: where it does not go', () => {
  test.each([
    'http://127.0.0.1',
    'https://127.0.0.1',
    'https://127.1',
    'https://2130706433',
    'https://0x7f000001',
    'https://0177.0.0.1',
    'https://0.0.0.0',
    'https://[::1]',
    'https://[::]',
    'https://[::ffff:127.0.0.1]',
    'https://[::ffff:7f00:1]',
    'https://[64:ff9b::7f00:1]',
    'https://[2002:7f00:1::]',
    'https://10.0.0.1',
    'https://172.16.0.1',
    'https://172.31.255.255',
    'https://192.168.0.1',
    'https://169.254.169.254',
    'https://100.64.0.1',
    'https://[fe80::1]',
    'https://[fd00::1]',
    'https://localhost',
    'https://user@127.0.0.1',
    'https://example.org@127.0.0.1',
  ])('%s', async (origin) => {
    hits = 0;
    const code = await codeOf(guarded(`${origin}:${port}/jwks`));
    expect(['forbidden', 'unreachable']).toContain(code);
    expect(hits).toBe(0);
  });

  test.each([
    'http://example.org',
    'file:///etc/passwd',
    'ftp://example.org',
    'data:text/plain,x',
    'https://',
    '',
    '//x',
  ])('no other scheme: %s', async (url) => expect(await codeOf(guarded(url))).toBe('forbidden'));

  test('a name that resolves to this machine is condemned before anything is connected', async () => {
    hits = 0;
    expect(await codeOf(guarded(`https://localhost:${port}/`))).toBe('forbidden');
    expect(hits).toBe(0);
  });

  test.each([
    ['8.8.8.8', true],
    ['172.32.0.1', true],
    ['172.15.255.255', true],
    ['2606:4700::1111', true],
    ['2001:db8::1', false],
    ['198.51.100.1', false],
    ['224.0.0.1', false],
    ['255.255.255.255', false],
    ['ff02::1', false],
    ['not an address', false],
  ])('%s is public: %s', (address, expected) => expect(isPublicAddress(address)).toBe(expected));
});

describe('what it takes', () => {
  const url = (path = '/'): string => `http://127.0.0.1:${port}${path}`;

  test('a small reply comes through, with status and headers', async () => {
    answer = (_url, r) => void r.writeHead(201, { 'X-Given': 'yes' }).end('{"a":1}');
    const response = await open(url());
    expect([response.status, response.headers.get('x-given'), await response.json()]).toEqual([201, 'yes', { a: 1 }]);
  });

  test('redirects are not followed', async () => {
    hits = 0;
    answer = (_url, r) => void r.writeHead(302, { Location: url('/elsewhere') }).end();
    expect(await codeOf(open(url()))).toBe('redirect');
    expect(hits).toBe(1);
  });

  test('256 KiB at most, also when the length is not said', async () => {
    answer = (_url, r) => {
      r.write('x'.repeat(200_000));
      r.end('x'.repeat(200_000));
    };
    expect(await codeOf(open(url()))).toBe('too-large');
  });

  test('a server that says nothing, or drips, is left in time', async () => {
    const hasty = createOutboundFetch({ outboundPrivate: true }, 200);
    answer = () => undefined;
    expect(await codeOf(hasty(url()))).toBe('timeout');
    answer = (_url, r) => {
      r.writeHead(200);
      const timer = setInterval(() => r.write('x'), 50);
      r.on('close', () => clearInterval(timer));
    };
    expect(await codeOf(hasty(url()))).toBe('timeout');
  });
});
