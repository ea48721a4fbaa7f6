/**
 * Public apps need not say who they are when they refresh: SMART's request holds the refresh token alone, and the token says whose it is.
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#refresh-access-token
 */
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { poolNamed } from '../../platform/database/pool.ts';
import { secretHash } from '../../platform/keys.ts';
import type { AuthParts } from '../parts.ts';
import { arrivedAt, noteArrival } from './arrival.ts';

/** What says who an app is, or tries to. */
const NAMES = ['client_id', 'client_secret', 'client_assertion', 'client_assertion_type'];

/** The refresh token of a request that names no client. */
function namelessToken(form: URLSearchParams): string | undefined {
  if (form.getAll('grant_type').join(' ') !== 'refresh_token' || NAMES.some((name) => form.has(name))) return undefined;
  const [token, ...more] = form.getAll('refresh_token');
  return more.length === 0 && token !== '' ? token : undefined;
}

/** The public app that a refresh token was given to, used or not: the reuse of an old one must end its family. */
async function publicOwner({ pool }: AuthParts, token: string): Promise<string | undefined> {
  const { rows } = await poolNamed(
    pool,
    `select c.client_id from auth_oidc t join auth_client c on c.client_id = t.client_id
     where t.model = 'RefreshToken' and t.id_hash = $1 and c.disabled_at is null and c.metadata ->> 'auth' = 'none'`,
    [secretHash(token)],
  );
  return rows[0]?.[0] ?? undefined;
}

/** The same request, its body unread. */
function withBody(request: IncomingMessage & { originalUrl?: string }, body: Buffer): IncomingMessage {
  // Of no connection: what is done to it is not done to the client's.
  const again = new IncomingMessage(new Socket());
  const { method, url, originalUrl, httpVersion, headers } = request;
  // The library compares it, as the first request says it.
  if (headers['content-length'] !== undefined) headers['content-length'] = String(body.length);
  Object.assign(again, { method, url, originalUrl, httpVersion, headers, complete: true });
  again.push(body);
  again.push(null);
  noteArrival(again, arrivedAt(request));
  return again;
}

export interface NamedRequest {
  /** What the library is to see. */
  readonly request: IncomingMessage;
  /** A refresh token, and neither who sends it nor whose it is. */
  readonly isLost: boolean;
}

/** @param body of a token request without an Authorization header, already read */
export async function nameClient(parts: AuthParts, request: IncomingMessage, body: Buffer): Promise<NamedRequest> {
  const token = namelessToken(new URLSearchParams(body.toString('utf8')));
  if (token === undefined) return { request: withBody(request, body), isLost: false };
  const owner = await publicOwner(parts, token);
  const named = owner === undefined ? body : Buffer.concat([body, Buffer.from(`&client_id=${owner}`)]);
  return { request: withBody(request, named), isLost: owner === undefined };
}
