/** Pages for what went wrong with a remote provider or EHR; the log gets its code, and the library's reason without any values. */
import { html } from 'hono/html';
import { FhirError, errorIssue } from '../../../fhir/outcome.ts';
import { errorFields } from '../../../platform/log.ts';
import type { Handler } from '../route.ts';
import { showPage, wantsHtml, type Visit } from '../visit.ts';
import { FederationFailure } from '../../federation/failure.ts';

/** What an operator should know of: the others are the doing of who visits. */
const TROUBLE: ReadonlySet<string> = new Set(['unreachable', 'unsafe']);

async function failurePage(visit: Visit, error: FederationFailure): Promise<Response> {
  const { t, parts } = visit;
  if (TROUBLE.has(error.code))
    parts.log.warn('A provider or EHR could not be used', {
      ...(error.cause instanceof Error ? errorFields(error.cause) : {}),
      code: error.code,
    });
  if (!wantsHtml(visit.request))
    throw new FhirError(error.status, [errorIssue('processing', t.federation.failures[error.code].title)]);
  const { title, text } = t.federation.failures[error.code];
  const body = html`<div class="card">
    <h1>${title}</h1>
    <p>${text}</p>
    <div class="actions">
      ${visit.account ? undefined : html`<a class="button primary" href="/signin">${t.federation.elsewhere}</a>`}
      <a class="button" href="/">${t.federation.home}</a>
    </div>
  </div>`;
  return showPage(visit, { title, body }, { status: error.status });
}

/** A handler whose failures become pages. */
export const withFailures =
  <V extends Visit>(handler: Handler<V>): Handler<V> =>
  async (visit) => {
    try {
      return await handler(visit);
    } catch (error) {
      if (error instanceof FederationFailure) return failurePage(visit, error);
      throw error;
    }
  };
