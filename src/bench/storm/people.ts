/**
 * Those who take part in a storm, with their access tokens: written into the database, as bearer tokens stand there, so that nobody has to sign in first.
 * @see https://www.rfc-editor.org/rfc/rfc6750
 */
import { Client, type ClientConfig } from 'pg';
import { newSecret, secretHash } from '../../platform/keys.ts';

const APP = 'storm-app';
const SYSTEM = 'storm-system';
const SCOPES = { patient: 'patient/*.cruds', staff: 'user/*.cruds', system: 'system/*.cruds' } as const;

export interface Person {
  /** `Patient/storm-1`: whom this one books for. */
  readonly patient: string;
  readonly channel: 'patient' | 'staff';
  readonly token: string;
}

export interface People {
  readonly all: readonly Person[];
  /** The token of one who may do everything, with ids of its own. */
  readonly system: string;
}

const statements = {
  client: `insert into auth_client (client_id, metadata, kind, created_by) values ($1, $2, $3, 'storm') on conflict do nothing`,
  account: `insert into auth_account (id, email_tag, email_sealed, name_sealed, roles, status, webauthn_user_id) values ($1, $1, 'storm', 'storm', array[$2], 'active', $1)`,
  profile: `insert into auth_profile (account_id, reference, linked_by) values ($1, $2, 'storm')`,
  token: `insert into auth_oidc (model, id_hash, payload, grant_id, account_id, client_id, expires_at) values ($1, $2, $3, $4, $5, $6, now() + interval '1 day')`,
  context: `insert into auth_smart_context (grant_id, account_id, client_id, context) values ($1, $2, $3, $4)`,
};

/**
 * @param count one in four is of the staff
 * @param fhirBase whose tokens they are
 */
export async function writePeople(connection: ClientConfig, fhirBase: string, count: number): Promise<People> {
  const client = new Client(connection);
  await client.connect();
  const run = (text: string, ...values: readonly unknown[]): Promise<unknown> => client.query(text, [...values]);
  const token = async (model: string, scope: string, of: { grant?: string; account?: string; app: string }) => {
    const secret = newSecret();
    const payload = JSON.stringify({ aud: fhirBase, scope });
    await run(statements.token, model, secretHash(secret), payload, of.grant ?? null, of.account ?? null, of.app);
    return secret;
  };
  try {
    await run(statements.client, APP, JSON.stringify({ name: APP, scope: Object.values(SCOPES).join(' ') }), 'app');
    await run(statements.client, SYSTEM, JSON.stringify({ name: SYSTEM, scope: SCOPES.system }), 'backend');
    const system = await token('ClientCredentials', SCOPES.system, { app: SYSTEM });
    const all: Person[] = [];
    for (let n = 0; n < count; n++) {
      const channel = n % 4 === 3 ? 'staff' : 'patient';
      const account = `storm-${n}`;
      const patient = `Patient/storm-${n}`;
      const grant = `storm-grant-${n}`;
      await run(statements.account, account, channel);
      if (channel === 'patient') await run(statements.profile, account, patient);
      await run(statements.token, 'Grant', grant, '{}', null, account, APP);
      const context = channel === 'patient' ? { patient } : {};
      await run(statements.context, grant, account, APP, JSON.stringify(context));
      all.push({ patient, channel, token: await token('AccessToken', SCOPES[channel], { grant, account, app: APP }) });
    }
    return { all, system };
  } finally {
    await client.end();
  }
}
