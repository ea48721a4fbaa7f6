/** What sign-in by other providers and launches by EHRs are made of. */
import type { AuthParts } from '../parts.ts';
import type { Remotes } from './remote.ts';

export interface FederationParts extends AuthParts {
  readonly remotes: Remotes;
}
