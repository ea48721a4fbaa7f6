/** security.md A2.3: every scope of SMART against every type and every interaction, judged by an oracle that knows the table only. */
import { person, type Rights } from '../../src/auth/access/person.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Interaction } from '../../src/fhir/access.ts';
import { FhirError } from '../../src/fhir/outcome.ts';
import { client, type Send } from '../http/client.ts';
import { openWorld, token, type World } from './access-world.ts';

let world: World;
let send: Send;
let types: string[];
beforeAll(async () => {
  world = await openWorld();
  send = client(world.server);
  types = [...world.server.engine.resources.keys()];
});
afterAll(() => world.close());

const V1: Readonly<Record<string, string>> = { read: 'rs', write: 'cud', '*': 'cruds' };
const COMBINATIONS = Array.from({ length: 31 }, (_, i) =>
  [...'cruds'].filter((_l, bit) => ((i + 1) >> bit) & 1).join(''),
);
const ACTIONS = [...Object.keys(V1), ...COMBINATIONS];
const NEEDS: Readonly<Partial<Record<Interaction, string>>> = {
  read: 'r',
  vread: 'r',
  'history-instance': 'r',
  'search-type': 's',
  'history-type': 's',
  create: 'c',
  update: 'u',
  patch: 'u',
  delete: 'd',
};
const RIGHTS: readonly (readonly [string, Rights])[] = [
  ['system', { kind: 'system' }],
  ['front desk', person(['front-desk'])],
  ['patient', person(['patient'], { patients: ['a'] })],
];

const refusal = (work: () => void): number => {
  try {
    work();
    return 200;
  } catch (error) {
    if (error instanceof FhirError) return error.status;
    throw error;
  }
};

describe.each(RIGHTS)('for a %s', (who, rights) => {
  test('each scope opens its own letters on its own type, and nothing else', () => {
    const wrong: string[] = [];
    let cells = 0;
    for (const level of ['patient', 'user', 'system']) {
      for (const scopeType of ['*', ...types]) {
        for (const action of ACTIONS) {
          const scope = `${level}/${scopeType}.${action}`;
          const access = token(world, scope, { rights, patient: 'a' });
          const letters = V1[action] ?? action;
          const counts = (level === 'system') === (who === 'system');
          // All types for the wildcard; for one type that type, and others of which the next pair is different each time.
          const at = types.indexOf(scopeType);
          for (const type of at < 0 ? types : [...types, ...types].slice(at, at + 3)) {
            for (const [interaction, letter] of Object.entries(NEEDS)) {
              const opened = counts && (scopeType === '*' || scopeType === type) && letters.includes(letter);
              const status = refusal(() => access.demand(interaction as Interaction, type));
              // What may be created at all depends on the rows as well; tested where they are.
              const expected = opened && !(interaction === 'create' && status === 403 && who !== 'system') ? 200 : 403;
              if (status !== expected) wrong.push(`${scope} ${interaction} ${type}: ${status}`);
              cells++;
            }
            for (const [act, letter] of [
              ['read', 'r'],
              ['search', 's'],
              ['create', 'c'],
              ['update', 'u'],
              ['delete', 'd'],
            ] as const) {
              const opened = counts && (scopeType === '*' || scopeType === type) && letters.includes(letter);
              if (!opened && access.to(act).reach(type) !== 'none') wrong.push(`${scope} reaches ${type} to ${act}`);
              if (opened && level !== 'patient' && who === 'system' && access.to(act).reach(type) !== 'all')
                wrong.push(`${scope} does not reach all of ${type} to ${act}`);
            }
          }
        }
      }
    }
    expect(wrong.slice(0, 20)).toEqual([]);
    expect(cells).toBeGreaterThan(100_000);
  }, 60_000);
});

test('without a patient in context, patient/ scopes open nothing', () => {
  const access = token(world, 'patient/*.cruds', { patient: undefined });
  for (const type of types) {
    for (const act of ['create', 'read', 'update', 'delete', 'search', 'refer'] as const)
      expect(access.to(act).reach(type), `${act} ${type}`).toBe('none');
  }
});

test('a patient whom the person may not act for is nobody to them, whatever the token says', () => {
  const access = token(world, 'patient/*.cruds', { patient: 'b' });
  for (const type of types) expect(access.to('read').reach(type)).toBe('none');
});

