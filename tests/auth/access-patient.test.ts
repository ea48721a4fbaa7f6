/** security.md A1: what a patient's app sees is theirs, by whatever way it asks. */
import { person } from '../../src/auth/access/person.ts';
import type { Bundle } from '@medplum/fhirtypes';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Access } from '../../src/fhir/access.ts';
import { includesOf, revIncludesOf } from '../../src/fhir/search/info.ts';
import { client, type Answer, type Send } from '../http/client.ts';
import { everything } from '../support/everything.ts';
import { CANARY, DIRECTORY_TYPES, MEMBERSHIP, openWorld, token, type World } from './access-world.ts';

let world: World;
let send: Send;
let ofA: Access;
beforeAll(async () => {
  world = await openWorld();
  send = client(world.server);
  ofA = token(world, 'patient/*.cruds');
});
afterAll(() => world.close());
beforeEach(() => world.as(ofA));

const DEFINITIONS =
  /^(?:CodeSystem|CompartmentDefinition|OperationDefinition|SearchParameter|StructureDefinition|ValueSet)$/;
const types = (): string[] => [...world.server.engine.resources.keys()].filter((t) => !DEFINITIONS.test(t));
const namesOf = (answer: Answer): string[] =>
  ((answer.body as unknown as Bundle).entry ?? []).flatMap(({ resource }) =>
    resource === undefined || resource.resourceType === 'OperationOutcome'
      ? []
      : [`${resource.resourceType}/${resource.id}`],
  );
const visibleOf = (type: string): string[] => [...world.ofA].filter((n) => n.startsWith(`${type}/`)).sort();

/** Looks at an answer with the eyes of a, and says what it should not have. */
function leaks(answer: Answer): string[] {
  const found = namesOf(answer).filter((name) => !world.ofA.has(name) && !DEFINITIONS.test(name.split('/')[0] ?? ''));
  if (answer.text.includes(CANARY)) found.push('a canary');
  if (answer.status >= 500) found.push(String(answer.status));
  return found;
}

/** The same question to both; what all see shows that the question could have leaked. */
async function probe(paths: readonly string[], method = 'GET', body?: unknown): Promise<number> {
  const wrong: string[] = [];
  let telling = 0;
  for (const path of paths) {
    world.as(everything);
    const all = await send(method, path, body);
    if (all.text.includes(CANARY)) telling++;
    world.as(ofA);
    const seen = await send(method, path, body);
    for (const leak of leaks(seen)) wrong.push(`${path}: ${leak}`);
  }
  expect(wrong).toEqual([]);
  return telling;
}

describe('A1.5 membership is that of the CompartmentDefinition', () => {
  test('every row of the definition leads in, and no other reference does', async () => {
    const served = Object.keys(world.server.engine.definitions.compartments.get('Patient')?.resources ?? {})
      .filter((t) => world.server.engine.resources.has(t))
      .sort();
    expect(Object.keys(MEMBERSHIP)).toEqual(served.filter((t) => t !== 'AuditEvent' && t !== 'Group'));
    for (const type of types()) {
      expect(namesOf(await send('GET', `${type}?_count=1000`)).sort(), type).toEqual(visibleOf(type));
      expect((await send('GET', `${type}?_summary=count`)).body['total'], type).toBe(visibleOf(type).length);
      if (!MEMBERSHIP[type] && !DIRECTORY_TYPES.has(type)) expect(visibleOf(type), type).toEqual([]);
    }
    expect([...world.ofA].length).toBeGreaterThan(30);
  });

  test('each is read by its id; what is not, is not', async () => {
    for (const name of world.ofA) expect((await send('GET', name)).status, name).toBe(200);
    for (const name of world.hidden) expect((await send('GET', name)).status, name).toBe(404);
    for (const name of world.hidden) {
      const [type = '', id = ''] = name.split('/');
      for (const path of [`${type}?_id=${id}`, `${name}/_history`, `${name}/_history/1`, `${type}/${id}?_summary=true`])
        expect(leaks(await send('GET', path)), path).toEqual([]);
    }
  });
});

