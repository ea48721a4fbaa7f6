/** What is no good token for the FHIR API, and how soon one that was good is none any more, in every process. */
import { SignJWT, generateKeyPair, exportJWK } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { disableClient } from '../../src/auth/clients/registry.ts';
import { revokeGrantOf, listGrants } from '../../src/auth/provider/grants.ts';
import { endSession } from '../../src/auth/session/end.ts';
import {
  authorize,
  Browser,
  exchange,
  makeAccount,
  makeApp,
  refresh,
  signIn,
  type TestApp,
} from '../support/app-driver.ts';
import { startIdentityServer, type IdentityServer } from '../support/identity-server.ts';
import {
  basicAuth,
  BOOTSTRAP,
  FORM,
  jsonOf,
  LEAK,
  raw,
  readPatient,
  startInstallation,
  systemToken,
  within,
  type Installation,
  type RawReply,
} from './support.ts';

let inst: Installation;
let app: TestApp;
let issued: Readonly<Record<string, unknown>>;
let token: string;

const SCOPE = 'openid fhirUser launch/patient offline_access patient/Patient.rs';

beforeAll(async () => {
  inst = await startInstallation();
  app = await makeApp(inst.first);
  issued = (await exchange(inst.first, app, await inst.flow(app, { scope: SCOPE }))).body;
  token = String(issued['access_token']);
});
afterAll(() => inst.close());

let turn = 0;
const either = (): IdentityServer => inst.both[turn++ % 2] ?? inst.first;
const read = (headers: Readonly<Record<string, string | string[]>>, target = '/fhir/R4/Patient/1'): Promise<RawReply> =>
  raw(either(), target, { headers });

function expect401({ status, headers, text }: RawReply): void {
  expect(text).not.toMatch(LEAK);
  expect([status, text.slice(0, 300)]).toEqual([401, expect.any(String)]);
  expect(headers['www-authenticate']).toMatch(/^Bearer /);
  expect(headers['content-type']).toContain('application/fhir+json');
  expect(jsonOf(text)['resourceType']).toBe('OperationOutcome');
  expect(text).not.toContain(token);
}

