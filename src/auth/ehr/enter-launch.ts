/** The end of a launch: the person's session begins, and the EHR's tokens belong to it. */
import type { Account } from '../accounts/account.ts';
import type { Proven } from '../federation/code-flow.ts';
import { wayTo } from '../federation/after.ts';
import { enter } from '../federation/enter.ts';
import type { FederationParts } from '../federation/parts.ts';
import { deviceLabel } from '../session/device.ts';
import { goTo, type Visit } from '../pages/visit.ts';
import { giveBack, openConnection } from './connection.ts';
import { demandWorksHere, type Launched } from './launch.ts';

/** @throws FederationFailure `role`; the tokens are then given back */
export async function enterLaunch(
  parts: FederationParts,
  visit: Visit,
  account: Account,
  proven: Proven,
  launched: Launched,
  cookies: readonly string[],
): Promise<Response> {
  try {
    demandWorksHere(account);
  } catch (error) {
    await giveBack(parts, launched.ehr, launched.tokens);
    throw error;
  }
  const before = visit.session ?? visit.pending?.session;
  const { session, cookie } = await enter(
    parts,
    account,
    proven,
    before,
    deviceLabel(visit.request.headers.get('user-agent') ?? undefined),
  );
  const connection = await openConnection(
    parts,
    { sessionUid: session.uid, issuer: launched.ehr, context: launched.context },
    launched.tokens,
  );
  return goTo(visit, await wayTo(parts, account, session, `/launched/open/${connection}`), [...cookies, cookie]);
}
