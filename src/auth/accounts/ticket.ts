/** Single-use secrets that are mailed or handed over: they prove an address, or carry an invitation. */
import { poolNamed } from '../../platform/database/pool.ts';
import type { Run } from '../../platform/database/transaction.ts';
import { newSecret, secretHash } from '../../platform/keys.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';

/** `none`: nobody was written to; it only takes the time that the others take. */
export type TicketKind = 'registration' | 'invitation' | 'reset' | 'email' | 'patient-code' | 'none';

export type TicketPayload = Readonly<Record<string, unknown>>;

export interface Ticket {
  readonly kind: TicketKind;
  readonly accountId: string | undefined;
  readonly payload: TicketPayload;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface NewTicket {
  readonly kind: TicketKind;
  readonly accountId?: string;
  readonly payload?: TicketPayload;
  readonly seconds: number;
  /** Stands for the secret where people type it; undefined: one is made. */
  readonly hash?: string;
}

const PURPOSE = 'auth_ticket.payload_sealed';

/** @returns the secret; empty when the caller gave its hash. An older ticket of the kind for the same account is worth nothing from now on, but for resets: anybody may ask for one. */
export async function issueTicket(run: Run, parts: AuthParts, ticket: NewTicket): Promise<string> {
  const secret = ticket.hash === undefined ? newSecret() : '';
  const hash = ticket.hash ?? secretHash(secret);
  const now = parts.clock.now() / 1000;
  if (ticket.accountId !== undefined && ticket.kind !== 'reset') {
    await run(
      `update auth_ticket set used_at = to_timestamp($3) where account_id = $1 and kind = $2 and used_at is null`,
      [ticket.accountId, ticket.kind, now],
    );
  }
  await run(
    `insert into auth_ticket (hash, kind, account_id, payload_sealed, expires_at, created_at)
     values ($1, $2, $3, $4, to_timestamp($5) + make_interval(secs => $6), to_timestamp($5))`,
    [
      hash,
      ticket.kind,
      ticket.accountId ?? null,
      parts.keys.seal(PURPOSE, hash, JSON.stringify(ticket.payload ?? {})),
      now,
      ticket.seconds,
    ],
  );
  return secret;
}

const KINDS: readonly TicketKind[] = ['registration', 'invitation', 'reset', 'email', 'patient-code', 'none'];

function toTicket(parts: AuthParts, hash: string, row: readonly (string | null)[] | undefined): Ticket | undefined {
  const kind = KINDS.find((k) => k === row?.[0]);
  if (!row || kind === undefined) return undefined;
  return {
    kind,
    accountId: row[1] ?? undefined,
    payload: JSON.parse(parts.keys.open(PURPOSE, hash, row[2] ?? '')) as TicketPayload,
    expiresAt: Math.round(Number(row[3]) * 1000),
  };
}

const COLUMNS = 'kind, account_id, payload_sealed, extract(epoch from expires_at)';

export interface OpenTicket extends Ticket {
  /** Of its row: it does not open what the secret opens. */
  readonly id: string;
}

/** A page of invitations and codes that nobody has used, the newest first. @param before id of the last one of the page before */
export async function openTickets(parts: AuthParts, count: number, before?: string): Promise<readonly OpenTicket[]> {
  const { rows } = await poolNamed(
    parts.pool,
    `select ${COLUMNS}, hash from auth_ticket
     where kind in ('invitation', 'patient-code') and used_at is null and expires_at > to_timestamp($1)
       and ($2::text is null or (created_at, hash) < (select created_at, hash from auth_ticket where hash = $2))
     order by created_at desc, hash desc limit $3`,
    [parts.clock.now() / 1000, before ?? null, count],
  );
  return rows.flatMap((row) => {
    const id = row[4] ?? '';
    const ticket = toTicket(parts, id, row);
    return ticket ? [{ ...ticket, id }] : [];
  });
}

/** @returns whether it was an invitation or a code that nobody had used */
export async function cancelTicket(parts: AuthParts, id: string): Promise<boolean> {
  const { rowCount } = await poolNamed(
    parts.pool,
    `update auth_ticket set used_at = to_timestamp($2) where hash = $1 and kind in ('invitation', 'patient-code') and used_at is null`,
    [id, parts.clock.now() / 1000],
  );
  return rowCount > 0;
}

/** What a link would do, for the page that asks before it is done. undefined: unknown, used or too old. */
export async function peekTicket(
  parts: AuthParts,
  kinds: readonly TicketKind[],
  secret: string,
): Promise<Ticket | undefined> {
  const hash = secretHash(secret);
  const { rows } = await poolNamed(
    parts.pool,
    `select ${COLUMNS} from auth_ticket where hash = $1 and kind = any($2) and used_at is null and expires_at > to_timestamp($3)`,
    [hash, kinds, parts.clock.now() / 1000],
  );
  return toTicket(parts, hash, rows[0]);
}

/** Uses a ticket up. @param hash of the secret @throws Refusal `ticket` when it is unknown, used or too old */
export async function takeTicket(run: Run, parts: AuthParts, kind: TicketKind, hash: string): Promise<Ticket> {
  const { rows } = await run(
    `update auth_ticket set used_at = to_timestamp($3) where hash = $1 and kind = $2 and used_at is null and expires_at > to_timestamp($3)
     returning ${COLUMNS}`,
    [hash, kind, parts.clock.now() / 1000],
  );
  const ticket = toTicket(parts, hash, rows[0]);
  if (!ticket) throw refuse('ticket');
  return ticket;
}
