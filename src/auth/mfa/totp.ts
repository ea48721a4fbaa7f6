/** Codes of an authenticator app. @see https://www.rfc-editor.org/rfc/rfc6238 */
import { Secret, TOTP } from 'otpauth';
import { toString as drawQr } from 'qrcode';
import { poolNamed } from '../../platform/database/pool.ts';
import { inTransaction } from '../../platform/database/transaction.ts';
import { lockAccount } from '../accounts/account.ts';
import type { Person } from '../accounts/actor.ts';
import type { Browser } from '../accounts/browser.ts';
import { raiseSession, type SignedIn } from '../accounts/signed-in.ts';
import { spendGuess } from '../attempts.ts';
import { writeTo } from '../mail/mail.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { peekFlow, putFlow, takeFlow } from '../session/flow.ts';
import { factorsIn, factorsOf, hasFactor } from './factors.ts';
import { demandForFactors, needsFactor } from './policy.ts';
import { dropCodes, replaceCodes } from './recovery.ts';

const PERIOD_SECONDS = 30;
const DIGITS = 6;
/** 160 bits, as long as the digest. */
const SECRET_BYTES = 20;
const FLOW = 'totp';
const FLOW_SECONDS = 15 * 60;
const PURPOSE = 'auth_totp.secret_sealed';

const totpOf = (secret: string, label = ''): TOTP =>
  new TOTP({
    issuer: 'Kairos',
    label,
    algorithm: 'SHA1',
    digits: DIGITS,
    period: PERIOD_SECONDS,
    secret: Secret.fromBase32(secret),
  });

/** The step that a code belongs to: this one, or a neighbour for clocks that differ; undefined: it is none of theirs. */
function stepOf({ clock }: Pick<AuthParts, 'clock'>, secret: string, typed: string): number | undefined {
  const token = typed.slice(0, 50).normalize('NFKC').replace(/\s/g, '');
  if (!/^[0-9]{6}$/.test(token)) return undefined;
  const timestamp = clock.now();
  const delta = totpOf(secret).validate({ token, timestamp, window: 1 });
  return delta === null ? undefined : Math.floor(timestamp / 1000 / PERIOD_SECONDS) + delta;
}

export interface NewTotp {
  /** Brings the secret back when the code comes. */
  readonly flow: string;
  /** For typing, in base32. */
  readonly secret: string;
  readonly uri: string;
  /** `<svg …>` of the URI. */
  readonly qr: string;
}

/** Begins to set an app up; nothing changes until its first code is shown. @throws Refusal `session`, `step-up` */
export async function beginTotp(parts: AuthParts, { account, session }: Person): Promise<NewTotp> {
  await demandForFactors(parts, account, session);
  const secret = new Secret({ size: SECRET_BYTES }).base32;
  const uri = totpOf(secret, account.email).toString();
  const flow = await putFlow(parts, FLOW, { accountId: account.id, secret }, FLOW_SECONDS);
  return { flow, secret, uri, qr: await drawQr(uri, { type: 'svg', margin: 2, errorCorrectionLevel: 'M' }) };
}

async function secretOfFlow(parts: AuthParts, flow: string, accountId: string): Promise<string> {
  const payload = await peekFlow(parts, FLOW, flow);
  const secret = payload?.['secret'];
  if (payload?.['accountId'] !== accountId || typeof secret !== 'string') throw refuse('ticket');
  return secret;
}

/** What is being set up, to show it again after a wrong code. @throws Refusal `session`, `step-up`, `ticket` */
export async function reopenTotp(parts: AuthParts, { account, session }: Person, flow: string): Promise<NewTotp> {
  await demandForFactors(parts, account, session);
  const secret = await secretOfFlow(parts, flow, account.id);
  const uri = totpOf(secret, account.email).toString();
  return { flow, secret, uri, qr: await drawQr(uri, { type: 'svg', margin: 2, errorCorrectionLevel: 'M' }) };
}

export interface Enrolled extends SignedIn {
  /** Of the first factor: to be shown once. */
  readonly recoveryCodes: readonly string[] | undefined;
}

/** Takes the app into use, in place of an earlier one. @throws Refusal `session`, `step-up`, `ticket`, `limited`, `code` */
export async function confirmTotp(
  parts: AuthParts,
  {
    person,
    flow,
    code,
    ...browser
  }: Browser & { readonly person: Person; readonly flow: string; readonly code: string },
): Promise<Enrolled> {
  const { account, session } = person;
  await demandForFactors(parts, account, session);
  const secret = await secretOfFlow(parts, flow, account.id);
  const spent = await spendGuess(parts, 'second factor', account.id, { source: browser.source });
  const step = stepOf(parts, secret, code);
  if (step === undefined) throw refuse('code');
  await spent.refund();
  if (!(await takeFlow(parts, FLOW, flow))) throw refuse('ticket');
  const isFirst = !hasFactor(await factorsOf(parts, account.id));
  const recoveryCodes = await inTransaction(parts.pool, async (run) => {
    const now = parts.clock.now() / 1000;
    await run(
      `insert into auth_totp (account_id, secret_sealed, last_step, confirmed_at, created_at) values ($1, $2, $3, to_timestamp($4), to_timestamp($4))
       on conflict (account_id) do update set secret_sealed = excluded.secret_sealed, last_step = excluded.last_step,
         confirmed_at = excluded.confirmed_at, created_at = excluded.created_at`,
      [account.id, parts.keys.seal(PURPOSE, account.id, secret), step, now],
    );
    await writeTo(parts, run, account, 'factor-added', { factor: 'totp', account: `${parts.publicUrl}/account` });
    return isFirst ? replaceCodes(run, account.id) : undefined;
  });
  return { ...(await raiseSession(parts, person, ['otp', 'mfa'], browser)), recoveryCodes };
}

/** @returns whether the code is right and was not used before, in any process: a step counts once */
export async function useTotp(parts: AuthParts, accountId: string, code: string): Promise<boolean> {
  const { rows } = await poolNamed(
    parts.pool,
    `select secret_sealed from auth_totp where account_id = $1 and confirmed_at is not null`,
    [accountId],
  );
  const sealed = rows[0]?.[0];
  if (sealed === null || sealed === undefined) return false;
  const step = stepOf(parts, parts.keys.open(PURPOSE, accountId, sealed), code);
  if (step === undefined) return false;
  const { rowCount } = await poolNamed(
    parts.pool,
    `update auth_totp set last_step = $2 where account_id = $1 and last_step < $2 and secret_sealed = $3`,
    [accountId, step, sealed],
  );
  return rowCount > 0;
}

/** @throws Refusal `session`, `step-up`, `last` when the role demands a factor and there is no other */
export async function removeTotp(parts: AuthParts, { account, session }: Person): Promise<void> {
  await demandForFactors(parts, account, session);
  await inTransaction(parts.pool, async (run) => {
    const now = await lockAccount(run, parts, account.id);
    const { passkeys } = await factorsIn(run, account.id);
    if (passkeys === 0 && needsFactor(parts, now ?? account)) throw refuse('last');
    const { rowCount } = await run(`delete from auth_totp where account_id = $1`, [account.id]);
    if (rowCount === 0) return;
    if (passkeys === 0) await dropCodes(run, account.id);
    await writeTo(parts, run, account, 'factor-removed', { factor: 'totp', account: `${parts.publicUrl}/account` });
  });
}
