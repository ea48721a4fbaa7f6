/** Two processes on one database: what may happen once happens once. @see https://www.rfc-editor.org/rfc/rfc9700 */
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Account } from '../../src/auth/accounts/account.ts';
import type { AuthEvent } from '../../src/auth/events.ts';
import type { Session } from '../../src/auth/session/session.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { secretHash } from '../../src/platform/keys.ts';
import {
  authorize,
  Browser,
  exchange,
  introspect,
  makeAccount,
  makeApp,
  post,
  refresh,
  signIn,
  waitForReuse,
  type TestApp,
} from '../support/app-driver.ts';
import { startTwoIdentityServers, type IdentityServer } from '../support/identity-server.ts';

let one: IdentityServer;
let two: IdentityServer;
let account: Account;
let app: TestApp;
let confidential: TestApp;
let browser: Browser;
let session: Session;
const events: AuthEvent[] = [];

beforeAll(async () => {
  [one, two] = await startTwoIdentityServers({ auth: { observe: (event) => void events.push(event) } });
  account = await makeAccount(one, ['patient'], ['Patient/1']);
  app = await makeApp(one);
  confidential = await makeApp(one, { auth: 'client_secret_basic' });
  browser = new Browser();
  session = await signIn(one, browser, account);
});
afterAll(async () => {
  await two.close();
  await one.close();
});

const grantsLeft = async (): Promise<number> =>
  Number(
    (
      await poolNamed(one.kairos.pool, `select count(*) from auth_oidc where model = 'Grant' and account_id = $1`, [
        account.id,
      ])
    ).rows[0]?.[0],
  );

describe('RFC 6749 4.1.2: a code is used once', () => {
  test('50 exchanges at once, over both processes: one succeeds, and what it got is worth nothing', async () => {
    const flow = await authorize(one, browser, app, session);
    const before = await grantsLeft();
    const replies = await Promise.all(Array.from({ length: 50 }, (_, i) => exchange(i % 2 ? one : two, app, flow)));
    const good = replies.filter((r) => r.status === 200);
    expect(good).toHaveLength(1);
    for (const reply of replies.filter((r) => r.status !== 200)) {
      expect(reply.status).toBe(400);
      expect(reply.body['error']).toBe('invalid_grant');
    }
    expect(await grantsLeft()).toBe(before - 1);
    const body = good[0]?.body ?? {};
    expect((await introspect(two, confidential, body['access_token'])).body).toEqual({ active: false });
    expect((await refresh(two, app, body['refresh_token'])).status).toBe(400);
    expect(events.some((e) => e.kind === 'grant-revoked' && e.reason === 'replay')).toBe(true);
  });

  test('a second exchange later, in the other process, ends what the first got', async () => {
    const flow = await authorize(one, browser, confidential, session);
    const { body } = await exchange(one, confidential, flow);
    const again = await exchange(two, confidential, flow);
    expect([again.status, again.body['error']]).toEqual([400, 'invalid_grant']);
    expect((await introspect(one, confidential, body['access_token'])).body).toEqual({ active: false });
    expect((await refresh(one, confidential, body['refresh_token'])).status).toBe(400);
  });

  test('a code is of no use to another app, and that does not burn it', async () => {
    const flow = await authorize(one, browser, app, session);
    const other = await exchange(two, { ...confidential, redirectUri: app.redirectUri }, flow);
    expect([other.status, other.body['error']]).toEqual([400, 'invalid_grant']);
    expect((await exchange(two, app, flow)).status).toBe(200);
  });

  test('a code that expired is refused', async () => {
    const flow = await authorize(one, browser, app, session);
    await poolNamed(
      one.kairos.pool,
      `update auth_oidc set payload = payload || jsonb_build_object('exp', extract(epoch from now())::int - 20) where model = 'AuthorizationCode' and account_id = $1 and consumed_at is null`,
      [account.id],
    );
    const late = await exchange(one, app, flow);
    expect([late.status, late.body['error']]).toEqual([400, 'invalid_grant']);
  });
});

