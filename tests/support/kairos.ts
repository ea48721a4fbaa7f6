/** A whole Kairos without its socket, on a fresh database. */
import { openKairos, type Kairos, type OpenOptions } from '../../src/compose.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { loadConfig, type Environment } from '../../src/platform/config.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { TEST_ROOT_KEY } from './root-key.ts';

export interface TestKairosOptions {
  /** Settings that differ from the defaults, by their names in the environment. */
  readonly env?: Environment;
  readonly clock?: Clock;
  /** Power of two that bcrypt costs; low, since tests sign in often. */
  readonly passwordCost?: number;
  /** Who asks; unless told, bearer tokens say it. */
  readonly accessOf?: OpenOptions['accessOf'];
  /** The database of another Kairos, as a further process has it; it stays when this one closes. */
  readonly roles?: TestDatabase;
}

export interface TestKairos extends Kairos {
  readonly roles: TestDatabase;
}

export async function openTestKairos(options: TestKairosOptions = {}): Promise<TestKairos> {
  const roles = options.roles ?? (await createTestDatabase());
  const kairos = await openKairos(
    loadConfig({ LOG_LEVEL: 'error', DEMO: 'off', ROOT_KEY: TEST_ROOT_KEY, RATE_LIMIT: 'off', ...options.env }),
    {
      ...(options.clock ? { clock: options.clock } : {}),
      ...(options.accessOf ? { accessOf: options.accessOf } : {}),
      passwordCost: options.passwordCost ?? 4,
      database: {
        roles,
        embedded: true,
        joined: true,
        claim: () => Promise.resolve(true),
        onLost: () => undefined,
        close: async () => void (options.roles ? undefined : await roles.drop()),
      },
    },
  );
  return { ...kairos, roles };
}