describe('A1.3, A1.4, A1.9 searches', () => {
  test('by every parameter, with everything included', async () => {
    const paths = types().flatMap((type) =>
      [...world.server.engine.definitions.searchParams(type).keys()].flatMap((code) => [
        `${type}?${code}:missing=false&_include=*&_revinclude=*&_count=1000`,
        `${type}?${code}:missing=true&_count=1000&_total=accurate`,
      ]),
    );
    expect(await probe(paths)).toBeGreaterThan(400);
  }, 120_000);

  test('every include and revinclude, and all of them iterated', async () => {
    const { engine } = world.server;
    const paths = types().flatMap((type) => [
      ...includesOf(engine, type).map((i) => `${type}?_include=${i}`),
      ...revIncludesOf(engine, type).map((i) => `${type}?_revinclude=${i}`),
    ]);
    expect(await probe(paths)).toBeGreaterThan(200);
    for (const type of types()) {
      const answer = await send('GET', `${type}?_include=*&_include:iterate=*&_revinclude:iterate=*&_count=1000`);
      expect([answer.status, leaks(answer)], type).toEqual([200, []]);
    }
  }, 120_000);

  test('every chain and _has: what is hidden neither matches nor counts', async () => {
    const { engine } = world.server;
    const paths: string[] = [];
    for (const type of types()) {
      for (const param of engine.definitions.searchParams(type).values()) {
        if (param.type !== 'reference') continue;
        for (const target of param.targets.filter((t) => types().includes(t))) {
          paths.push(
            `${type}?${param.code}:${target}._tag=${CANARY}`,
            `${target}?_has:${type}:${param.code}:_tag=${CANARY}`,
          );
        }
      }
    }
    const wrong: string[] = [];
    let telling = 0;
    for (const path of paths) {
      world.as(everything);
      const all = await send('GET', `${path}&_total=accurate`);
      expect(all.status, `${path} ${all.text}`).toBe(200);
      if (Number(all.body['total']) > 0) telling++;
      world.as(ofA);
      const { body, status } = await send('GET', `${path}&_total=accurate`);
      if (status !== 200 || Number(body['total']) !== 0) wrong.push(`${path}: ${status} ${String(body['total'])}`);
    }
    expect(wrong).toEqual([]);
    expect(telling).toBeGreaterThan(50);
  }, 120_000);

  test('yes-or-no questions tell nothing of the other patient', async () => {
    for (const path of [
      'Patient?birthdate=lt1995',
      'Patient?family=Beta',
      'Appointment?patient.family=Beta',
      'Appointment?actor:Patient.birthdate=gt1985',
      'Location?_has:Appointment:location:patient.family=Beta',
      'Practitioner?_has:Appointment:practitioner:patient=Patient/b',
      'Slot?_has:Appointment:slot:patient=Patient/b',
      'Schedule?_has:Slot:schedule:_has:Appointment:slot:patient=Patient/b',
      'Patient?_has:Appointment:patient:location.name=Room&family=Beta',
    ]) {
      world.as(everything);
      const all = await send('GET', `${path}&_total=accurate`);
      world.as(ofA);
      const seen = await send('GET', `${path}&_total=accurate`);
      const own = namesOf(seen);
      expect(leaks(seen), path).toEqual([]);
      if (!path.includes('lt1995')) expect([path, own]).toEqual([path, []]);
      expect(Number(all.body['total']), path).toBeGreaterThanOrEqual(
        1 - Number(path.startsWith('Slot') || path.includes('_has:Slot')),
      );
    }
  });

  test('sorted, in pages, summarised: the order and the number of what is seen are those of what is seen', async () => {
    for (const type of types()) {
      const seen: string[] = [];
      let path: string | undefined = `${type}?_sort=-_lastUpdated&_count=2&_total=accurate`;
      while (path !== undefined) {
        const page: Answer = await send('GET', path);
        expect(leaks(page), path).toEqual([]);
        expect(page.body['total'], path).toBe(visibleOf(type).length);
        seen.push(...namesOf(page));
        const next = (page.body as unknown as Bundle).link?.find((l) => l.relation === 'next')?.url;
        path = next?.slice(next.indexOf('/fhir/R4/') + 9);
      }
      expect(seen.sort(), type).toEqual(visibleOf(type));
    }
  });

  test('a page link is for whoever got it', async () => {
    world.as(everything);
    const { body } = await send('GET', 'Communication?_count=1&_sort=_lastUpdated');
    const next = (body as unknown as Bundle).link?.find((l) => l.relation === 'next')?.url ?? '';
    const history = await send('GET', 'Communication/_history?_count=1');
    const older = (history.body as unknown as Bundle).link?.find((l) => l.relation === 'next')?.url ?? '';
    world.as(ofA);
    for (const url of [next, older]) {
      const answer = await send('GET', url.slice(url.indexOf('/fhir/R4/') + 9));
      expect([answer.status, leaks(answer)]).toEqual([400, []]);
    }
  });

  test('compartments and the system', async () => {
    const kinds = types();
    const paths = [
      'Patient/a/*?_count=1000',
      'Patient/b/*?_count=1000',
      'Practitioner/shared/*?_count=1000&_include=*&_revinclude=*',
      ...kinds.flatMap((t) => (MEMBERSHIP[t] ? [`Patient/a/${t}?_include=*`, `Patient/b/${t}?_revinclude=*`] : [])),
      `?_type=${kinds.join(',')}&_count=1000`,
      '?_tag:missing=false&_count=1000',
      `?_type=Patient,Appointment&_include=*&_revinclude=*`,
      '_history?_count=1000',
      ...kinds.map((t) => `${t}/_history?_count=1000`),
      ...kinds.map((t) => `${t}/_history?_count=0`),
    ];
    expect(await probe(paths)).toBeGreaterThan(40);
  }, 120_000);

  test('POST _search is as good as GET', async () => {
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
    for (const type of types()) {
      const answer = await send('POST', `${type}/_search`, '_include=*&_revinclude=*&_count=500', form);
      expect([answer.status, leaks(answer)], type).toEqual([200, []]);
    }
  });
});

