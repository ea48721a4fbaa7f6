/**
 * Bearer tokens of the FHIR interface: opaque, found by their hash in one statement with everything that they hang on, and remembered until
 * something changes. @see https://www.rfc-editor.org/rfc/rfc6750
 */
import { hash } from 'node:crypto';
import type { Access, Principal } from '../fhir/access.ts';
import { invalidToken } from '../fhir/http/challenge.ts';
import { clientError } from '../fhir/store/sqlstate.ts';
import type { Row } from '../platform/database/named-query.ts';
import { poolNamed } from '../platform/database/pool.ts';
import { errorFields } from '../platform/log.ts';
import { relationsOf, rightsOf } from './access/acts-for.ts';
import { isRole, isStaffKind } from './accounts/account.ts';
import { anonymousAccess } from './access/anonymous.ts';
import { SYSTEM_RIGHTS } from './access/person.ts';
import type { Granted } from './access/rights.ts';
import { tokenAccess } from './access/token-access.ts';
import type { AuthParts } from './parts.ts';
import type { Revision } from './revision.ts';
import { parseScopes, permits, type Scope } from './smart/scope.ts';

export interface Bearer {
  /**
   * At once where the token is remembered.
   * @param inUse whether this is activity of the session: that a stream stays open is none
   * @throws FhirError 401; 503 when the database cannot be asked
   */
  accessOf(header: (name: string) => string | undefined, inUse?: boolean): Access | Promise<Access>;
}

export interface BearerOptions {
  readonly revision: Pick<Revision, 'current'>;
  /** Notes that a session is in use; not waited for. */
  readonly touch: (sessionUid: string) => Promise<void>;
}

/** A token that was found good. */
interface Known {
  readonly access: Access;
  /** Milliseconds since the epoch. */
  readonly until: number;
  readonly sessionUid: string | undefined;
  readonly revision: number;
  touchedAt: number;
}

const SCHEME = /^bearer +([A-Za-z0-9._~+/-]{16,512}=*)$/i;
const REMEMBERED = 10_000;
const TOUCH_MS = 30_000;

/**
 * A token with the client, the grant, the session and the account that it stands on. One row, if all of them are there and well.
 * $1: hash of the token, $2: the FHIR base, $3: the present moment in seconds
 */
const FIND = `
  select t.model, t.payload ->> 'scope', extract(epoch from least(t.expires_at - now(), x.expires_at - to_timestamp($3))) * 1000, t.client_id, c.metadata ->> 'scope',
         a.id, to_json(a.roles), (select json_agg(p.reference order by p.reference) from auth_profile p where p.account_id = a.id),
         s.context ->> 'patient', s.session_uid, s.context ->> 'fhirUser', to_json(a.staff_kinds)
  from auth_oidc t
  join auth_client c on c.client_id = t.client_id and c.disabled_at is null
  left join auth_smart_context s on s.grant_id = t.grant_id and s.client_id = t.client_id and s.account_id = t.account_id
  left join auth_oidc g on g.model = 'Grant' and g.id_hash = t.grant_id and g.expires_at > now()
  left join auth_account a on a.id = t.account_id and a.status = 'active'
  left join auth_session x on x.uid = s.session_uid
  where t.id_hash = $1 and t.model in ('AccessToken', 'ClientCredentials') and t.expires_at > now()
    and t.payload ->> 'aud' = $2
    and (t.model = 'ClientCredentials' or (s.grant_id is not null and g.id_hash is not null and a.id is not null))
    and (s.session_uid is null or (x.ended_at is null and x.expires_at > to_timestamp($3)
      and x.last_seen_at + make_interval(secs => x.idle_seconds) > to_timestamp($3)))`;

const texts = (json: string | null | undefined): readonly string[] => {
  const value: unknown = JSON.parse(json ?? 'null');
  return Array.isArray(value) ? value.filter((v) => typeof v === 'string') : [];
};

/** The token says who the person is. Its own scopes count: a refresh may have left some of the grant's out. */
const tellsSelf = (scopes: readonly Scope[]): boolean =>
  ['openid', 'fhirUser'].every((text) => scopes.some((s) => s.text === text));

const idOf = (patient: string): string => patient.slice(patient.lastIndexOf('/') + 1);

