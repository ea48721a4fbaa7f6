/** Passkeys, as second factor or as the only one. @see https://www.w3.org/TR/webauthn-3/ */
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server';
import {
  generateAuthenticationOptions,
  generateRegistrationOptions,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server';
import { poolNamed } from '../../platform/database/pool.ts';
import { inTransaction } from '../../platform/database/transaction.ts';
import { accountById, isRowId, type Account } from '../accounts/account.ts';
import type { Person } from '../accounts/actor.ts';
import type { Browser } from '../accounts/browser.ts';
import { beginSession, raiseSession, type SignedIn } from '../accounts/signed-in.ts';
import { spend } from '../attempts.ts';
import { writeTo } from '../mail/mail.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { putFlow, takeFlow, type FlowPayload } from '../session/flow.ts';
import { factorsOf, hasFactor } from './factors.ts';
import { demandForFactors, needsFactor } from './policy.ts';
import { dropCodes, replaceCodes } from './recovery.ts';
import type { Enrolled } from './totp.ts';

const SECONDS = 5 * 60;
/** More than anybody needs; each one makes the options longer. */
const MOST = 20;

/** EdDSA, ES256, RS256: the library would also offer what Node calls experimental. @see https://www.iana.org/assignments/cose/ */
const ALGORITHMS = [-8, -7, -257];

const relyingParty = ({ publicUrl }: AuthParts) => ({
  id: new URL(publicUrl).hostname,
  origin: new URL(publicUrl).origin,
});

/** What a page hands to the browser, and what brings the challenge back. */
export interface Ceremony<Options> {
  readonly flow: string;
  readonly options: Options;
}

type CreationOptions = Awaited<ReturnType<typeof generateRegistrationOptions>>;
type RequestOptions = Awaited<ReturnType<typeof generateAuthenticationOptions>>;

/** Any object: the library checks what is in it. @throws Refusal `passkey` */
function parseCredential(json: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = json.length > 65_536 ? undefined : JSON.parse(json);
    if (typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string')
      return value as Readonly<Record<string, unknown>>;
  } catch {
    // Refused below.
  }
  throw refuse('passkey');
}

async function keysOf(
  { pool }: AuthParts,
  accountId: string,
): Promise<readonly { id: string; transports: string[] }[]> {
  const { rows } = await poolNamed(pool, `select id, to_json(transports) from auth_passkey where account_id = $1`, [
    accountId,
  ]);
  return rows.map(([id, transports]) => ({ id: id ?? '', transports: JSON.parse(transports ?? '[]') as string[] }));
}

async function userHandle({ pool }: AuthParts, accountId: string): Promise<string> {
  const { rows } = await poolNamed(pool, `select webauthn_user_id from auth_account where id = $1`, [accountId]);
  return rows[0]?.[0] ?? '';
}

/** Takes the challenge back: it is good for one answer. @throws Refusal `ticket` */
async function takeChallenge(parts: AuthParts, kind: string, flow: string, accountId?: string): Promise<string> {
  const payload: FlowPayload | undefined = await takeFlow(parts, kind, flow);
  const challenge = payload?.['challenge'];
  if (typeof challenge !== 'string' || payload?.['accountId'] !== accountId) throw refuse('ticket');
  return challenge;
}

/** @throws Refusal `session`, `step-up`, `forbidden` (too many) */
export async function beginPasskey(parts: AuthParts, { account, session }: Person): Promise<Ceremony<CreationOptions>> {
  await demandForFactors(parts, account, session);
  const existing = await keysOf(parts, account.id);
  if (existing.length >= MOST) throw refuse('forbidden');
  const options = await generateRegistrationOptions({
    rpName: 'Kairos',
    rpID: relyingParty(parts).id,
    userName: account.email,
    userDisplayName: account.name,
    userID: new Uint8Array(Buffer.from(await userHandle(parts, account.id), 'base64url')),
    timeout: SECONDS * 1000,
    attestationType: 'none',
    supportedAlgorithmIDs: ALGORITHMS,
    excludeCredentials: [...existing],
    authenticatorSelection: { residentKey: 'preferred', userVerification: 'preferred' },
  });
  const payload = { challenge: options.challenge, accountId: account.id };
  return { flow: await putFlow(parts, 'passkey new', payload, SECONDS), options };
}

/**
 * @param input.credential JSON of what the browser made
 * @param input.label what its owner calls it
 * @throws Refusal `session`, `step-up`, `ticket`, `passkey`
 */
export async function addPasskey(
  parts: AuthParts,
  input: Browser & {
    readonly person: Person;
    readonly flow: string;
    readonly credential: string;
    readonly label: string;
  },
): Promise<Enrolled> {
  const { account, session } = input.person;
  await demandForFactors(parts, account, session);
  const response = parseCredential(input.credential) as unknown as RegistrationResponseJSON;
  const expectedChallenge = await takeChallenge(parts, 'passkey new', input.flow, account.id);
  const { id, origin } = relyingParty(parts);
  const { registrationInfo } = await verifyRegistrationResponse({
    response,
    expectedChallenge,
    expectedOrigin: origin,
    expectedRPID: id,
    requireUserVerification: false,
    supportedAlgorithmIDs: ALGORITHMS,
  }).catch(() => ({ registrationInfo: undefined }));
  if (!registrationInfo) throw refuse('passkey');
  const { credential, userVerified, credentialBackedUp } = registrationInfo;
  const isFirst = !hasFactor(await factorsOf(parts, account.id));
  const recoveryCodes = await inTransaction(parts.pool, async (run) => {
    const { rowCount } = await run(
      `insert into auth_passkey (id, account_id, public_key, counter, transports, label, user_verified, backed_up, created_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, to_timestamp($9)) on conflict (id) do nothing`,
      [
        credential.id,
        account.id,
        Buffer.from(credential.publicKey),
        credential.counter,
        (credential.transports ?? []).filter((t) => /^[a-z-]{1,20}$/.test(t)),
        labelOf(input.label),
        userVerified,
        credentialBackedUp,
        parts.clock.now() / 1000,
      ],
    );
    if (rowCount === 0) throw refuse('passkey');
    await writeTo(parts, run, account, 'factor-added', { factor: 'passkey', account: `${parts.publicUrl}/account` });
    return isFirst ? replaceCodes(run, account.id) : undefined;
  });
  return { ...(await raiseSession(parts, input.person, amrOf(userVerified, true), input)), recoveryCodes };
}

const labelOf = (text: string): string =>
  text
    .toWellFormed()
    .normalize('NFC')
    .replace(/[\p{Cc}\p{Cf}]/gu, '')
    .trim()
    .slice(0, 60) || 'Passkey';

/** A key that asked for the finger or the PIN is two factors; one that did not is the second of two. @see https://www.rfc-editor.org/rfc/rfc8176#section-2 */
const amrOf = (verified: boolean, second: boolean): string[] => [
  'pop',
  ...(verified ? ['user'] : []),
  ...(verified || second ? ['mfa'] : []),
];

/** For who is not signed in: the browser offers its passkeys. @throws Refusal `limited` */
export async function beginPasskeySignIn(parts: AuthParts, source: string): Promise<Ceremony<RequestOptions>> {
  await spend(parts, [{ key: ['passkey', 'asker', source], limit: 100, seconds: 900 }]);
  const options = await generateAuthenticationOptions({
    rpID: relyingParty(parts).id,
    timeout: SECONDS * 1000,
    userVerification: 'required',
  });
  return { flow: await putFlow(parts, 'passkey sign-in', { challenge: options.challenge }, SECONDS), options };
}

/** For who has signed in by password, or must prove again who they are. */
export async function beginPasskeyProof(parts: AuthParts, { account }: Person): Promise<Ceremony<RequestOptions>> {
  const options = await generateAuthenticationOptions({
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
  if (accountId == null || publicKey == null || handle == null) throw refuse('passkey');
  const { id, origin } = relyingParty(parts);
  const verified = await verifyAuthenticationResponse({
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
  }).catch(() => undefined);
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

export interface Passkey {
  readonly id: string;
  readonly label: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly lastUsedAt: number | undefined;
  /** It exists on several devices of its owner. */
  readonly synced: boolean;
}

export async function listPasskeys({ pool }: Pick<AuthParts, 'pool'>, accountId: string): Promise<readonly Passkey[]> {
  const { rows } = await poolNamed(
    pool,
    `select id, label, extract(epoch from created_at) * 1000, extract(epoch from last_used_at) * 1000, backed_up
     from auth_passkey where account_id = $1 order by created_at, id`,
    [accountId],
  );
  return rows.map(([id, label, created, used, backedUp]) => ({
    id: id ?? '',
    label: label ?? '',
    createdAt: Math.round(Number(created)),
    lastUsedAt: used == null ? undefined : Math.round(Number(used)),
    synced: backedUp === 't',
  }));
}

/** @throws Refusal `session`, `step-up`, `last` when nobody could sign in any more, or the role demands a factor */
export async function removePasskey(parts: AuthParts, { account, session }: Person, id: string): Promise<void> {
  await demandForFactors(parts, account, session);
  const { totp, passkeys } = await factorsOf(parts, account.id);
  if (passkeys <= 1 && ((!totp && needsFactor(parts, account)) || !(await hasOtherWay(parts, account))))
    throw refuse('last');
  if (!isRowId(id)) return;
  await inTransaction(parts.pool, async (run) => {
    const { rowCount } = await run(`delete from auth_passkey where id = $1 and account_id = $2`, [id, account.id]);
    if (rowCount === 0) return;
    if (!totp && passkeys <= 1) await dropCodes(run, account.id);
    await writeTo(parts, run, account, 'factor-removed', {
      factor: 'passkey',
      account: `${parts.publicUrl}/account`,
    });
  });
}

/** A password, or another provider that vouches for them. */
async function hasOtherWay({ pool }: AuthParts, { id, hasPassword }: Account): Promise<boolean> {
  if (hasPassword) return true;
  return (await poolNamed(pool, `select 1 from auth_upstream where account_id = $1 limit 1`, [id])).rows.length > 0;
}