test('over HTTP: 403 with insufficient_scope for every interaction that the scope leaves out', async () => {
  const wrong: string[] = [];
  const calls: readonly (readonly [string, string, (type: string) => Promise<{ status: number; headers: Headers }>])[] =
    [
      ['read', 'r', (t) => send('GET', `${t}/x`)],
      ['vread', 'r', (t) => send('GET', `${t}/x/_history/1`)],
      ['history-instance', 'r', (t) => send('GET', `${t}/x/_history`)],
      ['search-type', 's', (t) => send('GET', `${t}?_count=0`)],
      ['history-type', 's', (t) => send('GET', `${t}/_history?_count=1`)],
      ['create', 'c', (t) => send('POST', t, { resourceType: t })],
      ['update', 'u', (t) => send('PUT', `${t}/x`, { resourceType: t, id: 'x' })],
      ['patch', 'u', (t) => send('PATCH', `${t}/x`, [])],
      ['delete', 'd', (t) => send('DELETE', `${t}/no-such-thing`)],
    ];
  for (const type of types) {
    const served = world.server.engine.resources.get(type)?.interactions ?? [];
    for (const letter of 'cruds') {
      world.as(token(world, `system/${type}.${letter} system/Nonsense.cruds`, { rights: { kind: 'system' } }));
      for (const [interaction, needs, call] of calls) {
        if (!served.includes(interaction as 'read')) continue;
        const { status, headers } = await call(type);
        const refused = status === 403;
        if (refused === (letter === needs)) wrong.push(`.${letter} ${interaction} ${type}: ${status}`);
        if (refused && headers.get('www-authenticate') !== 'Bearer realm="Kairos", error="insufficient_scope"')
          wrong.push(`${interaction} ${type}: ${headers.get('www-authenticate')}`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

test('several scopes of one type add up; each letter keeps its own filter', async () => {
  const ids = async (path: string): Promise<string[]> => {
    const { body } = await send('GET', path);
    return ((body['entry'] ?? []) as unknown as { resource: { id: string } }[]).map((e) => e.resource.id).sort();
  };
  const system = { rights: { kind: 'system' } } as const;
  world.as(token(world, 'system/Slot.s?status=free system/Slot.r?status=busy', system));
  expect(await ids('Slot')).toEqual(['free']);
  expect((await send('GET', 'Slot/free')).status).toBe(404);
  expect((await send('GET', 'Slot/busy')).status).toBe(200);
  expect((await send('GET', 'Slot?status=busy&_total=accurate')).body['total']).toBe(0);
  world.as(token(world, 'system/Slot.rs?status=free system/Slot.rs?status=busy', system));
  expect(await ids('Slot')).toEqual(['busy', 'free']);
  world.as(token(world, 'system/Slot.rs?status=free&schedule=Schedule/other', system));
  expect(await ids('Slot')).toEqual([]);
  world.as(token(world, 'system/Slot.rs?status=free,busy', system));
  expect(await ids('Slot')).toEqual(['busy', 'free']);
  // Filters reach through chains, _has and includes.
  world.as(token(world, 'system/*.rs?_id=a system/Appointment.rs system/Slot.rs?status=free', system));
  expect(await ids('Appointment?slot.status=busy')).toEqual([]);
  world.as(token(world, 'system/Appointment.rs system/Slot.rs?status=free system/Schedule.rs', system));
  expect(await ids('Appointment?_id=visit-a&_include=Appointment:slot')).toEqual(['visit-a']);
  expect(await ids('Schedule?_has:Slot:schedule:status=busy')).toEqual([]);
  expect(await ids('Schedule?_has:Slot:schedule:status=free')).toEqual(['shared']);
  expect(await ids('Schedule?_id=shared&_revinclude=Slot:schedule')).toEqual(['free', 'shared']);
});

test('filters that cannot be enforced exactly open nothing', () => {
  for (const filter of [
    'nonsense=1',
    'status:nonsense=free',
    'start=apfoo',
    'start=ap2030-01-01',
    '_count=1',
    '_sort=start',
    '_include=Slot:schedule',
    '_has:Appointment:slot:status=booked',
    'status=',
  ]) {
    const access = token(world, `system/Slot.rs?${filter}`, { rights: { kind: 'system' } });
    expect(access.to('search').reach('Slot'), filter).toBe('none');
  }
});
