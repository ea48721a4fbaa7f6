/** Two servers on one database, people with tokens, a writer of changes with their events, and a reader of streams. */
import type { Resource } from '@medplum/fhirtypes';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from '../../src/auth/accounts/account.ts';
import type { Session } from '../../src/auth/session/session.ts';
import { prepareWrite } from '../../src/fhir/store/prepare.ts';
import type { Transaction } from '../../src/fhir/store/repository.ts';
import { searchLayout } from '../../src/fhir/store/search-layout.ts';
import { sql } from '../../src/platform/database/sql.ts';
import { authorize, Browser, exchange, makeAccount, makeApp, signIn, type TestApp } from '../support/app-driver.ts';
import { everything } from '../support/everything.ts';
import { startTwoIdentityServers, type IdentityServer } from '../support/identity-server.ts';

/** In whatever must never be told. */
export const CANARY = 'Canary';

export interface Person {
  readonly account: Account;
  readonly session: Session;
  readonly token: string;
}

export interface EventsWorld {
  readonly first: IdentityServer;
  readonly second: IdentityServer;
  readonly app: TestApp;
  person(roles: Parameters<typeof makeAccount>[1], profile: string | undefined, scope: string): Promise<Person>;
  /** Writes resources, new or changed, and their events, in one transaction. @returns when it was committed, monotonic */
  write(...resources: readonly Resource[]): Promise<number>;
  remove(type: 'Appointment' | 'Slot', id: string): Promise<void>;
  close(): Promise<void>;
}

const own = everything.to('create');
const PATIENTS = ['a', 'b'] as const;

const outbox = (tx: Transaction, payload: object): Promise<unknown> =>
  tx.execute(
    sql`insert into outbox (topic, payload, status) values ('event', ${JSON.stringify(payload)}::jsonb, 'done')`,
  );

/** What the writers of Kairos leave in the outbox. */
export function eventOf(resource: Resource, version: number): object | undefined {
  const { id } = resource;
  if (resource.resourceType === 'Appointment') return { type: 'Appointment', id, version };
  if (resource.resourceType !== 'Slot') return undefined;
  const { start, end, status, schedule } = resource;
  return { type: 'Slot', id, schedule: schedule.reference, service: null, start, end, status };
}

export async function openEventsWorld(): Promise<EventsWorld> {
  const [first, second] = await startTwoIdentityServers();
  const { engine } = first.kairos;
  const layout = searchLayout(engine, engine.baseUrl);
  const app = await makeApp(first, { auth: 'client_secret_basic' });

  const put = async (tx: Transaction, resource: Resource): Promise<void> => {
    const { resourceType: type, id = '' } = resource;
    const current = await tx.read(type, id, own);
    const version = (current?.version ?? 0) + 1;
    const prepared = prepareWrite(layout, resource, { id, version, lastUpdated: new Date(), method: 'PUT' });
    await (current?.content === undefined ? tx.insert([prepared], own) : tx.update([prepared], new Map(), own));
    const event = eventOf(resource, version);
    if (event) await outbox(tx, event);
  };
  const write = async (...resources: readonly Resource[]): Promise<number> => {
    await engine.repository.transaction('read committed', async (tx) => {
      for (const resource of resources) await put(tx, resource);
    });
    return performance.now();
  };

  await write(
    ...PATIENTS.map((id): Resource => ({ resourceType: 'Patient', id, name: [{ family: `${CANARY}-${id}` }] })),
    { resourceType: 'Practitioner', id: 'doc', name: [{ family: `${CANARY}-doc` }] },
    { resourceType: 'Practitioner', id: 'other', name: [{ family: `${CANARY}-other` }] },
    { resourceType: 'PractitionerRole', id: 'role', practitioner: { reference: 'Practitioner/doc' } },
    { resourceType: 'Location', id: 'room', name: `${CANARY}-room` },
    schedule('doc', 'PractitionerRole/role', 'Location/room'),
    schedule('other', 'Practitioner/other'),
    schedule('of-patient', 'Patient/b'),
  );

  return {
    first,
    second,
    app,
    async person(roles, profile, scope) {
      const account = await makeAccount(first, roles, profile === undefined ? [] : [profile]);
      const browser = new Browser();
      const session = await signIn(first, browser, account);
      const patient = profile?.startsWith('Patient/') === true ? { patient: profile } : {};
      const flow = await authorize(first, browser, app, session, { scope }, patient);
      const { status, body } = await exchange(first, app, flow);
      if (status !== 200) throw new Error(`${status}: ${JSON.stringify(body)}`);
      return { account, session, token: String(body['access_token']) };
    },
    write,
    async remove(type, id) {
      await engine.repository.transaction('read committed', async (tx) => {
        const current = await tx.read(type, id, own);
        const version = (current?.version ?? 0) + 1;
        const was = JSON.parse(current?.content ?? '{}') as Resource;
        // Live appointments are not deleted by any door; rows may have been before there was that rule.
        if (type === 'Appointment')
          await tx.execute(
            sql`with gone as (delete from appointment where id = ${id} returning id, version, last_updated, method, content),
                kept as (insert into appointment_history (id, version, last_updated, method, content) select * from gone)
                insert into appointment_history (id, version, last_updated, method, content)
                  select id, version + 1, now(), 'DELETE', null from gone`,
          );
        else await tx.delete([{ type, id, version, lastUpdated: new Date() }], own);
        const event = eventOf(was, version);
        if (event) await outbox(tx, was.resourceType === 'Slot' ? { ...event, status: 'busy' } : event);
      });
    },
    async close() {
      await second.close();
      await first.close();
    },
  };
}

