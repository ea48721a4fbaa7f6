/** The benchmark's own client: its settings for the server, and an access token that is renewed before it ends. */
import { randomBytes } from 'node:crypto';

const CLIENT_ID = 'bench';
const secret = randomBytes(24).toString('base64url');
/** They live for 300 s. */
const RENEW_MS = 150_000;
const BASIC = `Basic ${Buffer.from(`${CLIENT_ID}:${secret}`).toString('base64')}`;
const FORM = 'grant_type=client_credentials&scope=system%2F*.cruds';

/** For the environment of the server. */
export const BENCH_CLIENT = { BOOTSTRAP_CLIENT_ID: CLIENT_ID, BOOTSTRAP_CLIENT_SECRET: secret } as const;

/** A request for a token. */
export const TOKEN_REQUEST = {
  method: 'POST',
  path: '/oauth/token',
  headers: { Authorization: BASIC, 'Content-Type': 'application/x-www-form-urlencoded' },
  body: FORM,
} as const;

const tokens = new Map<number, { readonly token: string; readonly until: number }>();

/** Value of the Authorization header for the server at this port. @throws when it gives none */
export async function authorizationFor(port: number): Promise<string> {
  const known = tokens.get(port);
  if (known && known.until > performance.now()) return known.token;
  const response = await fetch(`http://localhost:${port}${TOKEN_REQUEST.path}`, TOKEN_REQUEST);
  const body = (await response.json()) as { access_token?: string };
  if (body.access_token === undefined) throw new Error(`no access token: ${response.status} ${JSON.stringify(body)}`);
  const token = `Bearer ${body.access_token}`;
  tokens.set(port, { token, until: performance.now() + RENEW_MS });
  return token;
}
