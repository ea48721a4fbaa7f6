/** A request for a page, with what every page wants to know of it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { LANGUAGES, acceptedLanguage, cookieLanguage, languageCookie, languageOf } from './texts/languages.ts';
import type { Language, Texts } from './texts/languages.ts';
import { accountById, type Account } from '../accounts/account.ts';
import { mfaSatisfied, type MfaState } from '../mfa/policy.ts';
import type { AuthParts } from '../parts.ts';
import { sessionOf, touchSession, type Session } from '../session/session.ts';
import { formOf, NO_FORM, readForm, type Form } from './form.ts';
import { CSRF_FIELD, CSRF_HEADER, demandOwnOrigin, demandToken, formKey } from './guard.ts';
import type { PagesIdentity } from './identity.ts';
import { layout, type PageOptions } from './layout.ts';
import { htmlReply, redirect, type ReplyOptions } from './reply.ts';

/** Set by the Node server; absent in tests that call `app.request`. */
export interface PageBindings {
  readonly incoming?: IncomingMessage;
  readonly outgoing?: ServerResponse;
}

/** Who is on the way to being signed in: the session stands, but lacks what the policy asks for. */
export interface Pending {
  readonly session: Session;
  readonly account: Account;
  readonly state: Exclude<MfaState, 'ok'>;
}

export interface Visit {
  readonly parts: AuthParts;
  readonly identity: PagesIdentity;
  readonly request: Request;
  readonly env: PageBindings;
  readonly url: URL;
  /** Parameters of the address. */
  readonly query: Form;
  /** Segments that the route names, `:uid`. */
  readonly params: Readonly<Record<string, string>>;
  readonly language: Language;
  readonly t: Texts;
  /** Signed in, with all that the policy asks for. */
  readonly session: Session | undefined;
  readonly account: Account | undefined;
  readonly pending: Pending | undefined;
  /** What was sent; empty for GET. */
  readonly form: Form;
  /** Token for the forms of the page. */
  readonly csrf: string;
  /** Set with whatever is replied. */
  readonly cookies: string[];
}

/** A visit by somebody who is signed in. */
export interface OwnVisit extends Visit {
  readonly session: Session;
  readonly account: Account;
}

const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD']);

export interface Surroundings {
  readonly parts: AuthParts;
  readonly identity: PagesIdentity;
  readonly env: PageBindings;
}

export interface Opening extends Surroundings {
  readonly params: Readonly<Record<string, string>>;
  /** Whether the visit counts as activity of the session. */
  readonly touches: boolean;
  readonly isOwn: boolean;
}

function languageFor(
  url: URL,
  cookie: string | undefined,
  account: Account | undefined,
  accept: string | null,
): Language {
  return (
    languageOf(url.searchParams.get('lang') ?? undefined) ??
    cookieLanguage(cookie) ??
    languageOf(account?.locale) ??
    acceptedLanguage(accept ?? undefined) ??
    'en'
  );
}

/** @throws FhirError 403 when an unsafe request may come from elsewhere, or its form is not ours */
export async function openVisit(request: Request, opening: Opening): Promise<Visit> {
  const { parts, identity, env, params } = opening;
  const { headers, method } = request;
  const isSafe = SAFE.has(method);
  if (!isSafe) demandOwnOrigin(parts, headers);
  const cookieHeader = headers.get('cookie') ?? undefined;
  const session = await sessionOf(parts, cookieHeader);
  const account = session && (await accountById(parts, session.accountId));
  const state = session && account ? await mfaSatisfied(parts, account, session) : undefined;
  const key = formKey(parts, session, cookieHeader);
  const form = isSafe ? NO_FORM : await readForm(request, env.incoming);
  if (!isSafe && (session || !opening.isOwn)) demandToken(key, headers.get(CSRF_HEADER) ?? form.exact(CSRF_FIELD));
  const url = new URL(request.url);
  const language = languageFor(url, cookieHeader, account, headers.get('accept-language'));
  const cookies = key.cookie === undefined ? [] : [key.cookie];
  if (languageOf(url.searchParams.get('lang') ?? undefined) === language) cookies.push(languageCookie(language));
  if (session && state === 'ok' && opening.touches) await touchSession(parts, session.uid);
  return {
    parts,
    identity,
    request,
    env,
    url,
    query: formOf(url.searchParams),
    params,
    language,
    t: LANGUAGES[language],
    session: state === 'ok' ? session : undefined,
    account: state === 'ok' ? account : undefined,
    pending: session && account && state && state !== 'ok' ? { session, account, state } : undefined,
    form,
    csrf: key.token,
    cookies,
  };
}

/** Not of pages on the way to an app, which may have been opened in a window that the app talks to. */
const ALONE: Readonly<Record<string, string>> = { 'Cross-Origin-Opener-Policy': 'same-origin' };

/** A page as the reply to a visit. */
export function showPage(visit: Visit, page: PageOptions, options: ReplyOptions = {}): Response {
  return htmlReply(layout(visit, page), {
    ...options,
    headers: { ...(page.section === undefined ? {} : ALONE), ...options.headers },
    cookies: [...visit.cookies, ...(options.cookies ?? [])],
  });
}

/** Goes on to another page; only to paths of our own, or to what the provider says. */
export const goTo = (visit: Visit, to: string, cookies: readonly string[] = []): Response =>
  redirect(to, { cookies: [...visit.cookies, ...cookies] });

/** A visit of nobody, for the page of an error: it asks nothing of the database. */
export function strangersVisit(request: Request, { parts, identity, env }: Surroundings): Visit {
  const url = new URL(request.url);
  const language = languageFor(
    url,
    request.headers.get('cookie') ?? undefined,
    undefined,
    request.headers.get('accept-language'),
  );
  return {
    parts,
    identity,
    request,
    env,
    url,
    query: NO_FORM,
    params: {},
    language,
    t: LANGUAGES[language],
    session: undefined,
    account: undefined,
    pending: undefined,
    form: NO_FORM,
    csrf: '',
    cookies: [],
  };
}

/** Whether a person sits before it: browsers ask for HTML, programs do not. */
export const wantsHtml = (request: Request): boolean => (request.headers.get('accept') ?? '').includes('text/html');

/** Whether a script of ours asks. */
export const wantsJson = (request: Request): boolean =>
  (request.headers.get('accept') ?? '').startsWith('application/json');

/** @param name in lower case */
export const header = (visit: Pick<Visit, 'request'>, name: string): string | undefined =>
  visit.request.headers.get(name) ?? undefined;
