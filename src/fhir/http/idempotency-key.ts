/**
 * The header Idempotency-Key: a string of structured fields, or the same without its quotes, as many clients send it.
 * @see https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07#section-2
 * @see https://www.rfc-editor.org/rfc/rfc9651#name-strings
 */
import { badRequest } from '../outcome.ts';

/** Visible ASCII; what begins with a quote must be a string to its end. */
const BARE = /^(?!")[\x21-\x7e]+$/;
const QUOTED = /^"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"$/;
const MAX_LENGTH = 255;

/** The key that is meant. @throws FhirError 400 */
export function idempotencyKeyOf(header: string): string {
  const value = header.trim();
  const key = BARE.test(value) ? value : QUOTED.exec(value)?.[1]?.replaceAll(/\\(.)/g, '$1');
  if (key !== undefined && key.length <= MAX_LENGTH) return key;
  throw badRequest(
    'value',
    `Idempotency-Key must be one key of 1 to ${MAX_LENGTH} visible ASCII characters, such as a UUID, and a new one for each request.`,
    'http.Idempotency-Key',
  );
}
