/** Who must show a second factor, and whether a session has. @see https://pages.nist.gov/800-63-4/sp800-63b.html */
import type { Account } from '../accounts/account.ts';
import type { AuthParts } from '../parts.ts';
import { isSteppedUp, type Session } from '../session/session.ts';
import { refuse } from '../refusal.ts';
import { factorsOf, hasFactor } from './factors.ts';

/** `needs-second-factor`: it has one and has not shown it. `must-enrol`: its role demands one and it has none. */
export type MfaState = 'ok' | 'needs-second-factor' | 'must-enrol';

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** A demo that only this machine reaches, and no proxy: what is easy there would be dangerous elsewhere. */
export const isDemoHere = ({ settings, publicUrl }: Pick<AuthParts, 'settings' | 'publicUrl'>): boolean =>
  settings.demo &&
  settings.loopback &&
  settings.trustedProxies.length === 0 &&
  LOOPBACK.test(new URL(publicUrl).hostname);

export async function mfaSatisfied(
  parts: AuthParts,
  account: Pick<Account, 'id' | 'roles'>,
  session: Pick<Session, 'amr'>,
): Promise<MfaState> {
  if (session.amr.includes('mfa')) return 'ok';
  const factors = await factorsOf(parts, account.id);
  if (hasFactor(factors)) return 'needs-second-factor';
  if (!needsFactor(parts, account)) return 'ok';
  return factors.exempt && isDemoHere(parts) ? 'ok' : 'must-enrol';
}

/** @throws Refusal `step-up`: the person must prove who they are again, which is good for ten minutes */
export function demandStepUp(parts: Pick<AuthParts, 'clock'>, session: Session): void {
  if (!isSteppedUp(parts, session)) throw refuse('step-up');
}

/** @throws Refusal `session` unless the session has shown all factors that the policy asks for */
export async function demandMfa(
  parts: AuthParts,
  account: Pick<Account, 'id' | 'roles'>,
  session: Session,
): Promise<void> {
  if (session.accountId !== account.id || (await mfaSatisfied(parts, account, session)) !== 'ok')
    throw refuse('session');
}

/**
 * For whoever adds or removes factors: a first factor needs only a fresh sign-in, since there is nothing else to prove.
 * @throws Refusal `session`, `step-up`
 */
export async function demandForFactors(
  parts: AuthParts,
  account: Pick<Account, 'id' | 'roles'>,
  session: Session,
): Promise<void> {
  if (session.accountId !== account.id || (await mfaSatisfied(parts, account, session)) === 'needs-second-factor')
    throw refuse('session');
  demandStepUp(parts, session);
}

/** Whether the account must not be without a factor. */
export const needsFactor = ({ settings }: Pick<AuthParts, 'settings'>, { roles }: Pick<Account, 'roles'>): boolean =>
  roles.some((role) => settings.mfaRoles.includes(role));
