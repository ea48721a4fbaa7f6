/**
 * The board of the queue for administrators: bull-board's programs and data, without a server of its own. Import when it is opened.
 * @see https://github.com/felixmosh/bull-board
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type { AppControllerRoute, BullBoardQueues, IServerAdapter, UIConfig } from '@bull-board/api/typings/app';
import type { Queue } from 'bullmq';
import type { AnyQueue } from './queue-connection.ts';

export interface BoardReply {
  readonly status: number;
  readonly body: unknown;
}

export interface BoardFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type: string;
}

export interface JobBoard {
  /** Files of the page, below the board's address. */
  readonly scripts: readonly string[];
  readonly styles: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
  /** @param target path below the board's address, `/api/…`. @returns undefined when there is nothing */
  call(method: 'get' | 'put', target: string, query: URLSearchParams): Promise<BoardReply | undefined>;
  /** @param name path below the board's address, `static/…`. @returns undefined when there is none */
  file(name: string): Promise<BoardFile | undefined>;
}

/**
 * What may be changed from the board: trying again, doing now, forgetting, and a pause. Not what jobs are given, and nothing that would empty the
 * queue: that is for declarations and the outbox to say.
 */
const MAY_CHANGE: ReadonlySet<string> = new Set([
  '/api/queues/pause',
  '/api/queues/resume',
  '/api/queues/:queueName/pause',
  '/api/queues/:queueName/resume',
  '/api/queues/:queueName/promote',
  '/api/queues/:queueName/retry/:queueStatus',
  '/api/queues/:queueName/clean/:queueStatus',
  '/api/queues/:queueName/job-schedulers/:schedulerId/run',
  '/api/queues/:queueName/:jobId/retry',
  '/api/queues/:queueName/:jobId/promote',
  '/api/queues/:queueName/:jobId/clean',
]);

const CONFIG: UIConfig = {
  boardTitle: 'Kairos',
  boardLogo: { path: '/assets/icon.svg', width: 28, height: 28 },
  favIcon: { default: '/assets/icon.svg', alternative: '/assets/icon.svg' },
  hideDocsLink: true,
  // Of a database that is not the queue's alone.
  hideRedisDetails: true,
  pollingInterval: { showSetting: true, forceInterval: 5 },
};

interface Address {
  readonly method: string;
  readonly pattern: RegExp;
  readonly names: readonly string[];
  readonly handler: AppControllerRoute['handler'];
}

const NAMED = /:(\w+)/g;

/** Addresses in their order, in which the first that fits answers. */
const addressesOf = (routes: readonly AppControllerRoute[]): readonly Address[] =>
  routes.flatMap(({ method, route, handler }) =>
    [method].flat().flatMap((method) =>
      [route].flat().map((route) => ({
        method,
        pattern: new RegExp(`^${route.replace(NAMED, '([^/]+)')}$`),
        names: [...route.matchAll(NAMED)].map(([, name = '']) => name),
        handler,
      })),
    ),
  );

function parameters({ pattern, names }: Address, target: string): Readonly<Record<string, string>> | undefined {
  const values = pattern.exec(target)?.slice(1);
  try {
    return values && Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(values[i] ?? '')]));
  } catch {
    return undefined;
  }
}

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
};
const FILE = /^static(?:\/[\w-][\w.-]*)+$/;

/** Names of the files that the board's own page loads; the page itself needs what our policy forbids. */
async function filesOf(folder: string): Promise<Pick<JobBoard, 'scripts' | 'styles'>> {
  const page = await readFile(path.join(folder, 'index.ejs'), 'utf8');
  const all = (pattern: RegExp): string[] => [...page.matchAll(pattern)].map(([, name = '']) => name);
  return { scripts: all(/src="(static\/js\/[\w.-]+)"/g), styles: all(/href="(static\/css\/[\w.-]+)"/g) };
}

export async function openBoard(queue: AnyQueue): Promise<JobBoard> {
  let queues: BullBoardQueues = new Map();
  let addresses: readonly Address[] = [];
  let config: UIConfig = CONFIG;
  const server: IServerAdapter = {
    setQueues: (given) => ((queues = given), server),
    setViewsPath: () => server,
    setStaticPath: () => server,
    setEntryRoute: () => server,
    setErrorHandler: () => server,
    setApiRoutes: (routes) => ((addresses = addressesOf(routes)), server),
    setUIConfig: (given) => ((config = given), server),
  };
  createBullBoard({
    // It knows queues of both backends; its types know those in Redis.
    queues: [new BullMQAdapter(queue as Queue)],
    serverAdapter: server,
    options: {
      uiConfig: CONFIG,
      handlerHooks: {
        before: ({ method, route }) => ({ allow: method === 'get' || MAY_CHANGE.has(route), status: 403 }),
      },
    },
  });
  const folder = path.join(path.dirname(createRequire(import.meta.url).resolve('@bull-board/ui/package.json')), 'dist');
  return {
    ...(await filesOf(folder)),
    config,

    async call(method, target, query) {
      for (const address of addresses) {
        const params = address.method === method ? parameters(address, target) : undefined;
        if (!params) continue;
        const { status = 200, body } = await address.handler({
          queues,
          uiConfig: config,
          params,
          query: Object.fromEntries(query),
          body: {},
          headers: {},
        });
        return { status, body };
      }
      return undefined;
    },

    async file(name) {
      const type = TYPES[path.extname(name)];
      if (type === undefined || !FILE.test(name)) return undefined;
      const bytes = await readFile(path.join(folder, name)).catch(() => undefined);
      return bytes && { bytes: new Uint8Array(bytes), type };
    },
  };
}
