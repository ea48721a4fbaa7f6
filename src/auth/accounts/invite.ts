/** Staff and physicians come by invitation, with their roles and the Practitioner that they are. */
import { poolNamed } from '../../platform/database/pool.ts';
import { inTransaction, type Run } from '../../platform/database/transaction.ts';
import { secretHash } from '../../platform/keys.ts';
import { sendMail, writeTo } from '../mail/mail.ts';
import { demandMfa } from '../mfa/policy.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { endEverything } from '../session/end.ts';
import {
  accountByEmail,
  accountById,
  isRole,
  isStaffKind,
  type Account,
  type Role,
  type StaffKind,
} from './account.ts';
import { demandActor, demandIssuer, nameOf, type Actor, type Person } from './actor.ts';
import type { Browser } from './browser.ts';
import { addProfile, createAccount, demandName, localeOf } from './create.ts';
import { normaliseEmail } from './email.ts';
import { demandGoodPassword } from './password-rules.ts';
import { demandProfiles } from './profile.ts';
import { beginSession, type SignedIn } from './signed-in.ts';
import { issueTicket, peekTicket, takeTicket, type Ticket } from './ticket.ts';

const SECONDS = 7 * 86_400;
const INVITERS: readonly Role[] = ['admin'];

export interface Invitation {
  readonly email: string;
  readonly roles: readonly Role[];
  readonly staffKinds: readonly StaffKind[];
  /** `Practitioner/1`; a physician must have one. */
  readonly practitioner?: string | undefined;
  readonly locale: string;
}

/** @throws Refusal `roles` unless they go together; `practitioner` when a physician is none */
export function demandRoles({ roles, staffKinds, profiles }: Pick<Account, 'roles' | 'staffKinds' | 'profiles'>): void {
  const isStaff = roles.includes('staff');
  if (roles.length === 0 || (staffKinds.length > 0 && !isStaff)) throw refuse('roles');
  if (roles.includes('physician') && !profiles.some((p) => p.startsWith('Practitioner/'))) throw refuse('practitioner');
}

/**
 * Mails the link. Administrators are invited by the operator only.
 * @returns the link, for whoever hands it over instead
 * @throws Refusal `forbidden`, `session`, `step-up`, `email`, `roles`, `practitioner`, `profile`
 */
export async function invite(parts: AuthParts, actor: Actor, invitation: Invitation): Promise<string> {
  await demandActor(parts, actor, INVITERS);
  const { roles, staffKinds, practitioner } = invitation;
  if (roles.includes('admin') && actor !== 'operator') throw refuse('forbidden');
  const email = normaliseEmail(invitation.email);
  if (email === undefined) throw refuse('email');
  const profiles = practitioner === undefined ? [] : [practitioner];
  demandRoles({ roles, staffKinds, profiles });
  if (!profiles.every((p) => p.startsWith('Practitioner/'))) throw refuse('profile');
  await demandProfiles(parts, profiles);
  const locale = localeOf(invitation.locale);
  const payload = { email, roles, staffKinds, profiles, locale, by: nameOf(actor) };
  return inTransaction(parts.pool, async (run) => {
    const ticket = await issueTicket(run, parts, { kind: 'invitation', payload, seconds: SECONDS });
    const link = `${parts.publicUrl}/invitation?ticket=${ticket}`;
    await sendMail(parts, run, { kind: 'invitation', to: email, locale, values: { link } });
    return link;
  });
}

/** An invitation as it was written down. */
export interface OpenInvitation {
  readonly email: string;
  readonly roles: readonly Role[];
  readonly staffKinds: readonly StaffKind[];
  readonly profiles: readonly string[];
  readonly locale: string;
  readonly by: string;
  /** There is an account already: its owner signs in to accept. */
  readonly hasAccount: boolean;
}

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

export function invitationIn({ payload }: Pick<Ticket, 'payload'>): Omit<OpenInvitation, 'hasAccount'> {
  const { email, locale, by } = payload;
  return {
    email: typeof email === 'string' ? email : '',
    roles: list(payload['roles']).filter(isRole),
    staffKinds: list(payload['staffKinds']).filter(isStaffKind),
    profiles: list(payload['profiles']).filter((p) => typeof p === 'string'),
    locale: typeof locale === 'string' ? locale : 'en',
    by: typeof by === 'string' ? by : '',
  };
}

/** What a link invites to. @throws Refusal `ticket`, also when who invited may no longer */
export async function openInvitation(parts: AuthParts, secret: string): Promise<OpenInvitation> {
  const ticket = await peekTicket(parts, ['invitation'], secret);
  if (!ticket) throw refuse('ticket');
  const invitation = invitationIn(ticket);
  await demandIssuer((text, values) => poolNamed(parts.pool, text, values), invitation.by, INVITERS);
  return { ...invitation, hasAccount: (await accountByEmail(parts, invitation.email)) !== undefined };
}

/** Uses an invitation up. @throws Refusal `ticket` */
export async function takeInvitation(run: Run, parts: AuthParts, secret: string): Promise<void> {
  const { by } = invitationIn(await takeTicket(run, parts, 'invitation', secretHash(secret)));
  await demandIssuer(run, by, INVITERS);
}

/**
 * For who has no account yet. An account that exists is never touched by a link alone.
 * @throws Refusal `ticket`, `name`, `password-…`, `taken`, `busy`
 */
export async function acceptInvitation(
  parts: AuthParts,
  input: Browser & { readonly ticket: string; readonly name: string; readonly password: string },
): Promise<SignedIn> {
  const invitation = await openInvitation(parts, input.ticket);
  const name = demandName(input.name);
  if (invitation.hasAccount) throw refuse('taken');
  await demandGoodPassword(input.password, { email: invitation.email, name });
  const passwordHash = await parts.passwords.hash(input.password);
  const id = await inTransaction(parts.pool, async (run) => {
    await takeInvitation(run, parts, input.ticket);
    const created = await createAccount(run, parts, { ...invitation, name, passwordHash });
    if (created === undefined) throw refuse('taken');
    return created;
  });
  const account = await accountById(parts, id);
  if (!account) throw refuse('ticket');
  return beginSession(parts, account, ['pwd'], input);
}

/**
 * For who is signed in with the address that was invited. All their sessions end, and what apps were granted: the new rights begin with a new sign-in.
 * @throws Refusal `session`, `ticket`, `forbidden` (another address was invited)
 */
export async function acceptInvitationAs(
  parts: AuthParts,
  { account, session }: Person,
  secret: string,
): Promise<void> {
  await demandMfa(parts, account, session);
  const invitation = await openInvitation(parts, secret);
  if (invitation.email !== account.email) throw refuse('forbidden');
  await inTransaction(parts.pool, async (run) => {
    await takeInvitation(run, parts, secret);
    await run(
      `update auth_account set roles = array(select distinct unnest(roles || $2::text[])), staff_kinds = array(select distinct unnest(staff_kinds || $3::text[]))
       where id = $1`,
      [account.id, invitation.roles, invitation.staffKinds],
    );
    for (const reference of invitation.profiles) await addProfile(run, account.id, reference, invitation.by);
    await endEverything(run, parts, account.id);
    await writeTo(parts, run, account, 'roles-changed', {});
  });
}
