/** What everything in `auth/` is made of; the composition root joins it once. */
import type pg from 'pg';
import type { Engine } from '../fhir/engine.ts';
import type { Clock } from '../platform/clock.ts';
import type { Keys } from '../platform/keys.ts';
import type { Log } from '../platform/log.ts';
import type { IdentitySettings } from '../platform/identity-settings.ts';
import type { Passwords } from './accounts/password.ts';
import type { ObserveAuth } from './events.ts';

export interface AuthParts {
  /** Connections as the application role. */
  readonly pool: pg.Pool;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: IdentitySettings;
  /** One for the process, so that its queue is one: `createPasswords({ keys, hasher: settings.hasher })`. */
  readonly passwords: Passwords;
  /** As browsers see it, without trailing slash: `http://localhost:8080`. */
  readonly publicUrl: string;
  /** `<publicUrl>/oauth`. */
  readonly issuer: string;
  /** `<publicUrl>/fhir/R4`. */
  readonly fhirBase: string;
  readonly engine: Engine;
  /** Records what happens. */
  readonly observe: ObserveAuth;
}
