/** What the authorization server says when its database is away, and to methods that it does not take. */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { authorizeParameters, Browser, makeApp, pkce, type TestApp } from '../support/app-driver.ts';
import { startIdentityServer, type IdentityServer } from '../support/identity-server.ts';

const TOKEN = 'initial-access-token-of-the-tests-0123456789';
let server: IdentityServer;
let app: TestApp;
let admin: pg.Client;

beforeAll(async () => {
  server = await startIdentityServer({ env: { REGISTRATION_TOKEN: TOKEN, LOG_LEVEL: 'silent' } });
  app = await makeApp(server);
  admin = new pg.Client({ ...server.database.superuser, database: 'postgres' });
  await admin.connect();
});
afterAll(async () => {
  await admin.end();
  await server.close();
});

describe('RFC 9110 15.5.6: methods', () => {
  test.each(
    ['/token', '/introspect', '/revoke'].flatMap((path) =>
      ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH'].map((method) => [method, path] as const),
    ),
  )('%s %s is 405 with what is allowed', async (method, path) => {
    const response = await fetch(`${server.issuer}${path}`, { method, headers: { accept: 'text/html' } });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST, OPTIONS']);
    expect(response.headers.get('content-type')).toContain('application/json');
    if (method !== 'HEAD') expect(await response.json()).toMatchObject({ error: 'invalid_request' });
  });

  test.each(['GET', 'PUT', 'DELETE', 'OPTIONS'])('%s /register is 405', async (method) => {
    const response = await fetch(`${server.issuer}/register`, { method });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
  });
});

describe('a database that is away', () => {
  const name = (): string => server.database.app.database ?? '';
  const away = async (): Promise<void> => {
    await admin.query(`alter database ${name()} connection limit 0`);
    await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = $1`, [name()]);
  };
  const back = (): Promise<unknown> => admin.query(`alter database ${name()} connection limit -1`);

  const PROGRAMS: readonly (readonly [string, RequestInit])[] = [
    ['/token', { method: 'POST', body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'x' }) }],
    [
      '/token',
      { method: 'POST', body: new URLSearchParams({ grant_type: 'authorization_code', code: 'x', client_id: 'y' }) },
    ],
    ['/introspect', { method: 'POST', body: new URLSearchParams({ token: 'x', client_id: 'y' }) }],
    ['/revoke', { method: 'POST', body: new URLSearchParams({ token: 'x', client_id: 'y' }) }],
    ['/userinfo', { headers: { authorization: `Bearer ${'x'.repeat(43)}` } }],
    [
      '/register',
      {
        method: 'POST',
        headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          client_name: 'A',
          redirect_uris: ['https://a.example/cb'],
          scope: 'openid',
          token_endpoint_auth_method: 'none',
        }),
      },
    ],
  ];

  test('503 as JSON for programs and as a page for people, with Retry-After; and then all is as before', async () => {
    const query = authorizeParameters(server, app, pkce().challenge);
    const browser = new Browser();
    const begun = await browser.fetch(`${server.issuer}/authorize?${query}`);
    const interaction = begun.headers.get('location') ?? '';
    expect(begun.status).toBe(303);
    browser.set(`sid=${'x'.repeat(43)}; Path=/`);
    await away();
    try {
      for (const [path, init] of PROGRAMS) {
        const response = await fetch(`${server.issuer}${path}`, {
          ...init,
          headers: { accept: 'text/html', ...init.headers },
        });
        const body: unknown = await response.json();
        expect([path, response.status, body]).toEqual([
          path,
          503,
          expect.objectContaining({ error: 'temporarily_unavailable' }),
        ]);
        expect([path, response.headers.get('retry-after'), response.headers.get('cache-control')]).toEqual([
          path,
          '1',
          'no-store',
        ]);
      }
      const pages = [
        `${server.issuer}/authorize?${query}`,
        interaction,
        `${server.issuer}/logout`,
        `${server.origin}/signin`,
      ];
      for (const url of pages) {
        const response = await browser.fetch(url, { headers: { accept: 'text/html', 'accept-language': 'es' } });
        const page = await response.text();
        expect([url, response.status, response.headers.get('content-type')]).toEqual([
          url,
          503,
          expect.stringContaining('text/html'),
        ]);
        expect([url, response.headers.get('retry-after'), response.headers.get('location')]).toEqual([url, '1', null]);
        expect(page).toContain('<html lang="es"');
      }
    } finally {
      await back();
    }
    expect((await new Browser().fetch(`${server.issuer}/authorize?${query}`)).status).toBe(303);
  });
});
