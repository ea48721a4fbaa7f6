/**
 * Launch handles: an EHR page opens an app with one, the app's authorization request gives it back once, and the context behind it becomes
 * that of the app. @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch
 */
import { poolNamed } from '../../platform/database/pool.ts';
import { newSecret, secretHash } from '../../platform/keys.ts';
import type { AuthParts } from '../parts.ts';
import { LAUNCH_SECONDS } from '../provider/lifetimes.ts';

export interface LaunchContext {
  /** Id or `Patient/id`. */
  readonly patient?: string;
  /** Id or `Encounter/id`. */
  readonly encounter?: string;
  readonly fhirContext?: readonly FhirContext[];
  readonly intent?: string;
  readonly needPatientBanner?: boolean;
}

/** @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#fhircontext-exp */
export interface FhirContext {
  readonly reference: string;
  readonly role?: string;
}

/** For whom and what a handle was made. */
export interface Launch {
  readonly clientId: string;
  readonly accountId: string;
  readonly context: LaunchContext;
}

/** Good once, for five minutes, for this app and this person. */
export async function mintLaunch({ pool }: Pick<AuthParts, 'pool'>, launch: Launch): Promise<string> {
  const handle = newSecret();
  await poolNamed(
    pool,
    `insert into auth_launch (hash, client_id, account_id, context, expires_at) values ($1, $2, $3, $4, now() + make_interval(secs => $5))`,
    [secretHash(handle), launch.clientId, launch.accountId, JSON.stringify(launch.context), LAUNCH_SECONDS],
  );
  return handle;
}

/** Uses a handle up. @returns false when it is unknown, another app's, too old or used */
export async function consumeLaunch(
  { pool }: Pick<AuthParts, 'pool'>,
  handle: string,
  clientId: string,
): Promise<boolean> {
  const { rowCount } = await poolNamed(
    pool,
    `update auth_launch set used_at = now() where hash = $1 and client_id = $2 and used_at is null and expires_at > now()`,
    [secretHash(handle), clientId],
  );
  return rowCount === 1;
}

/** The encounter that a handle brings, used or not. */
export async function launchEncounter(
  { pool }: Pick<AuthParts, 'pool'>,
  handle: string,
  clientId: string,
): Promise<string | undefined> {
  const { rows } = await poolNamed(
    pool,
    `select context ->> 'encounter' from auth_launch where hash = $1 and client_id = $2`,
    [secretHash(handle), clientId],
  );
  return rows[0]?.[0] ?? undefined;
}

/** What a handle that was used up stands for, as long as it is kept. */
export async function usedLaunch(
  { pool }: Pick<AuthParts, 'pool'>,
  handle: string,
  clientId: string,
): Promise<Launch | undefined> {
  const { rows } = await poolNamed(
    pool,
    `select account_id, context from auth_launch where hash = $1 and client_id = $2 and used_at is not null`,
    [secretHash(handle), clientId],
  );
  const [row] = rows;
  if (!row) return undefined;
  return { clientId, accountId: row[0] ?? '', context: JSON.parse(row[1] ?? '{}') as LaunchContext };
}
