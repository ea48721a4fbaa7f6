/** Hands letters to the mail server. A crash between its "yes" and our note sends one twice, with the same Message-ID. @see https://www.rfc-editor.org/rfc/rfc5322#section-3.6.4 */
import { poolNamed } from '../../platform/database/pool.ts';
import type { AuthParts } from '../parts.ts';
import { mailById } from './mail.ts';

type Parts = AuthParts;

/** Longer than all time limits of one delivery together. */
const LEASE_SECONDS = 120;
const ATTEMPTS = 12;
/** Links in older letters no longer work. */
const OLDEST_HOURS = 24;

/** The refusal of a mail server, without the address that it repeats. */
export class DeliveryError extends Error {
  /** It will not be taken later either. */
  readonly permanent: boolean;

  constructor(code: string, permanent: boolean) {
    super(`The mail server did not take a letter (${code})`);
    this.name = 'DeliveryError';
    this.permanent = permanent;
  }
}

function toDeliveryError(error: unknown): DeliveryError {
  const { code, responseCode } = error as { code?: unknown; responseCode?: unknown };
  const status = typeof responseCode === 'number' ? responseCode : 0;
  return new DeliveryError(
    status > 0 ? String(status) : typeof code === 'string' ? code : 'unknown',
    status >= 500 && status < 600 && code === 'EENVELOPE',
  );
}

async function hand(parts: Parts, smtpUrl: string, id: string): Promise<void> {
  const mail = await mailById(parts, id);
  if (!mail) return;
  const { createTransport } = await import('nodemailer');
  const transport = createTransport({
    url: smtpUrl,
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 30_000,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  try {
    await transport.sendMail({
      from: parts.settings.mailFrom,
      to: { name: '', address: mail.to },
      subject: mail.subject,
      text: mail.text,
      html: mail.html,
      messageId: `<${id}@${new URL(parts.publicUrl).hostname}>`,
      date: new Date(mail.createdAt),
      headers: { 'Auto-Submitted': 'auto-generated' },
    });
  } catch (error) {
    throw toDeliveryError(error);
  } finally {
    transport.close();
  }
}

/**
 * Delivers one letter unless it is delivered, or in somebody else's hands.
 * @returns `taken`: another process has it, or had it and died
 * @throws DeliveryError
 */
export async function deliverMail(parts: Parts, id: string): Promise<'sent' | 'done' | 'taken' | 'kept'> {
  const { smtpUrl } = parts.settings;
  if (smtpUrl === undefined) return 'kept';
  const claimed = await poolNamed(
    parts.pool,
    `update mail_message set attempts = attempts + 1, leased_until = now() + make_interval(secs => $2)
     where id = $1 and sent_at is null and attempts < $3 and (leased_until is null or leased_until < now())`,
    [id, LEASE_SECONDS, ATTEMPTS],
  );
  if (claimed.rowCount === 0) {
    const { rows } = await poolNamed(
      parts.pool,
      `select 1 from mail_message where id = $1 and sent_at is null and attempts < $2`,
      [id, ATTEMPTS],
    );
    return rows.length > 0 ? 'taken' : 'done';
  }
  try {
    await hand(parts, smtpUrl, id);
  } catch (error) {
    const permanent = error instanceof DeliveryError && error.permanent;
    await poolNamed(
      parts.pool,
      `update mail_message set leased_until = null, attempts = case when $2 then $3 else attempts end where id = $1`,
      [id, permanent, ATTEMPTS],
    );
    throw error;
  }
  await poolNamed(parts.pool, `update mail_message set sent_at = now(), leased_until = null where id = $1`, [id]);
  return 'sent';
}

/** Letters that wait although their time has come: their jobs were lost. */
export async function waitingMail({ pool, settings }: Parts): Promise<readonly string[]> {
  if (settings.smtpUrl === undefined) return [];
  const { rows } = await poolNamed(
    pool,
    `select id from mail_message
     where sent_at is null and attempts < $1 and created_at between now() - make_interval(hours => $2) and now() - interval '1 minute'
       and (leased_until is null or leased_until < now())
     order by created_at limit 100`,
    [ATTEMPTS, OLDEST_HOURS],
  );
  return rows.map(([id]) => id ?? '');
}

/** @returns how many letters were forgotten */
export async function sweepMail({ pool }: Pick<AuthParts, 'pool'>, days: number): Promise<number> {
  return (
    await poolNamed(pool, `delete from mail_message where created_at < now() - make_interval(days => $1)`, [days])
  ).rowCount;
}
