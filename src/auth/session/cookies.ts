/** The cookies of our pages. Over https their names bind them to this very host. @see https://www.rfc-editor.org/rfc/rfc6265#section-4.1 */
import type { AuthParts } from '../parts.ts';

type CookieName = 'sid' | 'device' | 'form';

const isSecure = (publicUrl: string): boolean => publicUrl.startsWith('https:');

/** `sid` over http, `__Host-sid` over https. */
export const cookieName = ({ publicUrl }: Pick<AuthParts, 'publicUrl'>, name: CookieName): string =>
  isSecure(publicUrl) ? `__Host-${name}` : name;

/** A 256-bit secret in base64url: what all our cookies hold. */
const SECRET = /^[A-Za-z0-9_-]{43}$/;

/** The secret in one of our cookies. Of two cookies of a name the first counts, as browsers order them by path. */
export function cookieValue(
  parts: Pick<AuthParts, 'publicUrl'>,
  header: string | undefined,
  name: CookieName,
): string | undefined {
  if (header === undefined || header.length > 16_384) return undefined;
  const wanted = `${cookieName(parts, name)}=`;
  const pair = header
    .split(';')
    .map((p) => p.trim())
    .find((p) => p.startsWith(wanted));
  const value = pair?.slice(wanted.length);
  return value !== undefined && SECRET.test(value) ? value : undefined;
}

/** @param maxAgeSeconds undefined: until the browser closes; 0: forgotten at once */
export function setCookie(
  parts: Pick<AuthParts, 'publicUrl'>,
  name: CookieName,
  value: string,
  maxAgeSeconds?: number,
): string {
  const age = maxAgeSeconds === undefined ? '' : `; Max-Age=${maxAgeSeconds}`;
  return `${cookieName(parts, name)}=${value}; Path=/; HttpOnly; SameSite=Lax${isSecure(parts.publicUrl) ? '; Secure' : ''}${age}`;
}
