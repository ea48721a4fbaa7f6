/** Where somebody goes on to once a remote side has vouched for them. */
import type { Account } from '../accounts/account.ts';
import { mfaSatisfied } from '../mfa/policy.ts';
import { ownPath } from '../pages/guard.ts';
import type { AuthParts } from '../parts.ts';
import type { Session } from '../session/session.ts';

const STEPS = { 'needs-second-factor': '/signin/second', 'must-enrol': '/signin/enrol' } as const;

/** By way of the second factor, unless the remote side vouched for one or none is asked for. @param to path of our own */
export async function wayTo(parts: AuthParts, account: Account, session: Session, to: string): Promise<string> {
  const state = await mfaSatisfied(parts, account, session);
  return state === 'ok' ? to : `${STEPS[state]}?return=${encodeURIComponent(to)}`;
}

/** The path that a visitor asked to come back to, if it is one of ours. */
export const wantedPath = (parts: AuthParts, given: string): string => ownPath(parts, given, '/');
