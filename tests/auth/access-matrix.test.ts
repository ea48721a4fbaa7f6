/**
 * security.md A1.1: the access matrix. Every actor × type × interaction, over HTTP and by every way that leads to rows, against an oracle that reads the
 * policy table and judges rows by itself. A type, an operation or a role that the matrix does not know fails it.
 */
import type { Bundle } from '@medplum/fhirtypes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { anonymousAccess } from '../../src/auth/access/anonymous.ts';
import { person } from '../../src/auth/access/person.ts';
import { POLICY, ROLES_OF_POLICY, type PolicyRole, type Where } from '../../src/auth/access/policy.ts';
import { standingOf } from '../../src/auth/access/standing.ts';
import type { Access } from '../../src/fhir/access.ts';
import { listValues } from '../../src/fhir/search/values.ts';
import { client, type Answer, type Send } from '../http/client.ts';
import { everything } from '../support/everything.ts';
import { DIRECTORY_TYPES, openWorld, token, type World } from './access-world.ts';

let world: World;
let send: Send;
/** `Type/id` → the resource. */
const rows = new Map<string, Record<string, unknown>>();
const visit = (id: string, patient: string, more: object): object => ({
  resourceType: 'Appointment',
  id,
  status: 'booked',
  start: '2030-03-01T09:00:00Z',
  end: '2030-03-01T09:30:00Z',
  participant: [`Patient/${patient}`, 'Practitioner/dr'].map((reference) => ({
    actor: { reference },
    status: 'accepted',
  })),
  ...more,
});
const ago = (months: number): { start: string; end: string } => {
  const day = new Date();
  day.setUTCMonth(day.getUTCMonth() - months);
  const at = (minutes: string): string => `${day.toISOString().slice(0, 10)}T09:${minutes}:00Z`;
  return { start: at('00'), end: at('30') };
};
const actors = new Map<
  string,
  { readonly roles: readonly PolicyRole[]; readonly access: Access; readonly patients: readonly string[] }
>();

const more: readonly object[] = [
  { resourceType: 'Practitioner', id: 'dr', name: [{ family: 'Doctor' }] },
  { resourceType: 'PractitionerRole', id: 'dr', practitioner: { reference: 'Practitioner/dr' } },
  { resourceType: 'Schedule', id: 'dr', actor: [{ reference: 'PractitionerRole/dr' }] },
  {
    resourceType: 'Slot',
    id: 'dr',
    schedule: { reference: 'Schedule/dr' },
    status: 'busy-unavailable',
    start: '2030-03-02T09:00:00Z',
    end: '2030-03-02T10:00:00Z',
  },
  visit('dr-a', 'a', {}),
  // None of these opens the record of b.
  visit('dr-b-off', 'b', {
    status: 'cancelled',
    cancelationReason: { text: 'x' },
    start: '2030-03-03T09:00:00Z',
    end: '2030-03-03T09:30:00Z',
  }),
  visit('dr-b-long-ago', 'b', { status: 'fulfilled', ...ago(25) }),
  {
    resourceType: 'AppointmentResponse',
    id: 'dr',
    appointment: { reference: 'Appointment/dr-a' },
    actor: { reference: 'Practitioner/dr' },
    participantStatus: 'accepted',
  },
  { resourceType: 'Binary', id: 'one', contentType: 'text/plain', data: 'YQ==' },
  {
    resourceType: 'Subscription',
    id: 'one',
    status: 'off',
    reason: 'x',
    criteria: 'Slot?',
    channel: { type: 'rest-hook' },
  },
  { resourceType: 'Device', id: 'one', status: 'active' },
  {
    resourceType: 'Endpoint',
    id: 'one',
    status: 'active',
    connectionType: { code: 'x' },
    payloadType: [{ text: 'x' }],
    address: 'https://x.example',
  },
  { resourceType: 'ChargeItemDefinition', id: 'one', url: 'urn:test:price', status: 'active' },
  {
    resourceType: 'PaymentNotice',
    id: 'one',
    status: 'active',
    payment: { display: 'x' },
    recipient: { display: 'x' },
    amount: { value: 1, currency: 'EUR' },
    created: '2030-01-01',
  },
  {
    resourceType: 'PaymentReconciliation',
    id: 'one',
    status: 'active',
    created: '2030-01-01',
    paymentDate: '2030-01-01',
    paymentAmount: { value: 1, currency: 'EUR' },
  },
];

