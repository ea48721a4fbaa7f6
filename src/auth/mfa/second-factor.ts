/** Proving the second factor: to complete a sign-in, or as step-up. Passkeys: `proveByPasskey`. */
import type { Person } from '../accounts/actor.ts';
import type { Browser } from '../accounts/browser.ts';
import { raiseSession, type SignedIn } from '../accounts/signed-in.ts';
import { spendGuess } from '../attempts.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { knownDevice } from '../session/known-device.ts';
import { useRecoveryCode } from './recovery.ts';
import { useTotp } from './totp.ts';

type Proof = Browser & { readonly person: Person; readonly code: string };

async function prove(
  parts: AuthParts,
  { person, code, ...browser }: Proof,
  use: (code: string) => Promise<boolean>,
): Promise<SignedIn> {
  const { account } = person;
  const device = await knownDevice(parts, account.id, browser.cookieHeader);
  const spent = await spendGuess(parts, 'second factor', account.id, { source: browser.source, device });
  if (!(await use(code))) throw refuse('code');
  await spent.refund();
  return raiseSession(parts, person, ['otp', 'mfa'], browser);
}

/** @throws Refusal `limited`, `code`, `session` */
export const proveByTotp = (parts: AuthParts, proof: Proof): Promise<SignedIn> =>
  prove(parts, proof, (code) => useTotp(parts, proof.person.account.id, code));

/** @throws Refusal `limited`, `code`, `session` */
export const proveByRecoveryCode = (parts: AuthParts, proof: Proof): Promise<SignedIn> =>
  prove(parts, proof, (code) => useRecoveryCode(parts, proof.person.account, code));
