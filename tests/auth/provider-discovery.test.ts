/** Discovery. @see https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html */
import { Configuration, discovery, allowInsecureRequests } from 'openid-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startIdentityServer, type IdentityServer } from '../support/identity-server.ts';

let server: IdentityServer;
beforeAll(async () => {
  server = await startIdentityServer();
});
afterAll(() => server.close());

const get = (url: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url, { headers, redirect: 'manual' });
const json = async (response: Response): Promise<Record<string, unknown>> =>
  (await response.json()) as Record<string, unknown>;

describe('SMART App Launch 2.2, 3.2: .well-known/smart-configuration', () => {
  test.each(['application/json', 'application/fhir+xml', 'text/html', '*/*'])(
    'is JSON whatever is accepted: %s',
    async (accept) => {
      const response = await get(`${server.fhirBase}/.well-known/smart-configuration`, {
        accept,
        origin: 'https://anywhere.example',
      });
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe('application/json');
      expect(response.headers.get('access-control-allow-origin')).toBe('*');
    },
  );

  test('has what is required, with absolute URLs that answer', async () => {
    const found = await json(await get(`${server.fhirBase}/.well-known/smart-configuration`));
    expect(found).toMatchObject({
      issuer: server.issuer,
      grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
      code_challenge_methods_supported: ['S256'],
      response_types_supported: ['code'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
      token_endpoint_auth_signing_alg_values_supported: ['RS384', 'ES384'],
    });
    expect(found['capabilities']).toEqual(
      expect.arrayContaining([
        'launch-standalone',
        'launch-ehr',
        'client-public',
        'client-confidential-symmetric',
        'client-confidential-asymmetric',
        'authorize-post',
        'sso-openid-connect',
        'context-standalone-patient',
        'context-ehr-patient',
        'context-ehr-encounter',
        'context-banner',
        'context-style',
        'permission-offline',
        'permission-online',
        'permission-patient',
        'permission-user',
        'permission-v1',
        'permission-v2',
      ]),
    );
    // Nothing that is not there is listed: each endpoint answers something else than "not found".
    for (const [name, method] of [
      ['authorization_endpoint', 'GET'],
      ['token_endpoint', 'POST'],
      ['introspection_endpoint', 'POST'],
      ['revocation_endpoint', 'POST'],
      ['userinfo_endpoint', 'GET'],
      ['jwks_uri', 'GET'],
      ['end_session_endpoint', 'GET'],
    ] as const) {
      const response = await fetch(String(found[name]), { method, redirect: 'manual' });
      expect([name, response.status]).not.toEqual([name, 404]);
    }
    expect(found['registration_endpoint']).toBeUndefined();
  });
});

describe('OpenID Connect Discovery and RFC 8414', () => {
  test('every place has the same document', async () => {
    const documents = await Promise.all(
      [
        `${server.issuer}/.well-known/openid-configuration`,
        `${server.issuer}/.well-known/oauth-authorization-server`,
        `${server.origin}/.well-known/oauth-authorization-server/oauth`,
        `${server.origin}/.well-known/openid-configuration/oauth`,
      ].map(async (url) => json(await get(url))),
    );
    for (const document of documents) expect(document).toEqual(documents[0]);
    expect(documents[0]).toMatchObject({
      issuer: server.issuer,
      token_endpoint: `${server.issuer}/token`,
      userinfo_endpoint: `${server.issuer}/userinfo`,
      code_challenge_methods_supported: ['S256'],
      id_token_signing_alg_values_supported: ['RS256'],
      subject_types_supported: ['public'],
    });
  });

  test('a stock client discovers it', async () => {
    const found = await discovery(new URL(server.issuer), 'any', undefined, undefined, {
      execute: [allowInsecureRequests],
    });
    expect(found).toBeInstanceOf(Configuration);
    expect(found.serverMetadata().supportsPKCE()).toBe(true);
  });

  test('RFC 7517: the key set has public members only', async () => {
    const { keys } = (await json(await get(`${server.issuer}/jwks`))) as { keys: Record<string, unknown>[] };
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) {
      expect(Object.keys(key).sort()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use']);
      expect(key).toMatchObject({ kty: 'RSA', alg: 'RS256', use: 'sig' });
    }
  });

  test('the Host header says nothing about where we are', async () => {
    const { createConnection } = await import('node:net');
    const { port } = new URL(server.listens);
    const text = await new Promise<string>((resolve, reject) => {
      const socket = createConnection(Number(port), '127.0.0.1');
      let said = '';
      socket.on('data', (chunk) => (said += chunk.toString()));
      socket.on('end', () => resolve(said));
      socket.on('error', reject);
      socket.write(
        'GET /oauth/.well-known/openid-configuration HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n',
      );
    });
    expect(text).toContain(`${server.issuer}/token`);
    expect(text).not.toContain('evil.example');
  });
});

describe('routes of the mount', () => {
  test.each([
    ['/oauth', 404],
    ['/oauth/unknown', 404],
    ['/oauthx/token', 404],
    ['/%6fauth/token', 404],
    ['/oauth/../oauth/token', 404],
    ['/oauth/token', 405],
    ['/oauth/interaction/unknown/login', 400],
    ['/oauth/register', 404],
  ])('GET %s is %i', async (path, status) => {
    const { request } = await import('node:http');
    const found = await new Promise<number>((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port: new URL(server.listens).port, path }, (r) => {
        r.resume();
        resolve(r.statusCode ?? 0);
      });
      sent.on('error', reject);
      sent.end();
    });
    if (path.includes('interaction')) expect([400, 401, 303, 404]).toContain(found);
    else expect(found).toBe(status);
  });
});
