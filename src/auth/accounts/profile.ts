/** Which FHIR resources an account speaks for. */
import { grantAll } from '../../fhir/access.ts';
import { poolNamed } from '../../platform/database/pool.ts';
import { inTransaction, type Run } from '../../platform/database/transaction.ts';
import { writeTo } from '../mail/mail.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { accountById, type Account, type Role } from './account.ts';
import { demandActor, nameOf, type Actor } from './actor.ts';
import { addProfile } from './create.ts';

const REFERENCE = /^(?:Patient|Practitioner|RelatedPerson)\/[A-Za-z0-9.-]{1,64}$/;

/** Who may say that an account speaks for a patient, or for somebody who cares for one. */
const CLINIC: readonly Role[] = ['staff', 'physician', 'admin'];

/** Who may say it of this resource. */
export const linkersOf = (reference: string): readonly Role[] =>
  reference.startsWith('Practitioner/') ? ['admin'] : CLINIC;

/** @throws Refusal `profile` unless these resources exist */
export async function demandProfiles({ engine }: AuthParts, references: readonly string[]): Promise<void> {
  if (!references.every((r) => REFERENCE.test(r))) throw refuse('profile');
  const access = grantAll({ kind: 'system', name: 'accounts' });
  const existing = await engine.repository.existing(references, access.to('refer'));
  if (!references.every((r) => existing.has(r))) throw refuse('profile');
}

/** @throws Refusal `forbidden` unless the actor may link accounts to it; `profile` when it does not exist */
export async function demandLinker(parts: AuthParts, actor: Actor, reference: string): Promise<void> {
  await demandActor(parts, actor, linkersOf(reference));
  await demandProfiles(parts, [reference]);
}

/** Links an account, and tells its owner. */
export async function addLink(
  run: Run,
  parts: AuthParts,
  account: Account,
  reference: string,
  by: string,
): Promise<void> {
  await addProfile(run, account.id, reference, by);
  if (!reference.startsWith('Practitioner/')) {
    await run(
      `update auth_account set roles = array_append(roles, 'patient') where id = $1 and not 'patient' = any(roles)`,
      [account.id],
    );
  }
  await writeTo(parts, run, account, 'profile-linked', { account: `${parts.publicUrl}/account/people` });
}

/** @throws Refusal `forbidden`, `session`, `step-up`, `profile` */
export async function linkProfile(parts: AuthParts, actor: Actor, accountId: string, reference: string): Promise<void> {
  await demandLinker(parts, actor, reference);
  const account = await accountById(parts, accountId);
  if (!account) throw refuse('profile');
  await inTransaction(parts.pool, (run) => addLink(run, parts, account, reference, nameOf(actor)));
}

/** @throws Refusal `forbidden`, `session`, `step-up` */
export async function unlinkProfile(
  parts: AuthParts,
  actor: Actor,
  accountId: string,
  reference: string,
): Promise<void> {
  await demandActor(parts, actor, linkersOf(reference));
  if (!REFERENCE.test(reference)) return;
  await poolNamed(parts.pool, `delete from auth_profile where account_id = $1 and reference = $2`, [
    accountId,
    reference,
  ]);
}