export function createBearer(parts: AuthParts, { revision, touch }: BearerOptions): Bearer {
  const { pool, engine, clock, log, fhirBase } = parts;
  const anonymous = anonymousAccess(engine);
  /** By hash of the token; the one used last stands last. */
  const known = new Map<string, Known>();
  const asked = new Map<string, Promise<Known>>();

  const find = async (tokenHash: string): Promise<Row> => {
    try {
      const { rows } = await poolNamed(pool, FIND, [tokenHash, fhirBase, clock.now() / 1000]);
      if (rows[0]) return rows[0];
    } catch (error) {
      throw clientError(error);
    }
    throw invalidToken();
  };

  const load = async (tokenHash: string): Promise<Known> => {
    // Before the statement: what changes while it runs makes the answer worthless.
    const under = revision.current();
    const [model, scope, left, client, registered, account, roles, profiles, patient, sessionUid, fhirUser, kinds] =
      await find(tokenHash);
    // Of the granted scopes, those that the client may still have.
    const permitted = permits(parseScopes(scope ?? ''), parseScopes(registered ?? ''));
    const scopes = permitted.filter((s) => s.kind === 'resource');
    const end = clock.now() + Number(left);
    const access = async (): Promise<{ readonly access: Access; readonly until: number }> => {
      if (model === 'ClientCredentials') {
        const principal: Principal = { kind: 'system', name: client ?? '', client: client ?? '' };
        const granted: Granted = { rights: SYSTEM_RIGHTS, scopes, patient: undefined, self: undefined };
        return { access: tokenAccess(engine, granted, principal), until: end };
      }
      const person = {
        roles: texts(roles).filter(isRole),
        staffKinds: texts(kinds).filter(isStaffKind),
        profiles: texts(profiles),
      };
      const { rights, until } = await rightsOf(engine, person);
      const launched = typeof patient === 'string' ? idOf(patient) : undefined;
      // As it was told to the app, and still is so.
      const told = tellsSelf(permitted) ? person.profiles.find((p) => fhirUser === `${fhirBase}/${p}`) : undefined;
      // A relation that has ended shows no more of itself than of the patient.
      const holds = !told?.startsWith('RelatedPerson/') || (await relationsOf(engine, [told])).patients.length > 0;
      const self = holds ? told : undefined;
      const principal: Principal = {
        kind: 'user',
        name: account ?? '',
        account: account ?? '',
        roles: person.roles,
        ...(person.profiles[0] === undefined ? {} : { person: person.profiles[0] }),
        client: client ?? '',
        ...(launched === undefined ? {} : { patient: `Patient/${launched}` }),
      };
      return {
        access: tokenAccess(engine, { rights, scopes, patient: launched, self }, principal),
        until: Math.min(end, until),
      };
    };
    const entry: Known = {
      ...(await access()),
      sessionUid: sessionUid ?? undefined,
      revision: under ?? -1,
      touchedAt: -Infinity,
    };
    if (under !== undefined && under === revision.current()) {
      known.delete(tokenHash);
      known.set(tokenHash, entry);
      if (known.size > REMEMBERED) for (const oldest of known.keys()) if (known.delete(oldest)) break;
    }
    return entry;
  };

  const use = (entry: Known, inUse: boolean): Access => {
    const { sessionUid } = entry;
    if (inUse && sessionUid !== undefined) {
      const now = performance.now();
      if (now - entry.touchedAt > TOUCH_MS) {
        entry.touchedAt = now;
        touch(sessionUid).catch((error: unknown) => log.warn('The use of a session was not noted', errorFields(error)));
      }
    }
    return entry.access;
  };

  /** Requests that bring the same token at the same time ask once; but not those that came after a change. */
  const ask = async (tokenHash: string, inUse: boolean): Promise<Access> => {
    const current = revision.current();
    if (current === undefined) return use(await load(tokenHash), inUse);
    const key = `${tokenHash} ${current}`;
    let loading = asked.get(key);
    if (!loading) {
      loading = load(tokenHash).finally(() => asked.delete(key));
      asked.set(key, loading);
    }
    return use(await loading, inUse);
  };

  return {
    accessOf(header, inUse = true) {
      const authorization = header('authorization');
      if (authorization === undefined) return anonymous;
      const token = SCHEME.exec(authorization)?.[1];
      if (token === undefined)
        throw invalidToken('The Authorization header must be Bearer, a space, and an access token.');
      const tokenHash = hash('sha256', token, 'base64url');
      const entry = known.get(tokenHash);
      if (entry) {
        if (entry.revision === revision.current() && entry.until > clock.now()) return use(entry, inUse);
        known.delete(tokenHash);
      }
      return ask(tokenHash, inUse);
    },
  };
}
