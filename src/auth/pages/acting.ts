/** What handlers of forms have in common: who acts from where, where they go on to, and what is said when it is refused. */
import type { Person } from '../accounts/actor.ts';
import type { Browser } from '../accounts/browser.ts';
import type { SignedIn } from '../accounts/signed-in.ts';
import { clientAddress } from '../client-address.ts';
import { Refusal } from '../refusal.ts';
import { refusalText, retryHeader } from './errors.ts';
import { ownPath } from './guard.ts';
import type { PageOptions } from './layout.ts';
import { jsonReply } from './reply.ts';
import { goTo, header, showPage, type OwnVisit, type Visit } from './visit.ts';

export const browserOf = (visit: Visit): Browser => ({
  source: clientAddress(visit.parts, visit.env.incoming),
  cookieHeader: header(visit, 'cookie'),
  userAgent: header(visit, 'user-agent'),
});

export const personOf = ({ account, session }: OwnVisit): Person => ({ account, session });

/** Where the visitor wanted to go: of the form, or of the address. */
export function wantedPath({ parts, form, query, request }: Visit, fallback = '/'): string {
  return ownPath(parts, request.method === 'POST' ? form.exact('return') : query.exact('return'), fallback);
}

export const withPath = (page: string, path: string): string =>
  path === '/' ? page : `${page}?return=${encodeURIComponent(path)}`;

/** The page after a proof of identity: what is still missing, or what the visitor wanted. */
export function afterProof({ mfa }: SignedIn, path: string): string {
  if (mfa === 'needs-second-factor') return withPath('/signin/second', path);
  return mfa === 'must-enrol' ? withPath('/signin/enrol', path) : path;
}

/** Errors of people are no errors of HTTP authentication: a form that was refused is a bad request. */
const statusOf = ({ status }: Refusal): number => (status === 401 ? 400 : status);

/** Refusals that another page settles. */
const isOwnPage = ({ code }: Refusal): boolean => code !== 'session' && code !== 'step-up';

/** The form again, with what was wrong above it. */
export async function orExplain(
  visit: Visit,
  work: () => Promise<Response>,
  form: (refusal: Refusal) => PageOptions | Promise<PageOptions>,
): Promise<Response> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refusal) || !isOwnPage(error)) throw error;
    return showPage(
      visit,
      { ...(await form(error)), error: refusalText(visit, error) },
      { status: statusOf(error), headers: retryHeader(error) },
    );
  }
}

/** The same for our scripts. */
export async function orTell(visit: Visit, work: () => Promise<Response>): Promise<Response> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return jsonReply(
      { message: refusalText(visit, error) },
      { status: statusOf(error), headers: retryHeader(error), cookies: visit.cookies },
    );
  }
}

/** Where a script of ours sends the browser next. */
export const tellNext = (visit: Visit, next: string, cookies: readonly string[] = []): Response =>
  jsonReply({ next }, { cookies: [...visit.cookies, ...cookies] });

/** The visitor as a person who may act, also half-way through signing in. */
export function anyPerson({ account, session, pending }: Visit): Person | undefined {
  if (account && session) return { account, session };
  return pending && { account: pending.account, session: pending.session };
}

export const goOn = (visit: Visit, signedIn: SignedIn, path: string): Response =>
  goTo(visit, afterProof(signedIn, path), signedIn.cookies);
