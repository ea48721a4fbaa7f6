/** Invitation codes: staff hand one to a patient, who types it once to connect the account with the record. */
import { randomBytes } from 'node:crypto';
import { inTransaction } from '../../platform/database/transaction.ts';
import { spendGuess } from '../attempts.ts';
import { demandMfa } from '../mfa/policy.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { knownDevice } from '../session/known-device.ts';
import { demandIssuer, nameOf, type Actor, type Person } from './actor.ts';
import type { Browser } from './browser.ts';
import { readableCode, typedCode } from './code.ts';
import { addLink, demandLinker, linkersOf } from './profile.ts';
import { issueTicket, takeTicket } from './ticket.ts';

const DAYS = 14;
const SECONDS = DAYS * 86_400;
const BYTES = 10;

/** 80 bits are for typing, not for storing under a hash that can be tried offline: the tag needs the key. */
const tagOf = ({ keys }: AuthParts, code: string): string => `code-${keys.tag('auth_ticket.code', code)}`;

export interface PatientCode {
  /** `AB3D-…`: shown once. */
  readonly code: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/**
 * @param reference `Patient/1`, or `RelatedPerson/1` for who cares for one
 * @throws Refusal `forbidden`, `session`, `step-up`, `profile`
 */
export async function createPatientCode(parts: AuthParts, actor: Actor, reference: string): Promise<PatientCode> {
  if (reference.startsWith('Practitioner/')) throw refuse('profile');
  await demandLinker(parts, actor, reference);
  const code = readableCode(randomBytes(BYTES));
  await inTransaction(parts.pool, (run) =>
    issueTicket(run, parts, {
      kind: 'patient-code',
      payload: { reference, by: nameOf(actor) },
      seconds: SECONDS,
      hash: tagOf(parts, typedCode(code)),
    }),
  );
  return { code, expiresAt: parts.clock.now() + SECONDS * 1000 };
}

/** @returns what the account now speaks for @throws Refusal `session`, `limited`, `ticket` */
export async function redeemPatientCode(
  parts: AuthParts,
  { person, code, ...browser }: Browser & { readonly person: Person; readonly code: string },
): Promise<string> {
  const { account, session } = person;
  await demandMfa(parts, account, session);
  const device = await knownDevice(parts, account.id, browser.cookieHeader);
  const spent = await spendGuess(parts, 'patient code', account.id, { source: browser.source, device });
  const linked = await inTransaction(parts.pool, async (run) => {
    const { payload } = await takeTicket(run, parts, 'patient-code', tagOf(parts, typedCode(code)));
    const { reference, by } = payload;
    if (typeof reference !== 'string') throw refuse('ticket');
    await demandIssuer(run, by, linkersOf(reference));
    await addLink(run, parts, account, reference, typeof by === 'string' ? by : 'code');
    return reference;
  });
  await spent.refund();
  return linked;
}
