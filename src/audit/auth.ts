/** What happens at the authorization server and on its pages, as rows: who signed in, what was granted and withdrawn, what administrators did. */
import type { Clock } from '../platform/clock.ts';
import type { Keys } from '../platform/keys.ts';
import type { Principal } from '../fhir/access.ts';
import type { Kind } from './kinds.ts';
import type { Outcome } from './row.ts';
import { rowsOf } from './rows.ts';
import type { AuditWriter } from './writer.ts';

/** An act of somebody that is no interaction of FHIR. */
export interface Act {
  readonly kind: Extract<
    Kind,
    'login' | 'logout' | 'token' | 'refused' | 'consent' | 'revoked' | 'client' | 'account' | 'job'
  >;
  readonly outcome?: Outcome;
  /** Part of the server that acts by itself. */
  readonly actor?: string | undefined;
  readonly account?: string | undefined;
  readonly roles?: readonly string[] | undefined;
  readonly client?: string | undefined;
  readonly address?: string | undefined;
  readonly detail?: string | undefined;
}

export interface ActParts {
  readonly clock: Clock;
  readonly keys: Pick<Keys, 'seal'>;
  readonly writer: Pick<AuditWriter, 'write'>;
}

/** A code has no blanks but single ones, and is no text. */
const codeOf = (detail: string | undefined): string | undefined =>
  detail === undefined ? undefined : detail.trim().replaceAll(/\s+/g, ' ').slice(0, 100) || undefined;

/** Resolved when it is committed. Whoever does not wait for it need not see to its failure. */
export function recordAct({ clock, keys, writer }: ActParts, act: Act): Promise<void> {
  const { actor, account, roles, client } = act;
  const by: Principal = {
    kind: actor !== undefined ? 'system' : account === undefined ? 'anonymous' : 'user',
    name: actor ?? account ?? '',
    ...(account === undefined ? {} : { account }),
    ...(roles === undefined ? {} : { roles }),
    ...(client === undefined ? {} : { client }),
  };
  const written = writer.write(
    rowsOf(keys, {
      at: clock.now(),
      kind: act.kind,
      outcome: act.outcome ?? 0,
      by,
      address: act.address,
      detail: codeOf(act.detail),
      entities: new Map(),
    }),
  );
  written.catch(() => undefined);
  return written;
}
