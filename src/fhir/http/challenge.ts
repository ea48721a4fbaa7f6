/** What is answered to whom may not, and how they may. @see https://www.rfc-editor.org/rfc/rfc6750#section-3 */
import { errorIssue, FhirError } from '../outcome.ts';
import type { Query } from '../search/contract.ts';

const REALM = 'Bearer realm="Kairos"';

/** No token, where one is needed. */
export const unauthorized = (): FhirError =>
  new FhirError(
    401,
    [errorIssue('login', 'This is for those who are known: send an access token as  Authorization: Bearer <token>.')],
    { 'WWW-Authenticate': REALM },
  );

/** Credentials that are none, or no longer. Why is nobody's business. */
export const invalidToken = (
  diagnostics = 'The access token is not valid: it was never issued, has expired, or was revoked. Get a new one.',
): FhirError =>
  new FhirError(401, [errorIssue('login', diagnostics)], { 'WWW-Authenticate': `${REALM}, error="invalid_token"` });

/** A token that does not reach so far. */
export const insufficientScope = (diagnostics: string): FhirError =>
  new FhirError(403, [errorIssue('forbidden', diagnostics)], {
    'WWW-Authenticate': `${REALM}, error="insufficient_scope"`,
  });

/** Addresses stand in logs and histories: a token in one is as good as lost. @throws FhirError 401 */
export function demandNoToken(query: Query): void {
  for (const [name] of query) {
    if (name === 'access_token')
      throw invalidToken('Parameter access_token is not taken: send the token in the Authorization header.');
  }
}
