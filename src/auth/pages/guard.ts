/**
 * Against forms that other sites send: the request comes from a page of ours, and the form holds a token that only our pages know.
 * @see https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { errorIssue, FhirError } from '../../fhir/outcome.ts';
import { newSecret } from '../../platform/keys.ts';
import type { AuthParts } from '../parts.ts';
import { cookieValue, setCookie } from '../session/cookies.ts';
import type { Session } from '../session/session.ts';

export const CSRF_FIELD = 'csrf';
/** For scripts, which send no form. */
export const CSRF_HEADER = 'x-csrf-token';

const refused = (): FhirError =>
  new FhirError(403, [errorIssue('forbidden', 'This form is no longer valid, or it came from elsewhere.')]);

const originOf = ({ publicUrl }: AuthParts): string => new URL(publicUrl).origin;

/** @throws FhirError 403 when another site may have sent it */
export function demandOwnOrigin(parts: AuthParts, headers: Headers): void {
  const origin = headers.get('origin');
  const site = headers.get('sec-fetch-site');
  if (site !== null && site !== 'same-origin') throw refused();
  if (origin === null ? site !== 'same-origin' : origin !== originOf(parts)) throw refused();
}

/** What the token is bound to, and the cookie that must be set for it. */
export interface FormKey {
  readonly token: string;
  readonly cookie: string | undefined;
}

/** Bound to the session; before there is one, to a random cookie. */
export function formKey(parts: AuthParts, session: Session | undefined, cookieHeader: string | undefined): FormKey {
  const known = session ? undefined : cookieValue(parts, cookieHeader, 'form');
  const secret = session || known !== undefined ? undefined : newSecret();
  const bound = session ? `session ${session.uid}` : `form ${known ?? secret ?? ''}`;
  const token = createHmac('sha256', parts.keys.derive('pages.csrf')).update(bound).digest('base64url');
  return { token, cookie: secret === undefined ? undefined : setCookie(parts, 'form', secret) };
}

/** @throws FhirError 403 */
export function demandToken(key: FormKey, given: string): void {
  const wanted = Buffer.from(key.token);
  const bytes = Buffer.from(given);
  // A cookie that had to be made now was not there when the form was shown.
  if (key.cookie !== undefined || bytes.length !== wanted.length || !timingSafeEqual(bytes, wanted)) throw refused();
}

const OWN_PATH = /^\/(?![/\\])[\w!$&'()*+,;=:@%/?.~-]*$/;

/**
 * A path of our own that a visitor may be sent back to; anything else is `fallback`.
 * @param given `/account?x=1`, never a host: not `//host`, `/\host`, control characters or dots that fold
 */
export function ownPath(parts: AuthParts, given: string, fallback: string): string {
  if (given.length > 2000 || !OWN_PATH.test(given)) return fallback;
  const base = originOf(parts);
  const url = URL.canParse(given, base) ? new URL(given, base) : undefined;
  const written = url && `${url.pathname}${url.search}`;
  return url?.origin === base && written === given && !given.startsWith('/signout') ? written : fallback;
}
