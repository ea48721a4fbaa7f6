/** Joins the record of accesses: what the store writes with each change, what observers write before each reply, and how it is read. */
import type pg from 'pg';
import { recordAct, type Act } from './audit/auth.ts';
import { createAuditObserver } from './audit/observe.ts';
import { createRecorder } from './audit/recorder.ts';
import { auditContent } from './audit/render.ts';
import type { Outcome } from './audit/row.ts';
import type { AuthEvent, ObserveAuth } from './auth/events.ts';
import { createAuditWriter, PATIENCE_MS, type AuditWriter } from './audit/writer.ts';
import type { Engine } from './fhir/engine.ts';
import type { Observer } from './fhir/http/edge.ts';
import type { ContentCodec } from './fhir/store/content.ts';
import type { Recorder } from './fhir/store/repository.ts';
import type { Config } from './platform/config.ts';
import { openClient } from './platform/database/pool.ts';
import type { Keys } from './platform/keys.ts';
import type { Log } from './platform/log.ts';

export interface Audit {
  /** For the store. */
  readonly content: ContentCodec;
  readonly recorder: Recorder | undefined;
  readonly writer: AuditWriter;
  readonly observeAuth: ObserveAuth;
  /** That a job went through people's data. */
  job(name: string, outcome: Outcome): Promise<void>;
  /** Called when the engine is there: until then nothing is read or changed. */
  join(engine: Engine, keys: Keys): readonly Observer[];
}

const accountOf = ({ accountId }: { readonly accountId?: string }): { account?: string } =>
  accountId === undefined ? {} : { account: accountId };

function ofPage(event: Extract<AuthEvent, { kind: 'page' }>): Act | undefined {
  const { path: page, status, method, roles, address } = event;
  const signsIn = /^\/(?:signin|step-up)/.test(page);
  // Who signed in is told by itself.
  if (signsIn && status < 400) return undefined;
  const kind = signsIn
    ? 'login'
    : page === '/signout'
      ? 'logout'
      : page.startsWith('/admin/clients')
        ? 'client'
        : 'account';
  const outcome = status < 400 ? 0 : status < 500 ? 4 : 8;
  return { kind, outcome, ...accountOf(event), roles, address, detail: `${method} ${page}` };
}

/** What to record of an event. */
function actOf(event: AuthEvent): Act | undefined {
  switch (event.kind) {
    case 'token-issued':
      return { kind: 'token', client: event.clientId, ...accountOf(event), detail: event.grantType };
    case 'refused':
      return { kind: 'refused', outcome: 4, client: event.clientId, detail: `${event.endpoint} ${event.error}` };
    case 'consent':
      return { kind: 'consent', client: event.clientId, account: event.accountId };
    case 'grant-revoked':
      return { kind: 'revoked', detail: event.reason };
    case 'client-changed':
      return { kind: 'client', client: event.clientId, detail: event.change };
    case 'signed-in':
      return {
        kind: 'login',
        account: event.accountId,
        roles: event.roles,
        address: event.address,
        detail: event.amr.join(' '),
      };
    case 'page':
      return ofPage(event);
    default:
      return event satisfies never;
  }
}

/** @param others the codec of every other type */
export function createAudit(config: Config, connection: pg.ClientConfig, others: ContentCodec, log: Log): Audit {
  const joined: { engine?: Engine; keys?: Keys } = {};
  const known = <T>(part: T | undefined): T => {
    if (part === undefined) throw new Error('Something was to be recorded before everything was joined');
    return part;
  };
  const keys = (): Keys => known(joined.keys);
  const timeoutMs = Math.min(config.statementTimeoutMs, PATIENCE_MS);
  const writer = createAuditWriter(() => openClient(connection, 'kairos audit', timeoutMs), log);
  const act = (of: Act): Promise<void> | undefined =>
    config.audit ? recordAct({ clock: known(joined.engine).clock, keys: keys(), writer }, of) : undefined;
  return {
    observeAuth(event) {
      const of = actOf(event);
      return of && act(of);
    },
    job: async (name, outcome) => act({ kind: 'job', actor: 'worker', detail: name, outcome }),
    content: auditContent(others, keys),
    recorder: config.audit ? createRecorder({ engine: () => known(joined.engine), keys }) : undefined,
    writer,
    join(engine, installation) {
      joined.engine = engine;
      joined.keys = installation;
      return config.audit ? [createAuditObserver({ engine, keys: installation, writer })] : [];
    },
  };
}
