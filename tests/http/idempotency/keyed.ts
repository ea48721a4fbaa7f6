/** A server whose callers say who they are, and an operation that does what a test tells it. */
import { Client } from 'pg';
import { buildApp } from '../../../src/app.ts';
import { grantAll, type Access } from '../../../src/fhir/access.ts';
import type { RequestContext } from '../../../src/fhir/context.ts';
import type { Engine } from '../../../src/fhir/engine.ts';
import type { Exchange } from '../../../src/fhir/http/edge.ts';
import type { FhirRequest } from '../../../src/fhir/http/request.ts';
import type { OperationDeclaration, OperationReply } from '../../../src/fhir/operation.ts';
import type { Repository } from '../../../src/fhir/store/repository.ts';
import { silentLog } from '../../../src/platform/log.ts';
import { createMetrics } from '../../../src/platform/metrics.ts';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, type Answer, type Send } from '../client.ts';

export type Work = (engine: Engine, ctx: RequestContext) => Promise<OperationReply>;

export interface KeyedServer {
  readonly server: TestServer;
  readonly send: Send;
  /** What was told of each request, in order. */
  readonly exchanges: Exchange[];
  /** What `POST $work` does from now on. */
  work(next: Work): void;
  /** Rows of a statement, run by one who may do everything. */
  rows(statement: string): Promise<readonly (readonly unknown[])[]>;
  close(): Promise<void>;
}

const declaration = (work: () => Work): OperationDeclaration => ({
  code: 'work',
  url: 'urn:test:work',
  system: true,
  type: false,
  instance: false,
  needs: [],
  affectsState: true,
  handle: (engine, ctx) => work()(engine, ctx),
});

/** `client/account` in the header X-Caller; `X-Rights` stands for what a token reaches. */
export function accessOf(header: (name: string) => string | undefined): Access {
  const [app, account] = (header('x-caller') ?? 'app/account').split('/');
  if (account === 'nobody') return grantAll({ kind: 'anonymous', name: 'nobody' });
  const access = grantAll({ kind: 'system', name: account ?? '', account: account ?? '', client: app ?? '' });
  return { ...access, key: header('x-rights') ?? 'all' };
}

export interface KeyedOptions {
  /** Stands in the place of the repository. */
  readonly repository?: (own: Repository) => Repository;
}

/** @param beside opens a further process on the database of that one */
export async function openKeyedServer(beside?: KeyedServer, options: KeyedOptions = {}): Promise<KeyedServer> {
  const roles = beside?.server.kairos.roles;
  const server = await createTestServer(roles ? { roles } : {});
  const exchanges: Exchange[] = [];
  let work: Work = () => Promise.reject(new Error('no work'));
  const repository = options.repository?.(server.engine.repository) ?? server.engine.repository;
  const engine = { ...server.engine, repository, operations: [...server.engine.operations, declaration(() => work)] };
  const app = buildApp(engine, {
    log: silentLog,
    metrics: createMetrics(),
    ready: () => true,
    accessOf,
    observers: [(exchange) => void exchanges.push(exchange)],
  });
  return {
    server,
    send: client({ request: async (path, init) => app.request(`http://localhost${path}`, init) }),
    exchanges,
    work: (next) => void (work = next),
    async rows(statement) {
      const superuser = new Client(server.kairos.roles.superuser);
      await superuser.connect();
      try {
        return (await superuser.query<unknown[]>({ text: statement, rowMode: 'array' })).rows;
      } finally {
        await superuser.end();
      }
    },
    close: () => server.close(),
  };
}

/** What of an answer must be the same when it is given again. */
export const told = ({ status, headers, text }: Answer): unknown => [
  status,
  ['location', 'etag', 'last-modified', 'content-type'].map((name) => headers.get(name)),
  text,
];

export const replayed = (answer: Answer): boolean => answer.headers.get('idempotency-replayed') === 'true';

let serial = 0;
export const newKey = (): { readonly 'Idempotency-Key': string } => ({ 'Idempotency-Key': `key-${++serial}` });

export const bundle = (type: 'batch' | 'transaction', ...entry: readonly object[]): object => ({
  resourceType: 'Bundle',
  type,
  entry,
});

export const post = (resource: object, more: object = {}): object => ({
  resource,
  request: { method: 'POST', url: (resource as { resourceType: string }).resourceType, ...more },
});

/** A request to create a resource, as handlers see it. */
export const creating = (resource: object): FhirRequest => ({
  method: 'POST',
  type: (resource as { resourceType: string }).resourceType,
  id: undefined,
  versionId: undefined,
  compartmentType: undefined,
  operation: undefined,
  query: [],
  header: () => undefined,
  body: { kind: 'tree', value: resource },
});
