/** A provider, and an EHR's authorization server, that does as a test tells it: honest unless told otherwise. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type JWK } from 'jose';

/** What it does instead of the honest thing. Reset by `behave({})`. */
export interface Behaviour {
  /** Changes the document of discovery. */
  readonly document?: (honest: Record<string, unknown>) => unknown;
  /** Answers the document itself. */
  readonly discovery?: (response: ServerResponse) => void;
  /** Changes what the id_token says. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Makes the id_token. */
  readonly idToken?: (honest: {
    readonly claims: Record<string, unknown>;
    sign(claims: Record<string, unknown>): Promise<string>;
  }) => Promise<string> | string;
  /** Changes the reply of the token endpoint. */
  readonly reply?: Readonly<Record<string, unknown>>;
  /** Answers the token request itself. */
  readonly token?: (response: ServerResponse, form: URLSearchParams) => void;
  /** Answers reads of patients itself. */
  readonly patient?: (response: ServerResponse, id: string, authorization: string | undefined) => void;
}

export interface FakeProvider {
  readonly origin: string;
  /** FHIR base of the EHR. */
  readonly base: string;
  /** Requests that came, `GET /path`. */
  readonly seen: string[];
  /** Forms that came to the token and the revocation endpoint. */
  readonly exchanged: URLSearchParams[];
  readonly revoked: string[];
  behave(behaviour: Behaviour): void;
  /** What the browser would come back with after the person agreed at `url`. */
  agree(url: string): URLSearchParams;
  close(): Promise<void>;
}

export const CLIENT = { id: 'kairos', secret: 'a-secret-of-the-client' } as const;

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

interface Asked {
  readonly challenge: string;
  readonly nonce: string;
  readonly redirectUri: string;
}

export async function startFakeProvider(): Promise<FakeProvider> {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' };
  let behaviour: Behaviour = {};
  const codes = new Map<string, Asked>();
  const seen: string[] = [];
  const exchanged: URLSearchParams[] = [];
  const revoked: string[] = [];
  let serial = 0;
  let origin = '';

  const sign = (claims: Record<string, unknown>): Promise<string> =>
    new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'k1' }).sign(privateKey);

  const honestDocument = (): Record<string, unknown> => ({
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    jwks_uri: `${origin}/jwks`,
    revocation_endpoint: `${origin}/revoke`,
    response_types_supported: ['code'],
    grant_types_supported: ['authorization_code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    capabilities: ['launch-ehr', 'sso-openid-connect'],
  });

  async function token(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const form = new URLSearchParams(await textOf(request));
    exchanged.push(form);
    if (behaviour.token) return behaviour.token(response, form);
    // RFC 6749 2.3.1: both parts are form-encoded first.
    const [id, secret] = Buffer.from(request.headers.authorization?.replace(/^Basic /, '') ?? '', 'base64')
      .toString()
      .split(':')
      .map(decodeURIComponent);
    if (id !== CLIENT.id || secret !== CLIENT.secret) return sendJson(response, 401, { error: 'invalid_client' });
    serial += 1;
    const tokens = {
      access_token: `access-${serial}`,
      token_type: 'Bearer',
      expires_in: 300,
      refresh_token: `refresh-${serial}`,
    };
    if (form.get('grant_type') === 'refresh_token') return sendJson(response, 200, tokens);
    const asked = codes.get(form.get('code') ?? '');
    codes.delete(form.get('code') ?? '');
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    if (!asked || asked.challenge !== challenge || asked.redirectUri !== form.get('redirect_uri'))
      return sendJson(response, 400, { error: 'invalid_grant' });
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: origin,
      aud: CLIENT.id,
      sub: 'user-1',
      nonce: asked.nonce,
      iat: now,
      exp: now + 300,
      ...behaviour.claims,
    };
    const idToken = await (behaviour.idToken?.({ claims, sign }) ?? sign(claims));
    return sendJson(response, 200, { ...tokens, id_token: idToken, patient: 'p1', ...behaviour.reply });
  }

  async function revoke(request: IncomingMessage, response: ServerResponse): Promise<void> {
    revoked.push(new URLSearchParams(await textOf(request)).get('token') ?? '');
    sendJson(response, 200, {});
  }

  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', origin);
    seen.push(`${request.method} ${pathname}`);
    const patient = /^\/fhir\/Patient\/([^/]+)$/.exec(pathname)?.[1];
    if (pathname.includes('/.well-known/')) {
      if (behaviour.discovery) behaviour.discovery(response);
      else sendJson(response, 200, behaviour.document?.(honestDocument()) ?? honestDocument());
    } else if (pathname === '/jwks') sendJson(response, 200, { keys: [jwk] });
    else if (pathname === '/token') void token(request, response);
    else if (pathname === '/revoke') void revoke(request, response);
    else if (patient !== undefined && behaviour.patient)
      behaviour.patient(response, patient, request.headers.authorization);
    else sendJson(response, 404, { resourceType: 'OperationOutcome', issue: [] });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://localhost:${(server.address() as AddressInfo).port}`;

  return {
    origin,
    base: `${origin}/fhir`,
    seen,
    exchanged,
    revoked,
    behave: (next) => void (behaviour = next),
    agree(url) {
      const query = new URL(url).searchParams;
      serial += 1;
      const code = `code-${serial}`;
      codes.set(code, {
        challenge: query.get('code_challenge') ?? '',
        nonce: query.get('nonce') ?? '',
        redirectUri: query.get('redirect_uri') ?? '',
      });
      return new URLSearchParams({ code, state: query.get('state') ?? '', iss: origin });
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