describe('RFC 9700 4.14.2: refresh tokens of public apps rotate', () => {
  const start = async (): Promise<Readonly<Record<string, unknown>>> =>
    (await exchange(one, app, await authorize(one, browser, app, session))).body;

  test('the one before, used again in the other process, ends the family', async () => {
    const first = await start();
    const second = (await refresh(one, app, first['refresh_token'])).body;
    expect((await introspect(one, confidential, second['access_token'])).body['active']).toBe(true);
    await waitForReuse(one);
    const reused = await refresh(two, app, first['refresh_token']);
    expect([reused.status, reused.body['error']]).toEqual([400, 'invalid_grant']);
    expect((await refresh(one, app, second['refresh_token'])).status).toBe(400);
    expect((await introspect(one, confidential, second['access_token'])).body).toEqual({ active: false });
    expect((await introspect(one, confidential, first['access_token'])).body).toEqual({ active: false });
  });

  test('20 at once, over both processes: one succeeds, and its family lives', async () => {
    const first = await start();
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) => refresh(i % 2 ? one : two, app, first['refresh_token'])),
    );
    const good = replies.filter((r) => r.status === 200);
    expect(good).toHaveLength(1);
    expect(replies.filter((r) => r.status === 400 && r.body['error'] === 'invalid_grant')).toHaveLength(19);
    expect((await refresh(two, app, good[0]?.body['refresh_token'])).status).toBe(200);
  });

  test('another app cannot use it, and does not end it by trying', async () => {
    const first = await start();
    const foreign = await refresh(one, confidential, first['refresh_token']);
    expect([foreign.status, foreign.body['error']]).toEqual([400, 'invalid_grant']);
    expect((await refresh(one, app, first['refresh_token'])).status).toBe(200);
  });

  test('idle for 90 days it is refused; used meanwhile it is not', async () => {
    const { body } = await exchange(one, confidential, await authorize(one, browser, confidential, session));
    const age = (days: number): Promise<unknown> =>
      poolNamed(
        one.kairos.pool,
        `update auth_oidc set last_used_at = now() - make_interval(days => $2::int) where model = 'RefreshToken' and client_id = $1`,
        [confidential.clientId, days],
      );
    await age(89);
    expect((await refresh(one, confidential, body['refresh_token'])).status).toBe(200);
    // Being used has renewed it.
    expect((await refresh(one, confidential, body['refresh_token'])).status).toBe(200);
    await age(91);
    expect((await refresh(one, confidential, body['refresh_token'])).status).toBe(400);
  });

  test('after 365 days it ends, however often it rotated', async () => {
    const first = await start();
    await poolNamed(
      one.kairos.pool,
      `update auth_oidc set payload = payload || jsonb_build_object('iiat', extract(epoch from now())::int - 364 * 86400)
       where model = 'RefreshToken' and client_id = $1 and consumed_at is null`,
      [app.clientId],
    );
    const second = await refresh(one, app, first['refresh_token']);
    expect(second.status).toBe(200);
    const { rows } = await poolNamed(
      one.kairos.pool,
      `select extract(epoch from expires_at - now())::int from auth_oidc where model = 'RefreshToken' and id_hash = $1`,
      [secretHash(String(second.body['refresh_token']))],
    );
    expect(Number(rows[0]?.[0])).toBeLessThan(86_410);
  });
});

describe('RFC 7523 3: an assertion is used once', () => {
  let key: CryptoKey;
  let backend: TestApp;

  beforeAll(async () => {
    const pair = await generateKeyPair('ES384', { extractable: true });
    key = pair.privateKey;
    const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'ES384' };
    backend = await makeApp(one, {
      kind: 'backend',
      auth: 'private_key_jwt',
      redirectUris: [],
      scope: 'system/*.rs',
      jwks: { keys: [jwk] },
    });
  });

  const assertion = (): Promise<string> =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'ES384', kid: 'k1', typ: 'JWT' })
      .setIssuer(backend.clientId)
      .setSubject(backend.clientId)
      .setAudience(`${one.issuer}/token`)
      .setJti(crypto.randomUUID())
      .setExpirationTime('2m')
      .sign(key);

  const ask = (server: IdentityServer, signed: string): ReturnType<typeof post> =>
    post(server, '/token', {
      grant_type: 'client_credentials',
      scope: 'system/*.rs',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: signed,
    });

  test('again in the other process it is refused', async () => {
    const signed = await assertion();
    expect((await ask(one, signed)).status).toBe(200);
    const again = await ask(two, signed);
    expect([again.status, again.body['error']]).toEqual([401, 'invalid_client']);
  });

  test('20 at once, over both processes: one succeeds', async () => {
    const signed = await assertion();
    const replies = await Promise.all(Array.from({ length: 20 }, (_, i) => ask(i % 2 ? one : two, signed)));
    expect(replies.filter((r) => r.status === 200)).toHaveLength(1);
    expect(replies.filter((r) => r.status === 401 && r.body['error'] === 'invalid_client')).toHaveLength(19);
  });

  test('what is stored of codes and tokens does not contain them', async () => {
    const reply = await ask(one, await assertion());
    const { body } = await exchange(one, app, await authorize(one, browser, app, session));
    const secrets = [reply.body['access_token'], body['access_token'], body['refresh_token'], body['id_token']].map(
      String,
    );
    const { rows } = await poolNamed(one.kairos.pool, `select o::text from auth_oidc o`);
    for (const secret of secrets) expect(rows.some(([row]) => row?.includes(secret))).toBe(false);
  });
});
