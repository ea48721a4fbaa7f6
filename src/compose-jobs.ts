/** The jobs of `src/jobs/` and their queue: opened when the first one asks, since a server serves without them. */
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import type { JobContext } from './job-context.ts';
import type { Config } from './platform/config.ts';
import type { DatabaseRoles } from './platform/embedded-postgres.ts';
import { loadFolder } from './platform/folder.ts';
import type { JobDeclaration } from './platform/job.ts';
import type { Log } from './platform/log.ts';
import type { JobQueue } from './platform/queue.ts';

export interface Jobs {
  declared(): Promise<readonly JobDeclaration<JobContext>[]>;
  /** @throws when the queue cannot be reached now; it may be asked again */
  queue(): Promise<JobQueue>;
  close(): Promise<void>;
}

export interface JobsParts {
  readonly config: Config;
  readonly roles: DatabaseRoles;
  /** Connections as the application role. */
  readonly pool: pg.Pool;
  readonly log: Log;
}

export function createJobs({ config, roles, pool, log }: JobsParts): Jobs {
  let declared: Promise<readonly JobDeclaration<JobContext>[]> | undefined;
  let opened: Promise<JobQueue> | undefined;
  const load = (): NonNullable<typeof declared> =>
    (declared ??= loadFolder<JobDeclaration<JobContext>>(fileURLToPath(new URL('jobs', import.meta.url))));
  const open = async (): Promise<JobQueue> => {
    const [jobs, { openQueue }] = await Promise.all([load(), import('./platform/queue.ts')]);
    const { redisUrl } = config;
    const connection =
      redisUrl === undefined
        ? ({ kind: 'postgres', connection: roles.app } as const)
        : ({ kind: 'redis', url: redisUrl } as const);
    return openQueue({ connection, jobs, database: pool, log });
  };
  return {
    declared: load,
    queue() {
      if (!opened) {
        const opening = open();
        opened = opening;
        opening.catch(() => {
          if (opened === opening) opened = undefined;
        });
      }
      return opened;
    },
    async close() {
      const queue = await opened?.catch(() => undefined);
      await queue?.close();
    },
  };
}
