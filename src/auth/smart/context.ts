/**
 * The context that a grant was given in: written at consent, told with every token of the grant.
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#launch-context-arrives-with-your-access_token
 */
import { poolNamed } from '../../platform/database/pool.ts';
import type { AuthParts } from '../parts.ts';
import type { FhirContext } from './launch.ts';

/** In the names of the token response; ids without their type. */
export interface SmartContext {
  readonly patient?: string;
  readonly encounter?: string;
  readonly fhirContext?: readonly FhirContext[];
  readonly intent?: string;
  readonly need_patient_banner?: boolean;
  readonly smart_style_url?: string;
  /** Absolute URL; told in introspection and the id_token, not beside the token. */
  readonly fhirUser?: string;
}

export interface GrantContext {
  readonly grantId: string;
  readonly accountId: string;
  readonly clientId: string;
  /** Ends with this session of our pages; undefined: `offline_access`. */
  readonly sessionUid: string | undefined;
  readonly context: SmartContext;
}

/** `Patient/1` → `1`. */
export const idOf = (reference: string): string => reference.slice(reference.lastIndexOf('/') + 1);

export async function writeContext({ pool }: Pick<AuthParts, 'pool'>, grant: GrantContext): Promise<void> {
  await poolNamed(
    pool,
    `insert into auth_smart_context (grant_id, account_id, client_id, session_uid, context) values ($1, $2, $3, $4, $5)`,
    [grant.grantId, grant.accountId, grant.clientId, grant.sessionUid ?? null, JSON.stringify(grant.context)],
  );
}

export async function readContext(
  { pool }: Pick<AuthParts, 'pool'>,
  grantId: string,
): Promise<GrantContext | undefined> {
  const { rows } = await poolNamed(
    pool,
    `select account_id, client_id, session_uid, context from auth_smart_context where grant_id = $1`,
    [grantId],
  );
  const [row] = rows;
  if (!row) return undefined;
  return {
    grantId,
    accountId: row[0] ?? '',
    clientId: row[1] ?? '',
    sessionUid: row[2] ?? undefined,
    context: JSON.parse(row[3] ?? '{}') as SmartContext,
  };
}

/** Whether the session that a grant hangs on still lives. */
export async function sessionLives({ pool, clock }: AuthParts, sessionUid: string): Promise<boolean> {
  const { rows } = await poolNamed(
    pool,
    `select exists (select from auth_session where uid = $1 and ended_at is null and expires_at > to_timestamp($2)
       and last_seen_at + make_interval(secs => idle_seconds) > to_timestamp($2))`,
    [sessionUid, clock.now() / 1000],
  );
  return rows[0]?.[0] === 't';
}
