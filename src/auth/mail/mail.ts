/** Letters to people: written in the transaction of what they tell, sent by the job `send-mail`. */
import { poolNamed } from '../../platform/database/pool.ts';
import type { Run } from '../../platform/database/transaction.ts';
import { newId } from '../../platform/id.ts';
import { isRowId, type Account } from '../accounts/account.ts';
import type { AuthParts } from '../parts.ts';
import {
  renderLetter,
  type Letter,
  type LetterKind,
  type LetterTexts,
  type LetterValues,
  type Rendered,
} from './letter.ts';
import { en } from './texts/en.ts';
import { es } from './texts/es.ts';

const LANGUAGES: Readonly<Record<string, LetterTexts>> = { en, es };

export interface Mail<K extends LetterKind> {
  readonly kind: K;
  /** Normalised address. */
  readonly to: string;
  readonly name?: string;
  /** BCP 47; English when there are no letters in it. */
  readonly locale: string;
  readonly values: LetterValues[K];
}

type Parts = Pick<AuthParts, 'keys' | 'clock'>;

/** @param run statement of a transaction: the letter goes out if it is committed */
export async function sendMail<K extends LetterKind>({ keys, clock }: Parts, run: Run, mail: Mail<K>): Promise<void> {
  const language = mail.locale.slice(0, 2).toLowerCase();
  const code = language in LANGUAGES ? language : 'en';
  const texts = LANGUAGES[code] ?? en;
  const letter: Letter = texts.letters[mail.kind](mail.values);
  const id = newId(clock.now());
  const content: Rendered = renderLetter(code, texts, letter, mail.name);
  await run(
    `insert into mail_message (id, kind, to_sealed, content_sealed, created_at) values ($1, $2, $3, $4, to_timestamp($5))`,
    [
      id,
      mail.kind,
      keys.seal('mail_message.to_sealed', id, mail.to),
      keys.seal('mail_message.content_sealed', id, JSON.stringify(content)),
      clock.now() / 1000,
    ],
  );
  await run(`insert into outbox (topic, payload) values ('send-mail', $1)`, [JSON.stringify({ id })]);
}

/** A letter to the owner of an account. */
export const writeTo = <K extends LetterKind>(
  parts: Parts,
  run: Run,
  { email, name, locale }: Pick<Account, 'email' | 'name' | 'locale'>,
  kind: K,
  values: LetterValues[K],
): Promise<void> => sendMail(parts, run, { kind, to: email, name, locale, values });

/** A letter as it was written. */
export interface StoredMail extends Rendered {
  readonly id: string;
  readonly kind: string;
  readonly to: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly sent: boolean;
}

function toMail({ keys }: Pick<AuthParts, 'keys'>, row: readonly (string | null)[]): StoredMail {
  const id = row[0] ?? '';
  return {
    id,
    kind: row[1] ?? '',
    to: keys.open('mail_message.to_sealed', id, row[2] ?? ''),
    ...(JSON.parse(keys.open('mail_message.content_sealed', id, row[3] ?? '')) as Rendered),
    createdAt: Math.round(Number(row[4]) * 1000),
    sent: row[5] === 't',
  };
}

const COLUMNS = 'id, kind, to_sealed, content_sealed, extract(epoch from created_at), sent_at is not null';

/** The newest letters first: for the mailbox page of a demo. */
export async function newestMail(parts: AuthParts, count = 50): Promise<readonly StoredMail[]> {
  const { rows } = await poolNamed(
    parts.pool,
    `select ${COLUMNS} from mail_message order by created_at desc, id desc limit $1`,
    [count],
  );
  return rows.map((row) => toMail(parts, row));
}

export async function mailById(parts: AuthParts, id: string): Promise<StoredMail | undefined> {
  if (!isRowId(id)) return undefined;
  const { rows } = await poolNamed(parts.pool, `select ${COLUMNS} from mail_message where id = $1`, [id]);
  return rows[0] && toMail(parts, rows[0]);
}
