/** The end of a launch: the person's session begins, and the EHR's tokens belong to it. */
import type { Account } from '../../accounts/account.ts';
import type { SignedIn } from '../../accounts/signed-in.ts';
import type { Proven } from '../../federation/code-flow.ts';
import { enter } from '../../federation/enter.ts';
import type { FederationParts } from '../../federation/parts.ts';
import { afterProof, browserOf } from '../acting.ts';
import { goTo, type Visit } from '../visit.ts';
import { giveBack, openConnection } from '../../ehr/connection.ts';
import { demandWorksHere, type Launched } from '../../ehr/launch.ts';

/** @throws FederationFailure `role`; the tokens are then given back */
export async function enterLaunch(
  parts: FederationParts,
  visit: Visit,
  account: Account,
  proven: Proven,
  launched: Launched,
  cookies: readonly string[],
): Promise<Response> {
  const opened = async (): Promise<{ readonly signedIn: SignedIn; readonly connection: string }> => {
    demandWorksHere(account);
    const signedIn = await enter(parts, account, proven, visit.session ?? visit.pending?.session, browserOf(visit));
    const { uid: sessionUid } = signedIn.session;
    const { ehr: issuer, context, tokens } = launched;
    return { signedIn, connection: await openConnection(parts, { sessionUid, issuer, context }, tokens) };
  };
  const { signedIn, connection } = await opened().catch(async (error: unknown) => {
    await giveBack(parts, launched.ehr, launched.tokens);
    throw error;
  });
  return goTo(visit, afterProof(signedIn, `/launched/open/${connection}`), [...cookies, ...signedIn.cookies]);
}
