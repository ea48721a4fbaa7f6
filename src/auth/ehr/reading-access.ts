/** What the person who is signed in may read in our own pages: as much as a token with all reading scopes would let them. */
import type { Access } from '../../fhir/access.ts';
import type { Engine } from '../../fhir/engine.ts';
import type { Account } from '../accounts/account.ts';
import { rightsOf } from '../access/acts-for.ts';
import { tokenAccess } from '../access/token-access.ts';
import { parseScopes } from '../smart/scope.ts';

const READING = parseScopes('user/*.rs').filter((scope) => scope.kind === 'resource');

export async function readingAccess(engine: Engine, account: Account): Promise<Access> {
  const { rights } = await rightsOf(engine, account);
  return tokenAccess(
    engine,
    { rights, scopes: READING, patient: undefined, self: undefined },
    { kind: 'user', name: account.id, account: account.id, roles: account.roles },
  );
}
