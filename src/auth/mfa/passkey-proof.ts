/** Showing a passkey: to sign in by it alone, as the second factor, or as step-up. @see https://www.w3.org/TR/webauthn-3/#sctn-verifying-assertion */
import type { AuthenticationResponseJSON, generateAuthenticationOptions } from '@simplewebauthn/server';
import { poolNamed } from '../../platform/database/pool.ts';
import { accountById, isRowId } from '../accounts/account.ts';
import type { Person } from '../accounts/actor.ts';
import type { Browser } from '../accounts/browser.ts';
import { beginSession, raiseSession, type SignedIn } from '../accounts/signed-in.ts';
import { spend } from '../attempts.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { putFlow } from '../session/flow.ts';
import {
  amrOf,
  keysOf,
  parseCredential,
  relyingParty,
  SECONDS,
  takeChallenge,
  type Ceremony,
} from './passkey-ceremony.ts';

/** Loaded when somebody first needs it: it takes a quarter of a second and 28 MB. */
const webauthn = (): Promise<typeof import('@simplewebauthn/server')> => import('@simplewebauthn/server');

type RequestOptions = Awaited<ReturnType<typeof generateAuthenticationOptions>>;

/** For who is not signed in: the browser offers its passkeys. @throws Refusal `limited` */
export async function beginPasskeySignIn(parts: AuthParts, source: string): Promise<Ceremony<RequestOptions>> {
  await spend(parts, [{ key: ['passkey', 'asker', source], limit: 100, seconds: 900 }]);
  const options = await (
    await webauthn()
  ).generateAuthenticationOptions({
    rpID: relyingParty(parts).id,
    timeout: SECONDS * 1000,
    userVerification: 'required',
  });
  return { flow: await putFlow(parts, 'passkey sign-in', { challenge: options.challenge }, SECONDS), options };
}

/** For who has signed in by password, or must prove again who they are. */
export async function beginPasskeyProof(parts: AuthParts, { account }: Person): Promise<Ceremony<RequestOptions>> {
  const options = await (
    await webauthn()
  ).generateAuthenticationOptions({
    rpID: relyingParty(parts).id,
    timeout: SECONDS * 1000,
    allowCredentials: [...(await keysOf(parts, account.id))],
    userVerification: 'preferred',
  });
  const payload = { challenge: options.challenge, accountId: account.id };
  return { flow: await putFlow(parts, 'passkey proof', payload, SECONDS), options };
}

interface Shown {
  readonly accountId: string;
  readonly verified: boolean;
}

/** @throws Refusal `passkey` */
async function checkPasskey(
  parts: AuthParts,
  json: string,
  expectedChallenge: string,
  demandVerified: boolean,
): Promise<Shown> {
  const response = parseCredential(json) as unknown as AuthenticationResponseJSON;
  const { rows } = await poolNamed(
    parts.pool,
    `select p.account_id, encode(p.public_key, 'base64'), p.counter, a.webauthn_user_id from auth_passkey p join auth_account a on a.id = p.account_id
     where p.id = $1 and a.status = 'active'`,
    [isRowId(response.id) ? response.id : ''],
  );
  const [accountId, publicKey, counter, handle] = rows[0] ?? [];
  if (typeof accountId !== 'string' || typeof publicKey !== 'string' || typeof handle !== 'string')
    throw refuse('passkey');
  const { id, origin } = relyingParty(parts);
  const verified = await (
    await webauthn()
  )
    .verifyAuthenticationResponse({
      response,
      expectedChallenge,
      expectedOrigin: origin,
      expectedRPID: id,
      credential: {
        id: response.id,
        publicKey: new Uint8Array(Buffer.from(publicKey, 'base64')),
        counter: Number(counter),
      },
      requireUserVerification: demandVerified,
    })
    .catch(() => undefined);
  if (!verified?.verified) throw refuse('passkey');
  const told = response.response.userHandle;
  if (told !== undefined && told !== null && told !== '' && told !== handle) throw refuse('passkey');
  const { newCounter, userVerified, credentialBackedUp } = verified.authenticationInfo;
  // Of two answers that count to the same number one comes from a copy of the key.
  const { rowCount } = await poolNamed(
    parts.pool,
    `update auth_passkey set counter = $2, last_used_at = to_timestamp($3), backed_up = $4 where id = $1 and (counter < $2 or (counter = 0 and $2 = 0))`,
    [response.id, newCounter, parts.clock.now() / 1000, credentialBackedUp],
  );
  if (rowCount === 0) throw refuse('passkey');
  return { accountId, verified: userVerified };
}

/** Signs in by passkey alone: it must have verified its user. @throws Refusal `ticket`, `passkey` */
export async function signInByPasskey(
  parts: AuthParts,
  { flow, credential, ...browser }: Browser & { readonly flow: string; readonly credential: string },
): Promise<SignedIn> {
  const challenge = await takeChallenge(parts, 'passkey sign-in', flow);
  const shown = await checkPasskey(parts, credential, challenge, true);
  const account = await accountById(parts, shown.accountId);
  if (!account) throw refuse('passkey');
  return beginSession(parts, account, amrOf(shown.verified, false), browser);
}

/** The second factor, or step-up. @throws Refusal `ticket`, `passkey`, `session` */
export async function proveByPasskey(
  parts: AuthParts,
  {
    person,
    flow,
    credential,
    ...browser
  }: Browser & { readonly person: Person; readonly flow: string; readonly credential: string },
): Promise<SignedIn> {
  const challenge = await takeChallenge(parts, 'passkey proof', flow, person.account.id);
  const shown = await checkPasskey(parts, credential, challenge, false);
  if (shown.accountId !== person.account.id) throw refuse('passkey');
  return raiseSession(parts, person, amrOf(shown.verified, true), browser);
}
