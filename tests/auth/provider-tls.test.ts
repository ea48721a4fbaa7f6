/** Behind a proxy that ends TLS: names and attributes of cookies, addresses. @see https://www.rfc-editor.org/rfc/rfc6265bis */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { authorizeParameters, makeApp, pkce } from '../support/app-driver.ts';
import { startIdentityServer, type IdentityServer } from '../support/identity-server.ts';

let server: IdentityServer;
beforeAll(async () => {
  server = await startIdentityServer({ env: { PUBLIC_URL: 'https://kairos.example.org/clinic' } });
});
afterAll(() => server.close());

test('addresses are the public ones, path and all', async () => {
  const found = (await (await fetch(`${server.listens}/oauth/.well-known/openid-configuration`)).json()) as Record<
    string,
    string
  >;
  expect(found['issuer']).toBe('https://kairos.example.org/clinic/oauth');
  for (const [name, value] of Object.entries(found))
    if (/_(?:endpoint|uri)$/.test(name))
      expect([name, value]).toEqual([name, expect.stringMatching(/^https:\/\/kairos\.example\.org\/clinic\/oauth\//)]);
});

test('cookies are __Host- or __Secure-, Secure, HttpOnly, Lax, and lead back', async () => {
  const app = await makeApp(server);
  const response = await fetch(
    `${server.listens}/oauth/authorize?${authorizeParameters(server, app, pkce().challenge)}`,
    { redirect: 'manual' },
  );
  expect(response.headers.get('location')).toMatch(/^https:\/\/kairos\.example\.org\/clinic\/oauth\/interaction\//);
  const cookies = response.headers.getSetCookie();
  expect(cookies.length).toBeGreaterThan(0);
  for (const cookie of cookies) {
    expect(cookie).toMatch(/^__(?:Host|Secure)-/);
    expect(cookie).toMatch(/; secure/i);
    expect(cookie).toMatch(/; httponly/i);
    expect(cookie).toMatch(/; samesite=lax/i);
    expect(cookie).toMatch(/; path=\/(?:clinic\/oauth\/(?:interaction|authorize)\/|;)/i);
  }
});