describe('A1.7 versions', () => {
  test('what was another patient’s is not shown with what is mine', async () => {
    const history = await send('GET', 'Communication/came/_history');
    expect([history.body['total'], leaks(history)]).toEqual([1, []]);
    expect((await send('GET', 'Communication/came/_history/2')).status).toBe(200);
    expect((await send('GET', 'Communication/came/_history/1')).status).toBe(404);
  });

  test('what was mine is gone with what it became', async () => {
    for (const path of ['Communication/went', 'Communication/went/_history', 'Communication/went/_history/1'])
      expect((await send('GET', path)).status, path).toBe(404);
  });
});

describe('A1.8 a foreign id answers as a missing one', () => {
  const raw = (answer: Answer, id: string): string => {
    const headers = [...answer.headers].filter(([name]) => name !== 'x-request-id' && name !== 'date');
    return JSON.stringify([answer.status, headers, answer.text])
      .replaceAll(new RegExp(`\\b${id}\\b`, 'g'), '·')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'T');
  };

  const calls: readonly (readonly [string, (type: string, id: string, body: object) => Promise<Answer>])[] = [
    ['read', (t, i) => send('GET', `${t}/${i}`)],
    ['head', (t, i) => send('HEAD', `${t}/${i}`)],
    ['read if-none-match', (t, i) => send('GET', `${t}/${i}`, undefined, { 'If-None-Match': 'W/"1"' })],
    ['vread', (t, i) => send('GET', `${t}/${i}/_history/1`)],
    ['history', (t, i) => send('GET', `${t}/${i}/_history`)],
    ['update', (t, i, b) => send('PUT', `${t}/${i}`, { ...b, id: i })],
    ['update if-match', (t, i, b) => send('PUT', `${t}/${i}`, { ...b, id: i }, { 'If-Match': 'W/"1"' })],
    ['update if-match stale', (t, i, b) => send('PUT', `${t}/${i}`, { ...b, id: i }, { 'If-Match': 'W/"7"' })],
    ['update if-none-match', (t, i, b) => send('PUT', `${t}/${i}`, { ...b, id: i }, { 'If-None-Match': '*' })],
    ['patch', (t, i) => send('PATCH', `${t}/${i}`, [{ op: 'add', path: '/language', value: 'en' }])],
    ['patch if-match', (t, i) => send('PATCH', `${t}/${i}`, [], { 'If-Match': 'W/"7"' })],
    ['delete', (t, i) => send('DELETE', `${t}/${i}`)],
    ['delete if-match', (t, i) => send('DELETE', `${t}/${i}`, undefined, { 'If-Match': 'W/"1"' })],
    ['search', (t, i) => send('GET', `${t}?_id=${i}`)],
    ['conditional update', (t, i, b) => send('PUT', `${t}?_id=${i}`, { ...b, id: i })],
    ['conditional delete', (t, i) => send('DELETE', `${t}?_id=${i}`)],
    ['conditional patch', (t, i) => send('PATCH', `${t}?_id=${i}`, [])],
    ['validate', (t, i, b) => send('POST', `${t}/${i}/$validate`, { ...b, id: i })],
    [
      'batch',
      (t, i, b) =>
        send('POST', '', {
          resourceType: 'Bundle',
          type: 'batch',
          entry: [
            { request: { method: 'GET', url: `${t}/${i}` } },
            { request: { method: 'DELETE', url: `${t}/${i}`, ifMatch: 'W/"1"' } },
            { request: { method: 'PUT', url: `${t}/${i}` }, resource: { ...b, id: i } },
          ],
        }),
    ],
    [
      'transaction read',
      (t, i) =>
        send('POST', '', {
          resourceType: 'Bundle',
          type: 'transaction',
          entry: [{ request: { method: 'GET', url: `${t}/${i}` } }],
        }),
    ],
    [
      'transaction update',
      (t, i, b) =>
        send('POST', '', {
          resourceType: 'Bundle',
          type: 'transaction',
          entry: [{ request: { method: 'PUT', url: `${t}/${i}` }, resource: { ...b, id: i } }],
        }),
    ],
  ];
  const bodies: readonly (readonly [string, string, object])[] = [
    ['Patient', 'b', { resourceType: 'Patient', name: [{ family: 'Stolen' }] }],
    [
      'Appointment',
      'visit-b',
      {
        resourceType: 'Appointment',
        status: 'proposed',
        participant: [{ actor: { reference: 'Patient/a' }, status: 'accepted' }],
      },
    ],
    [
      'Communication',
      'went',
      { resourceType: 'Communication', status: 'completed', subject: { reference: 'Patient/a' } },
    ],
    [
      'Slot',
      'busy',
      {
        resourceType: 'Slot',
        status: 'free',
        schedule: { reference: 'Schedule/shared' },
        start: '2030-01-01T09:00:00Z',
        end: '2030-01-01T10:00:00Z',
      },
    ],
  ];

  test.each(bodies)('%s', async (type, foreign, body) => {
    for (const [name, call] of calls) {
      const other = await call(type, foreign, body);
      // As long as the other: lengths of replies are compared as well.
      const missing = 'z'.repeat(foreign.length);
      const none = await call(type, missing, body);
      expect(raw(other, foreign), name).toBe(raw(none, missing));
      expect(other.text, name).not.toContain(CANARY);
    }
    world.as(everything);
    expect((await send('GET', `${type}/${foreign}`)).text).toContain(CANARY);
    world.as(ofA);
  });

  test('$everything and compartments', async () => {
    for (const path of ['$everything', '*', 'Appointment', 'Patient'] as const) {
      const [other, none] = [await send('GET', `Patient/b/${path}`), await send('GET', `Patient/no-such-id/${path}`)];
      expect(raw(other, 'Patient/b'), path).toBe(raw(none, 'Patient/no-such-id'));
    }
  });

  test('a reference to it is one to nowhere', async () => {
    const note = (id: string) => ({
      resourceType: 'Communication',
      status: 'completed',
      subject: { reference: 'Patient/a' },
      recipient: [{ reference: `Patient/${id}` }],
    });
    for (const path of ['Communication', 'Communication/$validate']) {
      const [other, none] = [await send('POST', path, note('b')), await send('POST', path, note('no-such-id'))];
      expect(raw(other, 'Patient/b'), path).toBe(raw(none, 'Patient/no-such-id'));
    }
  });
});