export const schedule = (id: string, ...actors: readonly string[]): Resource => ({
  resourceType: 'Schedule',
  id,
  comment: `${CANARY}-schedule`,
  actor: actors.map((reference) => ({ reference, display: `${CANARY}-actor` })),
});

let hour = 0;

/** Half an hour that nobody else has. */
export function time(): { readonly start: string; readonly end: string } {
  const start = Date.UTC(2030, 0, 1) + hour++ * 3_600_000;
  return { start: new Date(start).toISOString(), end: new Date(start + 1_800_000).toISOString() };
}

export const slot = (
  id: string,
  status: 'free' | 'busy' | 'busy-unavailable' | 'busy-tentative' = 'free',
  of = 'doc',
  when = time(),
): Resource => ({
  resourceType: 'Slot',
  id,
  schedule: { reference: `Schedule/${of}`, display: `${CANARY}-schedule` },
  status,
  comment: `${CANARY}-comment`,
  ...when,
});

export const visit = (
  id: string,
  patients: readonly string[],
  more: object = {},
  doctor = 'doc',
  when = time(),
): Resource => ({
  resourceType: 'Appointment',
  id,
  status: 'booked',
  description: `${CANARY}-description`,
  comment: `${CANARY}-comment`,
  ...when,
  participant: [...patients.map((p) => `Patient/${p}`), `Practitioner/${doctor}`].map((reference) => ({
    actor: { reference, display: `${CANARY}-display` },
    status: 'accepted' as const,
  })),
  ...more,
});

export interface StreamEvent {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: Readonly<Record<string, unknown>>;
  /** When it arrived, monotonic. */
  readonly at: number;
}

export interface StreamReader {
  readonly response: Response;
  readonly events: readonly StreamEvent[];
  /** All that came, as it came. */
  text(): string;
  /** The last id that came. */
  lastId(): string | undefined;
  /** The first event that is so; waits for it. @throws after two seconds, or when the stream ends before */
  until(is: (event: StreamEvent) => boolean, ms?: number): Promise<StreamEvent>;
  /** The first event about a resource, or a later one. */
  about(reference: string, is?: (data: StreamEvent['data']) => boolean): Promise<StreamEvent>;
  /** Events that came about it so far. */
  told(reference: string): readonly StreamEvent['data'][];
  readonly ended: Promise<void>;
  close(): void;
}

export interface ReadOptions {
  readonly token?: string;
  readonly lastEventId?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export const get = (
  server: Pick<IdentityServer, 'listens'>,
  query = '',
  options: ReadOptions = {},
  signal?: AbortSignal,
): Promise<Response> =>
  fetch(`${server.listens}/events${query}`, {
    headers: {
      Accept: 'text/event-stream',
      ...(options.token === undefined ? {} : { Authorization: `Bearer ${options.token}` }),
      ...(options.lastEventId === undefined ? {} : { 'Last-Event-ID': options.lastEventId }),
      ...options.headers,
    },
    ...(signal ? { signal } : {}),
  });

function parse(block: string): StreamEvent | undefined {
  const fields = new Map<string, string>();
  for (const line of block.split('\n')) {
    const [, name = '', value = ''] = /^(\w+): ?(.*)$/.exec(line) ?? [];
    if (name !== '') fields.set(name, value);
  }
  const event = fields.get('event');
  if (event === undefined) return undefined;
  const data = JSON.parse(fields.get('data') ?? '{}') as StreamEvent['data'];
  return { event, id: fields.get('id'), data, at: performance.now() };
}

/** Opens a stream, and waits until it is established. */
export async function listenTo(
  server: Pick<IdentityServer, 'listens'>,
  query = '',
  options: ReadOptions = {},
): Promise<StreamReader> {
  const abort = new AbortController();
  const response = await get(server, query, options, abort.signal);
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  const events: StreamEvent[] = [];
  let text = '';
  let over = false;
  const read = async (): Promise<void> => {
    let rest = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      const more = decoder.decode(chunk as Uint8Array, { stream: true });
      text += more;
      const blocks = (rest + more).split('\n\n');
      rest = blocks.pop() ?? '';
      events.push(...blocks.flatMap((block) => parse(block) ?? []));
    }
  };
  const ended = read()
    .catch(() => undefined)
    .finally(() => void (over = true));
  const until: StreamReader['until'] = async (is, ms = 2_000) => {
    for (const deadline = performance.now() + ms; ;) {
      const found = events.find(is);
      if (found) return found;
      if (over || performance.now() > deadline) throw new Error(`It did not come; there came: ${text.slice(-2_000)}`);
      await sleep(5);
    }
  };
  const reader: StreamReader = {
    response,
    events,
    text: () => text,
    lastId: () => events.findLast(({ id }) => id !== undefined)?.id,
    until,
    about: (reference, is = () => true) => until(({ data }) => data['reference'] === reference && is(data)),
    told: (reference) => events.filter(({ data }) => data['reference'] === reference).map(({ data }) => data),
    ended,
    close: () => abort.abort(),
  };
  await until(({ event }) => event === 'position' || event === 'reset');
  return reader;
}

/** Long enough for what would be told to have been told. */
export const settle = (): Promise<void> => sleep(450);