describe('RFC 6750 2, 3.1: what is no token', () => {
  test('a good one, in any letters of the scheme', async () => {
    for (const scheme of ['Bearer', 'bearer', 'BEARER', 'Bearer '])
      expect((await read({ authorization: `${scheme} ${token}` })).status).toBe(200);
  });
  test('none', async () => {
    const reply = await read({});
    expect401(reply);
    expect(reply.headers['www-authenticate']).not.toContain('error=');
  });
  test.each<[string, () => string]>([
    ['blank', () => ''],
    ['the scheme alone', () => 'Bearer'],
    ['a blank token', () => 'Bearer '],
    ['made up', () => `Bearer ${'x'.repeat(43)}`],
    ['short', () => 'Bearer x'],
    ['long', () => `Bearer ${'x'.repeat(20_000)}`],
    ['no scheme', () => token],
    ['Basic', () => `Basic ${token}`],
    ['Basic of a client', () => basicAuth(BOOTSTRAP)],
    ['DPoP', () => `DPoP ${token}`],
    ['Token', () => `Token ${token}`],
    ['MAC', () => `MAC id="${token}"`],
    ['a character more', () => `Bearer ${token}x`],
    ['a character less', () => `Bearer ${token.slice(0, -1)}`],
    ['other letters', () => `Bearer ${token.toUpperCase()}`],
    ['padding', () => `Bearer ${token}==`],
    ['quotes', () => `Bearer "${token}"`],
    ['twice', () => `Bearer ${token} ${token}`],
    ['a list', () => `Bearer ${token}, Bearer ${token}`],
    ['a parameter', () => `Bearer realm="x", ${token}`],
    ['SQL', () => `Bearer ' or '1'='1`],
    ['letters of the world', () => `Bearer ${token}\u00e9`],
    ['the refresh token', () => `Bearer ${String(issued['refresh_token'])}`],
    ['the id_token', () => `Bearer ${String(issued['id_token'])}`],
    ['the hash of the token', () => `Bearer ${Buffer.from(token).toString('base64url')}`],
  ])('%s', async (_title, authorization) => {
    const reply = await read({ authorization: authorization() });
    expect401(reply);
    expect(reply.headers['www-authenticate']).toContain('error="invalid_token"');
  });
  test('a code', async () => {
    expect401(await read({ authorization: `Bearer ${(await inst.flow(app)).answer.get('code') ?? ''}` }));
  });
  test('in the address, in a form, in a cookie (2.2, 2.3)', async () => {
    expect401(await read({}, `/fhir/R4/Patient/1?access_token=${token}`));
    expect401(await read({ authorization: `Bearer ${token}` }, `/fhir/R4/Patient/1?access_token=${token}`));
    expect401(await read({ cookie: `access_token=${token}; sid=${token}` }));
    expect401(await read({ 'x-access-token': token, 'proxy-authorization': `Bearer ${token}` }));
    const form = await raw(either(), '/fhir/R4/Patient/_search', {
      method: 'POST',
      headers: { 'content-type': FORM },
      body: `access_token=${token}`,
    });
    expect(form.status).toBe(401);
  });
  test('a session of our pages is no token', async () => {
    expect401(await read({ cookie: inst.browser.header('/') }));
  });
  test('two headers', async () => {
    const reply = await raw(either(), '/fhir/R4/Patient/1', {
      headers: { authorization: [`Bearer ${'x'.repeat(43)}`, `Bearer ${token}`] } as never,
    });
    expect([400, 401]).toContain(reply.status);
  });
  test('A2.4 JWTs of any kind; whatever stands in their headers is fetched by nobody', async () => {
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
    const hits: string[] = [];
    const trap = (await import('node:http')).createServer((request, response) => {
      hits.push(request.url ?? '');
      response.end('{}');
    });
    await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve));
    const address = trap.address();
    const url = `http://localhost:${typeof address === 'object' && address ? address.port : 0}`;
    const claims = {
      iss: inst.first.issuer,
      aud: inst.first.fhirBase,
      sub: inst.account.id,
      client_id: app.clientId,
      scope: 'patient/*.cruds user/*.cruds',
      exp: Math.floor(Date.now() / 1000) + 300,
    };
    const { keys } = (await (await fetch(`${inst.first.issuer}/jwks`)).json()) as {
      readonly keys: readonly { readonly kid: string }[];
    };
    const kid = keys[0]?.kid ?? '';
    const signed = (header: Readonly<Record<string, unknown>>): Promise<string> =>
      new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid, ...header }).sign(privateKey);
    const forged = [
      `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`,
      await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid }).sign(Buffer.from(JSON.stringify(keys[0]))),
      await signed({}),
      await signed({ jku: `${url}/jku` }),
      await signed({ x5u: `${url}/x5u` }),
      await signed({ jwk: await exportJWK(publicKey) }),
      await signed({ kid: '../../../dev/null' }),
      await signed({ kid: `${url}/kid` }),
      await signed({ typ: 'at+jwt' }),
    ];
    for (const jwt of forged)
      for (const server of inst.both)
        expect401(await raw(server, '/fhir/R4/Patient/1', { headers: { authorization: `Bearer ${jwt}` } }));
    expect(hits).toEqual([]);
    trap.close();
  });
  test('tokens of another server with the same root key, and of our database under another address', async () => {
    const foreign = await startIdentityServer({
      env: { BOOTSTRAP_CLIENT_ID: BOOTSTRAP.clientId, BOOTSTRAP_CLIENT_SECRET: BOOTSTRAP.secret ?? '' },
    });
    try {
      const theirs = await systemToken(foreign);
      expect401(await read({ authorization: `Bearer ${theirs}` }));
      expect(await readPatient(foreign, token)).toBe(401);
    } finally {
      await foreign.close();
    }
    const renamed = await startIdentityServer({
      database: inst.first.database,
      env: { PUBLIC_URL: 'http://localhost:1' },
    });
    try {
      expect(await readPatient(renamed, token)).toBe(401);
    } finally {
      await renamed.close();
    }
  });
  test('anonymous reading is no way around a bad token', async () => {
    for (const target of ['/fhir/R4/Practitioner', '/fhir/R4/Slot?status=free', '/fhir/R4/Location'])
      for (const [authorization, status] of [
        [undefined, 200],
        [`Bearer ${'x'.repeat(43)}`, 401],
      ] as const) {
        expect((await read(authorization === undefined ? {} : { authorization }, target)).status).toBe(status);
      }
  });
});