/** What is served from the definitions themselves, in hundreds. */
const DEFINED = new Set([
  'CodeSystem',
  'CompartmentDefinition',
  'OperationDefinition',
  'SearchParameter',
  'StructureDefinition',
  'ValueSet',
]);
/** Written by the audit domain alone. */
const BY_HAND = new Set(['AuditEvent']);

beforeAll(async () => {
  world = await openWorld();
  send = client(world.server);
  world.as(everything);
  for (const resource of more) {
    const { resourceType, id } = resource as { resourceType: string; id: string };
    const answer = await send('PUT', `${resourceType}/${id}`, resource);
    if (answer.status !== 201) throw new Error(answer.text);
  }
  const { engine } = world.server;
  for (const type of engine.resources.keys()) {
    if (DEFINED.has(type)) continue;
    for (const { resource } of ((await send('GET', `${type}?_count=1000`)).body as unknown as Bundle).entry ?? [])
      if (resource) rows.set(`${resource.resourceType}/${resource.id}`, resource as unknown as Record<string, unknown>);
  }
  const standing = await standingOf(engine, ['Practitioner/dr']);
  const add = (name: string, roles: readonly PolicyRole[], patients: readonly string[] = []): void => {
    const rights = person(roles, { patients, ...(roles.includes('physician') ? standing : {}) });
    actors.set(name, { roles, patients, access: token(world, 'user/*.cruds', { rights, patient: undefined }) });
  };
  actors.set('anonymous', { roles: ['anonymous'], patients: [], access: anonymousAccess(engine) });
  add('patient', ['patient'], ['a']);
  add('RelatedPerson of a', ['patient'], ['a']);
  add('RelatedPerson of nobody any more', ['patient']);
  for (const role of ROLES_OF_POLICY) if (role !== 'anonymous' && role !== 'patient') add(role, [role]);
  add('physician who is a patient', ['physician', 'patient'], ['b']);
  add('front desk and billing', ['front-desk', 'billing']);
  add('account without roles', []);
  actors.set('system', {
    roles: [],
    patients: [],
    access: token(world, 'system/*.cruds', { rights: { kind: 'system' }, patient: undefined }),
  });
  actors.set('nobody', {
    roles: [],
    patients: [],
    access: token(world, 'openid', { rights: person(ROLES_OF_POLICY) }),
  });
});
afterAll(() => world.close());

const typeOf = (name: string): string => name.slice(0, name.indexOf('/'));

