/** How long a session lives, by the roles of its account. @see docs/accounts.md */
import type { Account } from '../accounts/account.ts';

export interface Limits {
  readonly idleSeconds: number;
  readonly absoluteSeconds: number;
}

const MINUTE = 60;
const HOUR = 3_600;
const PATIENT: Limits = { idleSeconds: 30 * MINUTE, absoluteSeconds: 24 * HOUR };
const WORKS_HERE: Limits = { idleSeconds: 15 * MINUTE, absoluteSeconds: 12 * HOUR };

/** Between the first and the second factor. */
export const HALF_WAY_SECONDS = 10 * MINUTE;
/** How long a proof of identity stands for the sensitive acts. */
export const STEP_UP_SECONDS = 10 * MINUTE;

/** The shortest limits of all roles. */
export const limitsOf = ({ roles }: Pick<Account, 'roles'>): Limits =>
  roles.every((r) => r === 'patient') ? PATIENT : WORKS_HERE;
