/** `/session`: what is left of the session, for clients that warn before it ends, and its extension. */
import { extendSession, sessionLeft, type Session } from '../session/session.ts';
import { jsonReply } from './reply.ts';
import type { Visit } from './visit.ts';

const over = (): Response => jsonReply({ error: 'no_session' }, { status: 401 });

const state = ({ parts, csrf, cookies }: Visit, session: Session): Response => {
  const { idleSeconds, absoluteSeconds } = sessionLeft(parts, session);
  return jsonReply(
    {
      expiresInSeconds: Math.min(idleSeconds, absoluteSeconds),
      idleSeconds,
      absoluteSeconds,
      // For the extension: only pages of this origin can read it.
      csrf,
    },
    { cookies },
  );
};

/** Looking is no activity. */
export const showSession = (visit: Visit): Response => (visit.session ? state(visit, visit.session) : over());

export async function extendOwnSession(visit: Visit): Promise<Response> {
  const extended = visit.session && (await extendSession(visit.parts, visit.session.uid));
  return extended ? state(visit, extended) : over();
}
