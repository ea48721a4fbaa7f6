/** Errors as pages with a way out; programs get an OperationOutcome. */
import { html } from 'hono/html';
import { errorReply, render } from '../../fhir/http/render.ts';
import { errorIssue, FhirError, type IssueCode } from '../../fhir/outcome.ts';
import { clientError } from '../../fhir/store/sqlstate.ts';
import { isAway } from '../../platform/database/away.ts';
import { newId } from '../../platform/id.ts';
import { errorFields } from '../../platform/log.ts';
import { Refusal } from '../refusal.ts';
import { jsonReply } from './reply.ts';
import type { Texts } from './texts/languages.ts';
import { goTo, showPage, strangersVisit, wantsHtml, wantsJson, type Surroundings, type Visit } from './visit.ts';

type Kind = Exclude<keyof Texts['errors'], 'reference' | 'home'>;

/** An error that has a page of its own. */
export class PageError extends FhirError {
  readonly kind: Kind;

  constructor(status: number, kind: Kind, code: IssueCode, headers: Readonly<Record<string, string>> = {}) {
    super(status, [errorIssue(code, `The page cannot be shown: ${kind}.`)], headers);
    this.kind = kind;
  }
}

export const missing = (): PageError => new PageError(404, 'missing', 'not-found');
export const forbidden = (): PageError => new PageError(403, 'forbidden', 'forbidden');

const KINDS: Readonly<Record<number, Kind>> = {
  400: 'bad',
  403: 'form',
  404: 'missing',
  405: 'method',
  408: 'bad',
  413: 'large',
  415: 'bad',
  429: 'busy',
  503: 'unavailable',
};

/** Seconds as a person reads them, after the reason. */
export function refusalText({ t }: Pick<Visit, 't'>, { code, retryAfterSeconds }: Refusal): string {
  const reason = t.refusals[code];
  return retryAfterSeconds === undefined ? reason : `${reason} ${t.retryIn(Math.max(1, Math.ceil(retryAfterSeconds)))}`;
}

export const retryHeader = ({ retryAfterSeconds }: Refusal): Readonly<Record<string, string>> =>
  retryAfterSeconds === undefined ? {} : { 'Retry-After': String(Math.max(1, Math.ceil(retryAfterSeconds))) };

function toFhirError(error: unknown): FhirError | undefined {
  if (error instanceof FhirError) return error;
  if (error instanceof Refusal)
    return new FhirError(error.status, [errorIssue('processing', error.message)], retryHeader(error));
  const known = isAway(error) ? clientError(error) : undefined;
  return known instanceof FhirError ? known : undefined;
}

/** The reply to a request that failed, whatever the reason. */
export async function errorPage(
  error: unknown,
  request: Request,
  opening: Surroundings,
  opened: Visit | undefined,
): Promise<Response> {
  const known = toFhirError(error);
  const errorId = known ? undefined : newId();
  if (errorId !== undefined) opening.parts.log.error('unexpected error', { errorId, ...errorFields(error) });
  const failure =
    known ??
    new FhirError(500, [
      errorIssue('exception', `Something went wrong on our side; it is in our log as ${errorId ?? ''}.`),
    ]);
  const visit = opened ?? strangersVisit(request, opening);
  const { t } = visit;
  if (opened && error instanceof Refusal && !wantsJson(request)) {
    const first = error.code === 'session' ? '/signin' : error.code === 'step-up' ? '/step-up' : undefined;
    if (first !== undefined) return goTo(visit, `${first}?return=${encodeURIComponent(visit.url.pathname)}`);
  }
  const kind = failure instanceof PageError ? failure.kind : (KINDS[failure.status] ?? (known ? 'bad' : 'broken'));
  const { title, text } =
    error instanceof Refusal ? { ...t.errors.bad, text: refusalText(visit, error) } : t.errors[kind];
  if (wantsJson(request)) return jsonReply({ message: text }, { status: failure.status, headers: failure.headers });
  if (!wantsHtml(request))
    return render(errorReply(failure), {
      requestId: newId(),
      isHead: request.method === 'HEAD',
      crossOrigin: false,
      acceptEncoding: undefined,
    });
  const body = html`<div class="card">
    <h1>${title}</h1>
    <p>${text}</p>
    ${errorId === undefined ? undefined : html`<p class="quiet small">${t.errors.reference(errorId)}</p>`}
    <div class="actions"><a class="button primary" href="/">${t.errors.home}</a></div>
  </div>`;
  return showPage(visit, { title, body }, { status: failure.status, headers: failure.headers });
}
