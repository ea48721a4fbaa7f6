/** Invitations and patient codes that nobody has used yet: administrators see them, and take them back. */
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { isRowId, type Role, type StaffKind } from './account.ts';
import { demandActor, type Actor } from './actor.ts';
import { normaliseEmail } from './email.ts';
import { invitationIn } from './invite.ts';
import { cancelTicket, openTickets, type OpenTicket } from './ticket.ts';

interface Shared {
  readonly id: string;
  /** Who handed it out: id of an account, or `operator`. */
  readonly by: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export type HandedOut =
  | (Shared & {
      readonly kind: 'invitation';
      readonly email: string;
      readonly roles: readonly Role[];
      readonly staffKinds: readonly StaffKind[];
    })
  | (Shared & { readonly kind: 'patient-code'; readonly reference: string });

function toHandedOut({ id, kind, payload, expiresAt }: OpenTicket): HandedOut {
  const { email, roles, staffKinds, by } = invitationIn({ payload });
  if (kind === 'invitation') return { id, kind, email, roles, staffKinds, by, expiresAt };
  const { reference } = payload;
  return { id, kind: 'patient-code', reference: typeof reference === 'string' ? reference : '', by, expiresAt };
}

/** A page of them, the newest first. @param before id of the last one of the page before */
export async function listHandedOut(parts: AuthParts, before?: string, count = 100): Promise<readonly HandedOut[]> {
  return (await openTickets(parts, count, before)).map(toHandedOut);
}

/** Whoever has it cannot use it any more. @throws Refusal `forbidden`, `session`, `step-up`, `ticket` (used meanwhile) */
export async function withdraw(parts: AuthParts, actor: Actor, id: string): Promise<void> {
  await demandActor(parts, actor, ['admin']);
  if (!isRowId(id) || !(await cancelTicket(parts, id))) throw refuse('ticket');
}

/** All that was sent to an address, or made for a record. @param whose address or `Patient/1` @returns how many */
export async function withdrawAll(parts: AuthParts, actor: Actor, whose: string): Promise<number> {
  const email = normaliseEmail(whose);
  let count = 0;
  for (let before: string | undefined, page; (page = await listHandedOut(parts, before)).length > 0;) {
    before = page.at(-1)?.id;
    for (const one of page) {
      if (one.kind === 'invitation' ? one.email !== email : one.reference !== whose) continue;
      await withdraw(parts, actor, one.id);
      count++;
    }
  }
  return count;
}