/** Whether a row is where a rule reaches: judged on its text, by hand. */
function reaches(where: Where, name: string, patients: readonly string[]): boolean {
  const type = typeOf(name);
  const row = rows.get(name) ?? {};
  const text = JSON.stringify(row);
  const { definitions } = world.server.engine;
  switch (where) {
    case 'all':
      return true;
    case 'public':
      if (type === 'Slot') return row['status'] === 'free';
      return DIRECTORY_TYPES.has(type) && !(type === 'Schedule' && /"(?:Patient|RelatedPerson)\//.test(text));
    case 'own':
    case 'own alone': {
      const codes = type === 'Group' ? [] : (definitions.compartments.get('Patient')?.resources[type] ?? []);
      const named = codes.flatMap((code) => {
        const param = definitions.searchParams(type).get(code);
        return param
          ? listValues(row, param).map(({ value }) => String((value as { reference?: string }).reference))
          : [];
      });
      const isOwn = patients.some((p) => named.includes(`Patient/${p}`) || name === `Patient/${p}`);
      const others = named.some((n) => n.startsWith('Patient/') && !patients.includes(n.slice(8)));
      return isOwn && (where === 'own' || !others);
    }
    case 'mine':
      if (type === 'Slot') return text.includes('"Schedule/dr"');
      return /"(?:Practitioner|PractitionerRole)\/dr"/.test(text);
    case 'seen': {
      if (name === 'Patient/a') return true;
      const param = definitions.searchParams(type).get('patient');
      return (
        param !== undefined &&
        listValues(row, param).some(({ value }) => (value as { reference?: string }).reference === 'Patient/a')
      );
    }
    default:
      return where satisfies never;
  }
}

/** What the policy gives an actor. */
const may = (actor: string, letter: string, name: string): boolean => {
  const { roles = [], patients = [] } = actors.get(actor) ?? {};
  if (actor === 'system') return true;
  return POLICY.some(
    (r) =>
      roles.includes(r.who) &&
      r.may.includes(letter) &&
      r.types.includes(typeOf(name)) &&
      reaches(r.where, name, patients),
  );
};
const rowsFor = (actor: string, letter: string, type: string): string[] =>
  [...rows.keys()].filter((name) => typeOf(name) === type && may(actor, letter, name)).sort();

const idsOf = (answer: Answer): string[] =>
  ((answer.body as unknown as Bundle).entry ?? []).flatMap(({ resource }) =>
    resource && resource.resourceType !== 'OperationOutcome' && resource.resourceType !== 'Bundle'
      ? [`${resource.resourceType}/${resource.id}`]
      : [],
  );
const types = (): string[] =>
  [...world.server.engine.resources.keys()].filter((t) => !DEFINED.has(t) && !BY_HAND.has(t));
const signedIn = (): string[] => [...actors.keys()].filter((a) => a !== 'anonymous' && a !== 'nobody');

test('no cell is unknown: every served type has rows, every role an actor, every rule rows that it opens and rows that it does not', () => {
  for (const type of types())
    expect(rows.size > 0 && [...rows.keys()].some((n) => typeOf(n) === type), type).toBe(true);
  const acting = new Set([...actors.values()].flatMap(({ roles }) => roles));
  expect([...acting].sort()).toEqual([...ROLES_OF_POLICY].sort());
  for (const { who, types: of, where, may: letters } of POLICY) {
    for (const type of of.filter((t) => types().includes(t))) {
      const all = [...rows.keys()].filter((n) => typeOf(n) === type);
      const open = all.filter((n) => reaches(where, n, who === 'patient' ? ['a'] : []));
      expect(open.length, `${who} ${letters} ${type} ${where}`).toBeGreaterThan(0);
      if (where !== 'all' && where !== 'public')
        expect(open.length, `${who} ${type} ${where}`).toBeLessThan(all.length);
    }
  }
});

let cells = 0;
describe.each([
  'patient',
  'RelatedPerson of a',
  'RelatedPerson of nobody any more',
  'physician',
  'front-desk',
  'billing',
  'admin',
  'privacy-officer',
  'physician who is a patient',
  'front desk and billing',
  'account without roles',
  'system',
])('%s', (actor) => {
  const wrong: string[] = [];
  const check = (what: string, found: unknown, expected: unknown): void => {
    cells++;
    if (JSON.stringify(found) !== JSON.stringify(expected))
      wrong.push(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
  };
  const asActor = (): void => world.as(actors.get(actor)?.access ?? everything);

  test('read, vread, history of an instance; by batch and transaction', async () => {
    asActor();
    for (const type of types()) {
      for (const name of [...rows.keys()].filter((n) => typeOf(n) === type)) {
        const status = may(actor, 'r', name) ? 200 : 404;
        check(name, (await send('GET', name)).status, status);
        check(`${name}/_history`, (await send('GET', `${name}/_history`)).status, status);
        if (name !== 'Communication/came')
          check(`${name}/_history/1`, (await send('GET', `${name}/_history/1`)).status, status);
      }
    }
    const names = [...rows.keys()].filter((_, i) => i % 3 === 0);
    for (const type of ['batch', 'transaction'] as const) {
      for (const name of names) {
        const entry = [{ request: { method: 'GET', url: name } }];
        const answer = await send('POST', '', { resourceType: 'Bundle', type, entry });
        check(`${type} ${name}`, idsOf(answer), may(actor, 'r', name) ? [name] : []);
      }
    }
    expect(wrong.splice(0).slice(0, 10)).toEqual([]);
  }, 120_000);

  test('search, count, POST _search, history of the type, the system, compartments, includes, chains, _has', async () => {
    asActor();
    const visible = new Set([...rows.keys()].filter((n) => may(actor, 's', n)));
    const own = (answer: Answer): string[] => idsOf(answer).filter((n) => rows.has(n) || !DEFINED.has(typeOf(n)));
    for (const type of types()) {
      const expected = rowsFor(actor, 's', type);
      check(type, idsOf(await send('GET', `${type}?_count=1000`)).sort(), expected);
      check(`${type} count`, (await send('GET', `${type}?_summary=count`)).body['total'], expected.length);
      const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
      check(`${type}/_search`, idsOf(await send('POST', `${type}/_search`, '_count=1000', form)).sort(), expected);
      check(`?_type=${type}`, idsOf(await send('GET', `?_type=${type}&_count=1000`)).sort(), expected);
      const versions = [...new Set(idsOf(await send('GET', `${type}/_history?_count=1000`)))].sort();
      check(`${type}/_history`, versions, expected);
      for (const way of ['_include=*', '_revinclude=*', '_include=*&_include:iterate=*&_revinclude:iterate=*']) {
        const odd = own(await send('GET', `${type}?${way}&_count=1000`)).filter((n) => rows.has(n) && !visible.has(n));
        check(`${type}?${way}`, odd, []);
      }
      // By what refers to a row, and by what it refers to, as much is found as by its own id.
      for (const param of world.server.engine.definitions.searchParams(type).values()) {
        if (param.type !== 'reference' || !param.datatypes.has('Reference')) continue;
        for (const target of param.targets.filter((t) => t === 'Patient' || t === 'Practitioner')) {
          for (const id of target === 'Patient' ? ['a', 'b'] : ['dr']) {
            const known = visible.has(`${target}/${id}`);
            const chain = await send('GET', `${type}?${param.code}:${target}._id=${id}&_count=1000`);
            if (!known) check(`${type}?${param.code}:${target}._id=${id}`, idsOf(chain), []);
            else
              check(
                `${type}?${param.code}:${target}._id=${id}`,
                idsOf(chain).filter((n) => !visible.has(n)),
                [],
              );
            const has = await send(
              'GET',
              `${target}?_has:${type}:${param.code}:_id=by-${param.code.replaceAll('_', '')}-b`,
            );
            check(
              `${target}?_has:${type}:${param.code}`,
              idsOf(has).filter((n) => !visible.has(n)),
              [],
            );
            if (!visible.has(`${type}/by-${param.code}-b`))
              check(`${target}?_has:${type}:${param.code} of b`, idsOf(has), []);
          }
        }
      }
    }
    for (const id of ['a', 'b']) {
      const answer = await send('GET', `Patient/${id}/*?_count=1000`);
      check(
        `Patient/${id}/*`,
        idsOf(answer).filter((n) => !visible.has(n)),
        [],
      );
      const all = await send('GET', `Patient/${id}/$everything`);
      check(`Patient/${id}/$everything`, all.status, may(actor, 'r', `Patient/${id}`) ? 200 : 404);
      check(
        `Patient/${id}/$everything`,
        idsOf(all).filter((n) => rows.has(n) && !visible.has(n)),
        [],
      );
    }
    check(
      '_history',
      idsOf(await send('GET', '_history?_count=1000')).filter((n) => rows.has(n) && !visible.has(n)),
      [],
    );
    expect(wrong.splice(0).slice(0, 10)).toEqual([]);
  }, 240_000);

  test('update, patch, delete; by criteria, batch and transaction; create', async () => {
    asActor();
    const stale = { 'If-Match': 'W/"999"' };
    for (const name of rows.keys()) {
      const [type = '', id = ''] = name.split('/');
      const interactions: readonly string[] = world.server.engine.resources.get(type)?.interactions ?? [];
      const seen = may(actor, 'r', name) || may(actor, 's', name);
      if (interactions.includes('patch')) {
        const patch = [{ op: 'add', path: '/language', value: 'de' }];
        const expected = may(actor, 'u', name) ? 412 : seen ? 403 : 404;
        check(`PATCH ${name}`, (await send('PATCH', name, patch, stale)).status, expected);
        if (expected !== 412) {
          const { status } = await send('PATCH', `${type}?_id=${id}`, patch);
          check(`PATCH ${type}?_id=${id}`, status, may(actor, 's', name) ? 403 : 404);
        }
      }
      if (interactions.includes('delete')) {
        const allowed = may(actor, 'd', name);
        if (allowed)
          check(`DELETE ${name}`, [405, 412].includes((await send('DELETE', name, undefined, stale)).status), true);
        else {
          check(`DELETE ${name}`, (await send('DELETE', name)).status, seen ? 403 : 204);
          check(
            `DELETE ${type}?_id=${id}`,
            (await send('DELETE', `${type}?_id=${id}`)).status,
            may(actor, 's', name) ? 403 : 204,
          );
        }
      }
      if (!may(actor, 'u', name) && interactions.includes('update') && name.length % 3 === 0) {
        for (const bundle of ['batch', 'transaction']) {
          const entry = [{ request: { method: 'PUT', url: name }, resource: rows.get(name) }];
          const answer = await send('POST', '', { resourceType: 'Bundle', type: bundle, entry });
          const [first] = (answer.body as unknown as Bundle).entry ?? [];
          const status = answer.status === 200 ? Number(first?.response?.status?.slice(0, 3)) : answer.status;
          // Also what is wrong with it may be told first.
          check(`${bundle} PUT ${name}`, status >= 400 && status < 500, true);
        }
      }
    }
    for (const type of types()) {
      if (!world.server.engine.resources.get(type)?.interactions.includes('create')) continue;
      const { status } = await send('POST', type, { resourceType: type, id: 'x', language: 5 });
      const { roles = [], patients = [] } = actors.get(actor) ?? {};
      const rules = POLICY.filter((r) => roles.includes(r.who) && r.may.includes('c') && r.types.includes(type));
      const allowed = actor === 'system' || rules.some((r) => r.where !== 'own alone' || patients.length > 0);
      check(`POST ${type}`, status === 403, !allowed);
    }
    // Nothing has changed.
    world.as(everything);
    for (const [name, { meta }] of rows) {
      const etag = (await send('GET', name)).headers.get('etag');
      check(`${name} afterwards`, etag, `W/"${(meta as { versionId: string }).versionId}"`);
    }
    expect(wrong.splice(0).slice(0, 10)).toEqual([]);
  }, 240_000);
});

test('a token without resource scopes reaches nothing, whatever its person may', async () => {
  world.as(actors.get('nobody')?.access ?? everything);
  for (const type of types()) {
    expect((await send('GET', `${type}?_count=1`)).status, type).toBe(403);
    expect((await send('GET', `${type}/a`)).status, type).toBe(403);
  }
});

/** How an operation is called so that all it needs to know is what it is called on. */
const OPERATIONS: Readonly<Record<string, readonly object[]>> = {
  book: [],
  cancel: [],
  'chart-link': [],
  'check-in': [],
  complete: [],
  confirm: [],
  cover: [{ name: 'practitioner', valueReference: { reference: 'Practitioner/shared' } }],
  block: [
    { name: 'start', valueDateTime: '2030-05-01T09:00:00Z' },
    { name: 'end', valueDateTime: '2030-05-01T10:00:00Z' },
  ],
  everything: [],
  expand: [],
  explain: [],
  find: [],
  'follow-up': [],
  hold: [],
  launch: [],
  lookup: [],
  'no-show': [],
  release: [],
  reschedule: [{ name: 'start', valueDateTime: '2030-05-01T09:00:00Z' }],
  'timezone-impact': [],
  unblock: [],
  validate: [],
  'validate-code': [],
};

test('every operation, for every actor: what they do not see answers as what is not there', async () => {
  const { engine } = world.server;
  expect([...new Set(engine.operations.map((o) => o.code))].sort()).toEqual(Object.keys(OPERATIONS).sort());
  const wrong: string[] = [];
  let compared = 0;
  for (const actor of signedIn()) {
    if (actor === 'system') continue;
    world.as(actors.get(actor)?.access ?? everything);
    for (const operation of engine.operations.filter((o) => o.instance)) {
      for (const type of operation.resourceTypes ?? types()) {
        const foreign = [...rows.keys()].find(
          (n) => typeOf(n) === type && !may(actor, 'r', n) && !may(actor, 's', n) && !may(actor, 'u', n),
        );
        if (foreign === undefined) continue;
        const call = async (name: string): Promise<unknown> => {
          const parameter = OPERATIONS[operation.code] ?? [];
          const body = { resourceType: 'Parameters', ...(parameter.length > 0 ? { parameter } : {}) };
          const answer = await send('POST', `${name}/$${operation.code}`, body);
          return [answer.status, answer.text.replaceAll(name, '?')];
        };
        const [there, missing] = [await call(foreign), await call(`${type}/no-such-id`)];
        compared++;
        if (JSON.stringify(there) !== JSON.stringify(missing))
          wrong.push(`${actor} ${foreign}/$${operation.code}: ${JSON.stringify(there)} ${JSON.stringify(missing)}`);
      }
    }
    // A patient named in a parameter.
    if (may(actor, 'r', 'Patient/b')) continue;
    for (const [path, name] of [
      ['Appointment/$book', 'patient-reference'],
      ['Appointment/$hold', 'patient-reference'],
      ['$launch', 'patient'],
    ] as const) {
      const call = async (patient: string): Promise<unknown> => {
        const parameter = [
          { name: 'client', valueString: 'x' },
          {
            name: 'appointment-resource',
            resource: {
              resourceType: 'Appointment',
              status: 'proposed',
              start: '2030-06-03T09:00:00Z',
              end: '2030-06-03T09:30:00Z',
              participant: [{ actor: { reference: 'Practitioner/shared' }, status: 'accepted' }],
            },
          },
          { name, valueReference: { reference: `Patient/${patient}` } },
        ].filter((p) => (p.name === 'client') === (path === '$launch') || p.name === name);
        const answer = await send('POST', path, { resourceType: 'Parameters', parameter });
        return [answer.status, answer.text.replaceAll(`Patient/${patient}`, '?')];
      };
      const [there, missing] = [await call('b'), await call('no-such-id')];
      compared++;
      if (JSON.stringify(there) !== JSON.stringify(missing))
        wrong.push(`${actor} ${path}: ${JSON.stringify(there)} ${JSON.stringify(missing)}`);
    }
  }
  expect(wrong).toEqual([]);
  expect(compared).toBeGreaterThan(100);
}, 120_000);

test('page links are for those who see the same', async () => {
  const [first, second] = ['front-desk', 'system'].map((a) => actors.get(a)?.access ?? everything);
  for (const [name, { access }] of actors) {
    if (name === 'anonymous' || name === 'nobody') continue;
    world.as(access);
    const page = await send('GET', 'Practitioner?_count=1&_sort=_lastUpdated');
    const next = ((page.body as unknown as Bundle).link ?? [])
      .find((l) => l.relation === 'next')
      ?.url.replace(/^.*\/fhir\/R4\//, '');
    if (next === undefined) {
      expect(name).toBe('account without roles');
      continue;
    }
    expect((await send('GET', next)).status, name).toBe(200);
    world.as((name === 'front-desk' ? second : first) ?? everything);
    expect((await send('GET', next)).status, `the link of ${name}`).toBeGreaterThanOrEqual(400);
  }
});

test('so many cells', () => {
  expect(cells).toBeGreaterThan(20_000);
});
