/** What the pages need besides the parts: the authorization server, and what they share with it. */
import type { AuthorizationServer } from '../provider/create.ts';

export interface PagesIdentity {
  readonly server: AuthorizationServer;
}