describe('$everything', () => {
  test('the whole record of a, and nothing else', async () => {
    const answer = await send('GET', 'Patient/a/$everything');
    expect([answer.status, leaks(answer)]).toEqual([200, []]);
    const expected = [...world.ofA].filter((n) => MEMBERSHIP[n.split('/')[0] ?? ''] && n !== 'Schedule/shared');
    expect(expected.filter((n) => !namesOf(answer).includes(n))).toEqual([]);
  });

  test('each type only as far as its own scope goes', async () => {
    world.as(token(world, 'patient/Patient.rs patient/Appointment.rs?status=booked'));
    const names = namesOf(await send('GET', 'Patient/a/$everything'));
    expect(new Set(names.map((n) => n.split('/')[0]))).toEqual(new Set(['Patient', 'Appointment']));
    expect(names.filter((n) => n.startsWith('Appointment'))).toEqual(['Appointment/visit-a']);
    world.as(token(world, 'patient/Patient.r patient/Appointment.rs'));
    expect((await send('GET', 'Patient/a/$everything')).status).toBe(403);
  });
});

test('smart.md 5: an app that was told who the person is may read them, and nothing besides', async () => {
  const get = (url: string): object => ({ request: { method: 'GET', url } });
  const foreign = [
    'Patient/b',
    'Patient/no-such-id',
    'Patient?_id=a',
    'Patient/a/_history',
    'Patient/a/_history/1',
    'Patient/_history',
    'Patient/a/$everything',
    'Patient/a/Appointment',
    'Appointment/visit-a',
    'Practitioner/shared',
  ];
  const asSelf = { self: 'Patient/a' };
  world.as(token(world, 'openid fhirUser', asSelf));
  expect((await send('GET', 'Patient/a')).body).toMatchObject({ id: 'a', birthDate: '1980-01-01' });
  expect((await send('HEAD', 'Patient/a')).status).toBe(200);
  for (const path of foreign) expect((await send('GET', path)).status, path).toBe(403);
  for (const type of ['batch', 'transaction']) {
    const { body } = await send('POST', '', { resourceType: 'Bundle', type, entry: [get('Patient/a')] });
    expect(body['entry'], type).toMatchObject([{ resource: { id: 'a' }, response: { status: '200 OK' } }]);
  }
  expect((await send('PUT', 'Patient/a', { resourceType: 'Patient', id: 'a' })).status).toBe(403);

  // Nor do other scopes and this one together open more than each does.
  world.as(token(world, 'openid fhirUser patient/Patient.rs?gender=male', asSelf));
  expect((await send('GET', 'Patient/a')).status).toBe(200);
  for (const path of ['Patient/a/_history', 'Patient/a/_history/1', 'Patient/a/$everything', 'Patient/b'])
    expect((await send('GET', path)).status, path).toBe(404);
  expect((await send('GET', 'Patient')).body['total']).toBe(0);
  world.as(token(world, 'openid fhirUser patient/Appointment.rs', asSelf));
  expect((await send('GET', 'Appointment?_id=visit-a&_include=Appointment:patient')).body['entry']).toHaveLength(1);
  expect((await send('GET', 'Appointment?patient.family=Alpha')).body['total']).toBe(0);

  // Who may not act for the record any more does not show it either.
  world.as(token(world, 'openid fhirUser', { ...asSelf, rights: person(['patient'], { patients: ['b'] }) }));
  expect((await send('GET', 'Patient/a')).status).toBe(403);
  world.as(token(world, 'openid fhirUser'));
  expect((await send('GET', 'Patient/a')).status).toBe(403);
});
