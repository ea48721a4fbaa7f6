/** Routes of the pages: who may see them, and what is checked before a handler runs. */
import type { Role } from '../accounts/account.ts';
import { isSteppedUp } from '../session/session.ts';
import { forbidden, PageError } from './errors.ts';
import { goTo, wantsJson, type OwnVisit, type Visit } from './visit.ts';

export type Handler<V extends Visit> = (visit: V) => Promise<Response> | Response;

export interface Handlers<V extends Visit> {
  readonly GET?: Handler<V>;
  readonly POST?: Handler<V>;
  readonly PUT?: Handler<V>;
}

export interface Route extends Handlers<Visit> {
  readonly path: string;
  /** Whether a visit counts as activity of the session. */
  readonly touches: boolean;
  /** Nothing is done for those who are not signed in: their forms lead to the sign-in, whatever they hold. */
  readonly isOwn: boolean;
}

export interface Rule {
  /** One of them is needed. */
  readonly roles?: readonly Role[];
  /** Identity was proven within ten minutes. */
  readonly stepUp?: boolean;
  /** Also for those who must set up a second factor first. */
  readonly enrolling?: boolean;
}

/** For everybody. */
export const open = (path: string, handlers: Handlers<Visit>, { touches = true } = {}): Route => ({
  path,
  touches,
  isOwn: false,
  ...handlers,
});

const withReturn = (page: string, visit: Visit): string => {
  // A form that came too late is filled in again: its page is where to return to.
  const back = `${visit.url.pathname}${visit.request.method === 'GET' ? visit.url.search : ''}`;
  return `${page}?return=${encodeURIComponent(back)}`;
};

/** Where somebody must go first. */
function firstOf(visit: Visit): string {
  if (visit.pending?.state === 'needs-second-factor') return withReturn('/signin/second', visit);
  if (visit.pending?.state === 'must-enrol') return withReturn('/signin/enrol', visit);
  return withReturn('/signin', visit);
}

/** The visit as one by somebody who may be here; undefined: not yet. */
function admitted(visit: Visit, rule: Rule): OwnVisit | undefined {
  const { session, account, pending } = visit;
  if (session && account) return { ...visit, session, account };
  return rule.enrolling && pending?.state === 'must-enrol'
    ? { ...visit, session: pending.session, account: pending.account }
    : undefined;
}

const guarded =
  (handler: Handler<OwnVisit>, rule: Rule): Handler<Visit> =>
  (visit) => {
    const own = admitted(visit, rule);
    const blocked = (to: string): Response => {
      if (wantsJson(visit.request)) throw new PageError(401, 'forbidden', 'login');
      return goTo(visit, to);
    };
    if (!own) return blocked(firstOf(visit));
    if (rule.roles && !rule.roles.some((role) => own.account.roles.includes(role))) throw forbidden();
    if (rule.stepUp && !isSteppedUp(visit.parts, own.session)) return blocked(withReturn('/step-up', visit));
    return handler(own);
  };

/** For those who are signed in. */
export const own = (
  path: string,
  { GET, POST, PUT }: Handlers<OwnVisit>,
  rule: Rule = {},
  { touches = true } = {},
): Route => ({
  path,
  touches,
  isOwn: true,
  ...(GET ? { GET: guarded(GET, rule) } : {}),
  ...(POST ? { POST: guarded(POST, rule) } : {}),
  ...(PUT ? { PUT: guarded(PUT, rule) } : {}),
});
