/** The accounts of the demo clinic, as far as they may be shown to whoever comes by. */
import type { Role } from '../accounts/account.ts';
import type { AuthParts } from '../parts.ts';

export interface DemoLogins {
  readonly accounts: readonly { readonly email: string; readonly role: Role }[];
}

export function demoLogins(_parts: AuthParts): DemoLogins | undefined {
  return undefined;
}
