/** Sweeping: what has expired goes, what is of use stays. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sweepIdentity } from '../../src/auth/sweep.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import {
  authorize,
  Browser,
  exchange,
  introspect,
  makeAccount,
  makeApp,
  refresh,
  signIn,
} from '../support/app-driver.ts';
import { startIdentityServer, type IdentityServer } from '../support/identity-server.ts';

let server: IdentityServer;
beforeAll(async () => {
  server = await startIdentityServer();
});
afterAll(() => server.close());

const run = (text: string, values: readonly unknown[] = []): ReturnType<typeof poolNamed> =>
  poolNamed(server.kairos.pool, text, values);
const count = async (text: string): Promise<number> => Number((await run(`select count(*) from ${text}`)).rows[0]?.[0]);
const sweep = (): Promise<number> => sweepIdentity(server.kairos.identity, new AbortController().signal);

test('tokens and grants that live stay; expired ones go, with their contexts and sessions', async () => {
  const account = await makeAccount(server, ['patient'], ['Patient/1']);
  const app = await makeApp(server, { auth: 'client_secret_post' });
  const browser = new Browser();
  const session = await signIn(server, browser, account);
  const kept = (await exchange(server, app, await authorize(server, browser, app, session))).body;
  const brief = (await exchange(server, app, await authorize(server, browser, app, session, { scope: 'patient/*.rs' })))
    .body;
  await sweep();
  for (const { access_token: token } of [kept, brief])
    expect((await introspect(server, app, token)).body['active']).toBe(true);

  // A day later.
  await run(
    `update auth_oidc set expires_at = expires_at - interval '25 hours', payload = jsonb_set(payload, '{iat}', to_jsonb(extract(epoch from now())::int - 86400))`,
  );
  await run(
    `update auth_session set last_seen_at = now() - interval '2 days', expires_at = now() - interval '1 day 1 hour'`,
  );
  expect(await sweep()).toBeGreaterThan(3);
  expect((await refresh(server, app, kept['refresh_token'])).status).toBe(200);
  expect(await count(`auth_oidc where model = 'Grant'`)).toBe(1);
  expect(await count(`auth_smart_context`)).toBe(1);
  expect(await count(`auth_session`)).toBe(0);
  expect(await count(`auth_oidc where model in ('Interaction', 'Session', 'AuthorizationCode')`)).toBe(0);
  expect(await sweep()).toBe(0);
});

test('thousands go in several portions', async () => {
  await run(
    `insert into auth_flow (hash, kind, payload_sealed, expires_at) select 'k' || i, 'test', '', now() - interval '1 minute' from generate_series(1, 4500) i`,
  );
  expect(await sweep()).toBe(4500);
});
