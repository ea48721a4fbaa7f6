/** Registering passkeys, and those that an account has. @see https://www.w3.org/TR/webauthn-3/#sctn-registering-a-new-credential */
import type { generateRegistrationOptions, RegistrationResponseJSON } from '@simplewebauthn/server';
import { poolNamed } from '../../platform/database/pool.ts';
import { inTransaction } from '../../platform/database/transaction.ts';
import { isRowId, lockAccount } from '../accounts/account.ts';
import type { Person } from '../accounts/actor.ts';
import type { Browser } from '../accounts/browser.ts';
import { raiseSession } from '../accounts/signed-in.ts';
import { demandWayIn } from '../accounts/ways-in.ts';
import { writeTo } from '../mail/mail.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { putFlow } from '../session/flow.ts';
import { factorsIn, factorsOf, hasFactor } from './factors.ts';
import {
  amrOf,
  keysOf,
  parseCredential,
  relyingParty,
  SECONDS,
  takeChallenge,
  type Ceremony,
} from './passkey-ceremony.ts';
import { demandForFactors, needsFactor } from './policy.ts';
import { dropCodes, replaceCodes } from './recovery.ts';
import type { Enrolled } from './totp.ts';

/** More than anybody needs; each one makes the options longer. */
const MOST = 20;

/** EdDSA, ES256, RS256: the library would also offer what Node calls experimental. @see https://www.iana.org/assignments/cose/ */
const ALGORITHMS = [-8, -7, -257];

/** People call their keys by their own names. */
const LABEL = 'auth_passkey.label_sealed';

/** Loaded when somebody first needs it: it takes a quarter of a second and 28 MB. */
const webauthn = (): Promise<typeof import('@simplewebauthn/server')> => import('@simplewebauthn/server');

type CreationOptions = Awaited<ReturnType<typeof generateRegistrationOptions>>;

async function userHandle({ pool }: AuthParts, accountId: string): Promise<string> {
  const { rows } = await poolNamed(pool, `select webauthn_user_id from auth_account where id = $1`, [accountId]);
  return rows[0]?.[0] ?? '';
}

/** @throws Refusal `session`, `step-up`, `forbidden` (too many) */
export async function beginPasskey(parts: AuthParts, { account, session }: Person): Promise<Ceremony<CreationOptions>> {
  await demandForFactors(parts, account, session);
  const existing = await keysOf(parts, account.id);
  if (existing.length >= MOST) throw refuse('forbidden');
  const options = await (
    await webauthn()
  ).generateRegistrationOptions({
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
  const { registrationInfo } = await (
    await webauthn()
  )
    .verifyRegistrationResponse({
      response,
      expectedChallenge,
      expectedOrigin: origin,
      expectedRPID: id,
      requireUserVerification: false,
      supportedAlgorithmIDs: ALGORITHMS,
    })
    .catch(() => ({ registrationInfo: undefined }));
  if (!registrationInfo) throw refuse('passkey');
  const { credential, userVerified, credentialBackedUp } = registrationInfo;
  const isFirst = !hasFactor(await factorsOf(parts, account.id));
  const recoveryCodes = await inTransaction(parts.pool, async (run) => {
    const { rowCount } = await run(
      `insert into auth_passkey (id, account_id, public_key, counter, transports, label_sealed, user_verified, backed_up, created_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, to_timestamp($9)) on conflict (id) do nothing`,
      [
        credential.id,
        account.id,
        Buffer.from(credential.publicKey),
        credential.counter,
        (credential.transports ?? []).filter((t) => /^[a-z-]{1,20}$/.test(t)),
        parts.keys.seal(LABEL, credential.id, labelOf(input.label)),
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

export interface Passkey {
  readonly id: string;
  readonly label: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly lastUsedAt: number | undefined;
  /** It exists on several devices of its owner. */
  readonly synced: boolean;
}

export async function listPasskeys(
  { pool, keys }: Pick<AuthParts, 'pool' | 'keys'>,
  accountId: string,
): Promise<readonly Passkey[]> {
  const { rows } = await poolNamed(
    pool,
    `select id, label_sealed, extract(epoch from created_at) * 1000, extract(epoch from last_used_at) * 1000, backed_up
     from auth_passkey where account_id = $1 order by created_at, id`,
    [accountId],
  );
  return rows.map(([id, label, created, used, backedUp]) => ({
    id: id ?? '',
    label: keys.open(LABEL, id ?? '', label ?? ''),
    createdAt: Math.round(Number(created)),
    lastUsedAt: typeof used === 'string' ? Math.round(Number(used)) : undefined,
    synced: backedUp === 't',
  }));
}

/** @throws Refusal `session`, `step-up`, `last` when nobody could sign in any more, or the role demands a factor */
export async function removePasskey(parts: AuthParts, { account, session }: Person, id: string): Promise<void> {
  await demandForFactors(parts, account, session);
  if (!isRowId(id)) return;
  await inTransaction(parts.pool, async (run) => {
    const now = (await lockAccount(run, parts, account.id)) ?? account;
    const { totp, passkeys } = await factorsIn(run, account.id);
    if (passkeys <= 1 && !totp && needsFactor(parts, now)) throw refuse('last');
    await demandWayIn(run, account.id, { passkey: id });
    const { rowCount } = await run(`delete from auth_passkey where id = $1 and account_id = $2`, [id, account.id]);
    if (rowCount === 0) return;
    if (!totp && passkeys <= 1) await dropCodes(run, account.id);
    await writeTo(parts, run, account, 'factor-removed', {
      factor: 'passkey',
      account: `${parts.publicUrl}/account`,
    });
  });
}
