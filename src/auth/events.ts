/** What happens at the authorization server and on its pages, for whoever records it. Ids only: no names, mail addresses, secrets. */
import type { Role } from './accounts/account.ts';

export type AuthEvent =
  | {
      readonly kind: 'token-issued';
      readonly clientId: string;
      readonly grantType: string;
      readonly accountId?: string;
      readonly grantId?: string;
      readonly scope?: string;
    }
  | {
      readonly kind: 'refused';
      readonly endpoint: 'authorization' | 'token' | 'introspection' | 'revocation' | 'other';
      readonly clientId?: string;
      /** Code of RFC 6749. */
      readonly error: string;
    }
  | { readonly kind: 'consent'; readonly clientId: string; readonly accountId: string; readonly grantId: string }
  | { readonly kind: 'grant-revoked'; readonly grantId: string; readonly reason: RevokeReason }
  | {
      readonly kind: 'client-changed';
      readonly clientId: string;
      readonly change: 'registered' | 'disabled' | 'enabled' | 'secret-rotated';
    }
  | {
      readonly kind: 'signed-in';
      readonly accountId: string;
      readonly roles: readonly Role[];
      /** How, as in the session; without `mfa` what is missing comes next. */
      readonly amr: readonly string[];
      readonly address: string;
    }
  | {
      /** A form that was sent, or a page that shows other people's data. */
      readonly kind: 'page';
      readonly method: string;
      /** Route with the ids that it names. */
      readonly path: string;
      readonly status: number;
      readonly accountId?: string;
      readonly roles?: readonly Role[];
      readonly address: string;
    };

export type RevokeReason = 'client' | 'person' | 'replay' | 'session-end' | 'client-disabled' | 'account';

/** What is given to whoever asked waits for it, where it can: a token, a page. Its rejection need not be seen to by those who do not wait. */
export type ObserveAuth = (event: AuthEvent) => void | Promise<void>;