describe('A2.5 how soon a token is worth nothing, in both processes', () => {
  /** Somebody else with an app of their own, whose token both processes have seen. */
  async function somebody(scope = 'openid launch/patient offline_access patient/Patient.rs') {
    const account = await makeAccount(inst.first, ['patient'], ['Patient/1']);
    const browser = new Browser();
    const session = await signIn(inst.first, browser, account);
    const client = await makeApp(inst.first);
    const { body } = await exchange(
      inst.second,
      client,
      await authorize(inst.first, browser, client, session, { scope }),
    );
    for (const server of inst.both) expect(await readPatient(server, body['access_token'])).toBe(200);
    return { account, session, client, body };
  }
  const dies = async (body: Readonly<Record<string, unknown>>, client: TestApp): Promise<void> => {
    for (const server of inst.both)
      expect(
        await within(
          () => readPatient(server, body['access_token']),
          (s) => s === 401,
        ),
      ).toBe(401);
    if (body['refresh_token'] === undefined) return;
    for (const server of inst.both)
      expect([400, 401]).toContain((await refresh(server, client, body['refresh_token'])).status);
  };
  const sql = (text: string, ...values: readonly unknown[]): Promise<unknown> =>
    inst.first.kairos.pool.query(text, [...values]);

  test('its client is disabled', async () => {
    const { client, body } = await somebody();
    await disableClient(inst.second.kairos.identity, client.clientId);
    await dies(body, client);
  });
  test('its account is disabled', async () => {
    const { account, client, body } = await somebody();
    await sql(`update auth_account set status = 'disabled' where id = $1`, account.id);
    await dies(body, client);
  });
  test('its account is gone', async () => {
    const { account, client, body } = await somebody();
    await sql(`delete from auth_account where id = $1`, account.id);
    await dies(body, client);
  });
  test('its grant is revoked on the page of connected apps', async () => {
    const { account, client, body } = await somebody();
    const [grant] = await listGrants(inst.first.kairos.identity, account.id);
    expect(await revokeGrantOf(inst.second.kairos.identity, account.id, grant?.grantId ?? '')).toBe(true);
    // Every grant of the app is gone, not that one alone.
    expect(await listGrants(inst.first.kairos.identity, account.id)).toEqual([]);
    await dies(body, client);
  });
  test('the session that it hangs on is ended', async () => {
    const { session, client, body } = await somebody('openid launch/patient online_access patient/Patient.rs');
    await endSession(inst.first.kairos.identity, session.uid);
    await dies(body, client);
  });
  test('an offline token does not hang on the session', async () => {
    const { session, client, body } = await somebody();
    await endSession(inst.first.kairos.identity, session.uid);
    for (const server of inst.both) expect(await readPatient(server, body['access_token'])).toBe(200);
    expect((await refresh(inst.second, client, body['refresh_token'])).status).toBe(200);
  });
  test('the session that it hangs on was idle for too long', async () => {
    const account = await makeAccount(inst.first, ['patient'], ['Patient/1']);
    const browser = new Browser();
    const session = await signIn(inst.first, browser, account);
    const client = await makeApp(inst.first);
    const flow = await authorize(inst.first, browser, client, session, {
      scope: 'openid launch/patient online_access patient/Patient.rs',
    });
    const { body } = await exchange(inst.first, client, flow);
    await sql(`update auth_session set last_seen_at = now() - interval '31 minutes' where uid = $1`, session.uid);
    await dies(body, client);
  });
  test('its person may no longer act for the patient', async () => {
    const { account, body } = await somebody();
    await sql(`delete from auth_profile where account_id = $1`, account.id);
    for (const server of inst.both)
      expect([403, 404]).toContain(
        await within(
          () => readPatient(server, body['access_token']),
          (s) => s !== 200,
        ),
      );
  });
  test('its client may no longer have the scope', async () => {
    const { client, body } = await somebody();
    await sql(
      `update auth_client set metadata = jsonb_set(metadata, '{scope}', '"openid patient/Slot.rs"') where client_id = $1`,
      client.clientId,
    );
    for (const server of inst.both)
      expect(
        await within(
          () => readPatient(server, body['access_token']),
          (s) => s !== 200,
        ),
      ).toBe(403);
  });
  test('it has expired', async () => {
    const flow = await inst.flow(app, { scope: SCOPE });
    const { body } = await exchange(inst.first, app, flow);
    await sql(
      `update auth_oidc set expires_at = now() - interval '1 second' where model = 'AccessToken' and expires_at > now()`,
    );
    for (const server of inst.both) expect(await readPatient(server, body['access_token'])).toBe(401);
  });
  test('system tokens, too: their client is disabled', async () => {
    const client = await makeApp(inst.first, {
      kind: 'backend',
      auth: 'client_secret_basic',
      redirectUris: [],
      scope: 'system/*.rs',
    });
    const reply = await fetch(`${inst.first.issuer}/token`, {
      method: 'POST',
      headers: { authorization: basicAuth(client) },
      body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'system/*.rs' }),
    });
    const body = (await reply.json()) as Readonly<Record<string, unknown>>;
    for (const server of inst.both) expect(await readPatient(server, body['access_token'])).toBe(200);
    await disableClient(inst.first.kairos.identity, client.clientId);
    await dies(body, client);
  });
});
