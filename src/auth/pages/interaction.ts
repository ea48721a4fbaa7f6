/**
 * `/oauth/interaction/<uid>/…`: the steps between an app's authorization request and its code. Signing in happens at `/signin`; whose record
 * and what for are asked here. @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html
 */
import { FhirError } from '../../fhir/outcome.ts';
import { interactionOf, finishLogin, type InteractionView } from '../provider/interaction.ts';
import { PageError } from './errors.ts';
import { goTo, type PageBindings, type Visit } from './visit.ts';

type Sockets = Required<PageBindings>;

const over = (): PageError => new PageError(400, 'interaction', 'expired');

/** Node's request and response, which the authorization server reads its cookies from. */
export function sockets({ env }: Visit): Sockets {
  const { incoming, outgoing } = env;
  if (!incoming || !outgoing) throw over();
  return { incoming, outgoing };
}

/** What the authorization server refuses is over for the person: the way out is the app. */
export async function settled<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof FhirError && error.status === 400 ? over() : error;
  }
}

const pathOf = (view: InteractionView): string => `/oauth/interaction/${view.uid}/${view.prompt}`;

/** The interaction of the address. @throws PageError 400 when it is over, or was begun in another browser */
export async function viewOf(visit: Visit): Promise<InteractionView> {
  const { incoming, outgoing } = sockets(visit);
  const view = await settled(interactionOf(visit.identity.server, incoming, outgoing));
  if (view.uid !== visit.params['uid']) throw over();
  return view;
}

/** The step that the interaction is at, when it is another one than the address names. */
export const otherStep = (visit: Visit, view: InteractionView): Response | undefined =>
  visit.url.pathname === pathOf(view) ? undefined : goTo(visit, pathOf(view));

/** Goes on at once for those who are signed in; others sign in and come back. */
export async function login(visit: Visit): Promise<Response> {
  const view = await viewOf(visit);
  const elsewhere = otherStep(visit, view);
  if (elsewhere) return elsewhere;
  const { session, pending } = visit;
  const isFresh = (at: number): boolean => view.signInAfter === undefined || at >= view.signInAfter;
  if (session && isFresh(session.authTime)) {
    const { incoming, outgoing } = sockets(visit);
    return goTo(visit, await settled(finishLogin(visit.identity.server, incoming, outgoing, session)));
  }
  const back = `return=${encodeURIComponent(pathOf(view))}`;
  if (pending && isFresh(pending.session.authTime))
    return goTo(visit, `/signin/${pending.state === 'must-enrol' ? 'enrol' : 'second'}?${back}`);
  // Signed in already, but the app asks for a new proof: the form must not send on at once.
  return goTo(visit, `/signin?${back}${session || view.signInAfter !== undefined ? '&again=1' : ''}`);
}
