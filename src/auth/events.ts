/** What happens at the authorization server, for whoever records it (the audit domain, later). Ids only: no names, addresses, secrets. */

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
    };

export type RevokeReason = 'client' | 'person' | 'replay' | 'session-end' | 'client-disabled' | 'account';

/** Must not throw, and is not waited for. */
export type ObserveAuth = (event: AuthEvent) => void;
