/** What the person who is signed in may read in our own pages: as much as a token with all reading scopes would let them. */
import type { Access } from '../../fhir/access.ts';
import type { Engine } from '../../fhir/engine.ts';
import type { Account } from '../accounts/account.ts';
import { parseScopes } from '../smart/scope.ts';
import type { Person } from './person.ts';
import { tokenAccess } from './token-access.ts';

const READING = parseScopes('user/*.rs').filter((scope) => scope.kind === 'resource');

/** @param rights what they have a right to, as `rightsOf` finds it */
export const readingAccess = (
  engine: Engine,
  { id, roles }: Pick<Account, 'roles'> & { readonly id?: string },
  rights: Person,
): Access =>
  tokenAccess(
    engine,
    { rights, scopes: READING, patient: undefined, self: undefined },
    { kind: 'user', name: id ?? '', ...(id === undefined ? {} : { account: id }), roles },
  );
