/** What is written must be what the writer may write: by every door, and nothing stays of what may not. */
import { person } from '../../src/auth/access/person.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildApp } from '../../src/app.ts';
import type { Access } from '../../src/fhir/access.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { client, type Answer, type Send } from '../http/client.ts';
import { everything } from '../support/everything.ts';
import { CANARY, openWorld, token, type World } from './access-world.ts';

let world: World;
let send: Send;
beforeAll(async () => {
  world = await openWorld();
  send = client(world.server);
});
afterAll(() => world.close());
beforeEach(() => world.as(token(world, 'patient/*.cruds')));

const visit = (patient: string, more: object = {}): object => ({
  resourceType: 'Appointment',
  status: 'proposed',
  participant: [{ actor: { reference: `Patient/${patient}` }, status: 'needs-action' }],
  ...more,
});
const own = visit('a');
const nobodys = {
  resourceType: 'Appointment',
  status: 'proposed',
  participant: [{ type: [{ text: 'who' }], status: 'needs-action' }],
};
const asSystem = async <T>(work: () => Promise<T>): Promise<T> => {
  world.as(everything);
  return work();
};
const appointments = async (): Promise<unknown> =>
  (await asSystem(() => send('GET', 'Appointment?_summary=count'))).body['total'];
const created = async (): Promise<string> => {
  const { status, body, text } = await send('POST', 'Appointment', own);
  expect(status, text).toBe(201);
  return String(body['id']);
};
const bundle = (type: 'batch' | 'transaction', ...entry: object[]): object => ({ resourceType: 'Bundle', type, entry });
const statuses = ({ body }: Answer): string[] =>
  ((body['entry'] ?? []) as unknown as { response: { status: string } }[]).map((e) => e.response.status.slice(0, 3));

describe('create', () => {
  test('of one’s own: 201, and to be read', async () => {
    const id = await created();
    expect((await send('GET', `Appointment/${id}`)).status).toBe(200);
  });

  test('of nobody’s or another’s: 403, and nothing is stored', async () => {
    const before = await appointments();
    world.as(token(world, 'patient/*.cruds'));
    const refused = await send('POST', 'Appointment', nobodys);
    expect([refused.status, refused.headers.get('location')]).toEqual([403, null]);
    expect((await send('POST', 'Appointment', nobodys, { 'If-None-Exist': 'status=noshow' })).status).toBe(403);
    expect((await send('PUT', 'Appointment?status=noshow', nobodys)).status).toBe(403);
    expect(
      (
        await send(
          'POST',
          '',
          bundle(
            'transaction',
            { request: { method: 'POST', url: 'Appointment' }, resource: own },
            { request: { method: 'POST', url: 'Appointment' }, resource: nobodys },
          ),
        )
      ).status,
    ).toBe(403);
    expect(await appointments()).toBe(before);
  });

  test('in a batch each entry by itself', async () => {
    const answer = await send(
      'POST',
      '',
      bundle(
        'batch',
        { request: { method: 'POST', url: 'Appointment' }, resource: own },
        { request: { method: 'POST', url: 'Appointment' }, resource: nobodys },
        { request: { method: 'GET', url: 'Patient/b' } },
        { request: { method: 'GET', url: 'Patient/a' } },
      ),
    );
    expect([answer.status, statuses(answer)]).toEqual([200, ['201', '403', '404', '200']]);
  });

  test('a scope that opens no rows creates none', async () => {
    for (const type of ['Slot', 'Practitioner', 'Organization', 'Task', 'RelatedPerson', 'Provenance'])
      expect((await send('POST', type, { resourceType: type })).status, type).toBe(403);
  });
});

test.each(['/_history/x_y', '/_history/', '/_history/1/_history/2'])(
  'a reference to another with the version %s leads into their compartment no more than one without',
  async (version) => {
    const reference = `${world.server.engine.baseUrl}/Patient/b${version}`;
    const both = {
      ...own,
      participant: [own, visit('b')].flatMap((v) => (v as { participant: object[] }).participant),
    };
    const sneaked = JSON.parse(JSON.stringify(both).replace('Patient/b', reference)) as object;
    expect((await send('POST', 'Appointment', sneaked)).status).toBe(422);
    const entry = { request: { method: 'POST', url: 'Appointment' }, resource: sneaked };
    expect((await send('POST', '', bundle('transaction', entry))).status).toBe(422);
    const id = await created();
    expect((await send('PUT', `Appointment/${id}`, { ...sneaked, id })).status).toBe(422);
    const path = '/participant/0/actor/reference';
    expect((await send('PATCH', `Appointment/${id}`, [{ op: 'replace', path, value: reference }])).status).toBe(422);
  },
);

test('patients write what patients write, and nothing else of their compartment', () => {
  const allowed: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
    ['Appointment', 'AppointmentResponse', 'Communication', 'CommunicationRequest', 'Consent', 'Coverage'].map(
      (type) => [type, ['create', 'update']],
    ),
  );
  for (const level of ['patient', 'user']) {
    const access = token(world, `${level}/*.cruds`);
    for (const type of world.server.engine.resources.keys())
      for (const act of ['create', 'update', 'delete'] as const)
        expect(access.to(act).reach(type), `${level} ${act} ${type}`).toBe(
          allowed[type]?.includes(act) === true ? 'some' : 'none',
        );
  }
  const workforce = token(world, 'patient/*.cruds', { rights: person(['front-desk']) });
  expect([workforce.to('create').reach('Encounter'), workforce.to('create').reach('RelatedPerson')]).toEqual([
    'some',
    'none',
  ]);
});

describe('update and patch', () => {
  test('may not give away what is one’s own', async () => {
    const id = await created();
    const away = { ...nobodys, id };
    const patch = [{ op: 'replace', path: '/participant', value: (nobodys as { participant: unknown }).participant }];
    const entry = { request: { method: 'PUT', url: `Appointment/${id}` }, resource: away };
    const bodies: readonly (() => Promise<Answer>)[] = [
      () => send('PUT', `Appointment/${id}`, away),
      () => send('PUT', `Appointment?_id=${id}`, away),
      () => send('PATCH', `Appointment/${id}`, patch),
      () => send('PATCH', `Appointment?_id=${id}`, patch),
      () => send('POST', '', bundle('transaction', entry)),
    ];
    for (const call of bodies) expect((await call()).status).toBe(403);
    expect(statuses(await send('POST', '', bundle('batch', entry)))).toEqual(['403']);
    const stored = await send('GET', `Appointment/${id}`);
    expect([stored.status, stored.headers.get('etag')]).toEqual([200, 'W/"1"']);
    expect((await send('PUT', `Appointment/${id}`, { ...visit('a'), id, comment: 'mine' })).status).toBe(200);
  });

  test('clients choose no ids', async () => {
    expect((await send('PUT', 'Appointment/chosen', { ...own, id: 'chosen' })).status).toBe(405);
    expect((await send('PUT', 'Appointment?identifier=x|y', { ...own, id: 'chosen' })).status).toBe(405);
    world.as(token(world, 'user/*.cruds', { rights: person(['front-desk']) }));
    expect((await send('PUT', 'Appointment/chosen', { ...own, id: 'chosen' })).status).toBe(405);
    world.as(token(world, 'system/*.cruds', { rights: { kind: 'system' } }));
    expect((await send('PUT', 'Appointment/chosen', { ...own, id: 'chosen' })).status).toBe(201);
  });

  test('what was referred to before may stay, also where it is hidden', async () => {
    world.as(everything);
    const booked = visit('a', { slot: [{ reference: 'Slot/busy' }] });
    const id = String((await send('POST', 'Appointment', booked)).body['id']);
    world.as(token(world, 'patient/*.cruds'));
    const entry = { request: { method: 'PUT', url: `Appointment/${id}` }, resource: { ...booked, id, comment: '3' } };
    expect((await send('PUT', `Appointment/${id}`, { ...booked, id, comment: '1' })).status).toBe(200);
    expect((await send('PATCH', `Appointment/${id}`, [{ op: 'add', path: '/comment', value: '2' }])).status).toBe(200);
    expect((await send('POST', '', bundle('transaction', entry))).status).toBe(200);
    const more = { ...booked, id, basedOn: [{ reference: 'ServiceRequest/by-subject-b' }] };
    expect((await send('PUT', `Appointment/${id}`, more)).status).toBe(422);
  });
});

describe('A1.6: what is another patient’s as well', () => {
  const together = (...who: string[]) => ({
    resourceType: 'Appointment',
    status: 'proposed',
    participant: who.map((w) => ({ actor: { reference: `Patient/${w}` }, status: 'accepted' })),
  });
  const message = (...who: string[]) => ({
    resourceType: 'Communication',
    status: 'completed',
    subject: { reference: `Patient/${who[0]}` },
    recipient: who.map((w) => ({ reference: `Patient/${w}` })),
  });
  const cover = (beneficiary: string, holder: string) => ({
    resourceType: 'Coverage',
    status: 'active',
    policyHolder: { reference: `Patient/${holder}` },
    beneficiary: { reference: `Patient/${beneficiary}` },
    payor: [{ reference: 'Organization/shared' }],
  });
  const shared = [together('a', 'b'), message('a', 'b'), message('b', 'a'), cover('a', 'b'), cover('b', 'a')];
  const stored = async (resource: object): Promise<string> => {
    const { status, body, text } = await asSystem(() =>
      send('POST', (resource as { resourceType: string }).resourceType, resource),
    );
    expect(status, text).toBe(201);
    return String(body['id']);
  };
  const changes = (type: string, id: string, shared: object): readonly (() => Promise<Answer>)[] => {
    // What it holds is theirs to say; where it goes is not.
    const taken = JSON.parse(JSON.stringify(shared).replaceAll('Patient/b', 'Patient/a')) as { participant?: object[] };
    // Nobody takes part twice.
    const { participant } = taken;
    const once = [...new Map(participant?.map((p) => [JSON.stringify(p), p])).values()];
    const resource: object = participant === undefined ? taken : { ...taken, participant: once };
    const patch = [{ op: 'add', path: '/language', value: 'de' }];
    const binary = {
      resourceType: 'Binary',
      contentType: 'application/json-patch+json',
      data: Buffer.from(JSON.stringify(patch)).toString('base64'),
    };
    const alone = (method: string, url: string, more: object = {}) =>
      bundle('transaction', { request: { method, url }, ...more });
    return [
      () => send('PUT', `${type}/${id}`, { ...shared, id }),
      () => send('PUT', `${type}/${id}`, { ...resource, id }),
      () => send('PUT', `${type}?_id=${id}`, { ...resource, id }),
      () => send('PUT', `${type}?_id=${id}`, resource),
      () => send('PATCH', `${type}/${id}`, patch),
      () => send('PATCH', `${type}?_id=${id}`, patch),
      () => send('DELETE', `${type}/${id}`),
      () => send('DELETE', `${type}?_id=${id}`),
      () => send('POST', '', alone('PUT', `${type}/${id}`, { resource: { ...resource, id } })),
      () => send('POST', '', alone('PUT', `${type}?_id=${id}`, { resource })),
      () => send('POST', '', alone('PATCH', `${type}/${id}`, { resource: binary })),
      () => send('POST', '', alone('PATCH', `${type}?_id=${id}`, { resource: binary })),
      () => send('POST', '', alone('DELETE', `${type}/${id}`)),
      () => send('POST', '', alone('DELETE', `${type}?_id=${id}`)),
    ];
  };

  test.each(shared.map((resource, i) => [i, resource.resourceType, resource] as const))(
    '%d: %s is not theirs to change, by any door; with their app for one, not even of two whom they act for',
    async (_, type, resource) => {
      const id = await stored(resource);
      const both = person(['patient'], { patients: ['a', 'b'] });
      for (const access of [
        token(world, 'patient/*.cruds'),
        token(world, 'user/*.cruds'),
        token(world, 'patient/*.cruds', { rights: both }),
      ]) {
        world.as(access);
        expect((await send('GET', `${type}/${id}`)).status).toBe(200);
        for (const [i, change] of changes(type, id, resource).entries())
          expect((await change()).status, `way ${i}`).toBe(403);
        expect((await send('GET', `${type}/${id}`)).headers.get('etag')).toBe('W/"1"');
      }
      world.as(token(world, 'user/*.cruds', { rights: both }));
      // Of an appointment patients change what is theirs, and nobody deletes it.
      const visit = type === 'Appointment';
      const change = visit ? { comment: 'x' } : { language: 'fr' };
      expect((await send('PUT', `${type}/${id}`, { ...resource, id, ...change })).status).toBe(200);
      world.as(token(world, 'user/*.cruds', { rights: person(['front-desk']) }));
      expect((await send('DELETE', `${type}/${id}`)).status).toBe(visit ? 405 : 204);
    },
  );

  test('nor do they make it so, where references are not looked up either', async () => {
    const id = await stored(together('a'));
    const lenient = { ...world.server.engine, validateReferences: false };
    const { log } = world.server.kairos;
    const accessOf = (): Access => token(world, 'patient/*.cruds user/*.cruds');
    const open = buildApp(lenient, { log, metrics: createMetrics(), ready: () => true, accessOf });
    const loose = client({ request: async (path, init) => open.request(`http://localhost${path}`, init) });
    for (const [how, refused] of [
      [send, 422],
      [loose, 403],
    ] as const) {
      world.as(token(world, 'patient/*.cruds user/*.cruds'));
      for (const resource of shared)
        expect((await how('POST', resource.resourceType, resource)).status, JSON.stringify(resource)).toBe(refused);
      const participant = together('b').participant[0];
      expect((await how('PUT', `Appointment/${id}`, { ...together('a', 'b'), id })).status).toBe(refused);
      expect(
        (await how('PATCH', `Appointment/${id}`, [{ op: 'add', path: '/participant/-', value: participant }])).status,
      ).toBe(refused);
      const entry = { request: { method: 'PUT', url: `Appointment/${id}` }, resource: { ...together('a', 'b'), id } };
      expect((await how('POST', '', bundle('transaction', entry))).status).toBe(refused);
    }
    expect((await send('GET', `Appointment/${id}`)).headers.get('etag')).toBe('W/"1"');
  });

  test('SQL and the judgement on a resource agree', async () => {
    const { engine } = world.server;
    const resources = [...shared, together('a'), message('a'), cover('a', 'a'), together('b')];
    const named = await Promise.all(resources.map(async (r) => [await stored(r), r] as const));
    for (const patients of [['a'], ['b'], ['a', 'b'], []]) {
      const access = token(world, 'user/*.cruds', { rights: person(['patient'], { patients }) });
      for (const act of ['create', 'update', 'delete'] as const) {
        for (const [id, resource] of named) {
          const name = `${resource.resourceType}/${id}`;
          const inSql = (await engine.repository.existing([name], access.to(act))).has(name);
          expect(inSql, `${patients} ${act} ${JSON.stringify(resource)}`).toBe(
            access.to(act).admits(resource.resourceType, { ...resource, id }),
          );
        }
      }
    }
  });
});

describe('one act does not stand for another', () => {
  test('PUT by criteria that match nothing creates: it needs the letter and the rows of a create', async () => {
    const before = await appointments();
    const entry = { request: { method: 'PUT', url: 'Appointment?status=waitlist' }, resource: own };
    const ways = [
      () => send('PUT', 'Appointment?status=waitlist', own),
      () => send('POST', '', bundle('transaction', entry)),
      async () => {
        const answer = await send('POST', '', bundle('batch', entry));
        return { ...answer, status: Number(statuses(answer)[0]) };
      },
    ];
    for (const [scopes, status] of [
      ['patient/Appointment.rus', 403],
      ['patient/Appointment.rus patient/Appointment.c?status=booked', 403],
      ['patient/Appointment.rus patient/Coverage.c', 403],
    ] as const) {
      world.as(token(world, scopes));
      for (const way of ways) expect((await way()).status, scopes).toBe(status);
    }
    expect(await appointments()).toBe(before);
    world.as(token(world, 'system/Appointment.rus', { rights: { kind: 'system' } }));
    for (const way of ways) expect((await way()).status).toBe(403);
    expect((await send('PUT', 'Appointment?status=waitlist', { ...own, id: 'by-criteria' })).status).toBe(403);
    // A match is updated, which needs no more than that.
    const id = await asSystem(created);
    world.as(token(world, 'patient/Appointment.rus'));
    expect((await send('PUT', `Appointment?_id=${id}`, own)).status).toBe(200);
    world.as(token(world, 'patient/Appointment.crus'));
    for (const way of ways) expect([200, 201]).toContain((await way()).status);
  });

  test('SMART 2.2 “Scopes for requesting FHIR Resources”: a system’s PUT of an id that is free needs u alone', async () => {
    const system = { rights: { kind: 'system' } } as const;
    world.as(token(world, 'system/Appointment.u', system));
    expect((await send('PUT', 'Appointment/by-u', { ...own, id: 'by-u' })).status).toBe(201);
    const entry = { request: { method: 'PUT', url: 'Appointment/by-u-2' }, resource: { ...own, id: 'by-u-2' } };
    expect((await send('POST', '', bundle('transaction', entry))).status).toBe(200);
    world.as(token(world, 'system/Appointment.c', system));
    expect((await send('PUT', 'Appointment/by-c', { ...own, id: 'by-c' })).status).toBe(403);
  });

  test('who sees some rows only does not learn by a PUT that an id is taken', async () => {
    const id = await asSystem(created);
    world.as(
      token(world, 'system/Appointment.cruds?status=booked', { rights: { kind: 'system' }, patient: undefined }),
    );
    const answers: (readonly [number, string])[] = [];
    for (const name of [id, 'no-such-id']) {
      const resource = { ...own, status: 'proposed', id: name };
      const entry = { request: { method: 'PUT', url: `Appointment/${name}` }, resource };
      for (const answer of [
        await send('PUT', `Appointment/${name}`, resource),
        await send('POST', '', bundle('transaction', entry)),
      ])
        answers.push([answer.status, answer.text.replaceAll(name, '?')]);
    }
    expect(answers.slice(0, 2)).toEqual(answers.slice(2));
    expect(answers.map(([status]) => status)).toEqual([405, 405, 405, 405]);
  });

  test('what may be read and not changed is refused, not taken for missing', async () => {
    world.as(token(world, 'patient/*.cruds'));
    expect((await send('DELETE', 'Encounter/by-subject-a')).status).toBe(403);
    expect((await send('PATCH', 'Encounter/by-subject-a', [{ op: 'remove', path: '/status' }])).status).toBe(403);
    for (const id of ['by-subject-b', 'no-such-id']) {
      expect((await send('DELETE', `Encounter/${id}`)).status).toBe(204);
      expect((await send('PATCH', `Encounter/${id}`, [{ op: 'remove', path: '/status' }])).status).toBe(404);
    }
  });
});

describe('scopes for each letter', () => {
  test('to search is not to read, to read is not to change', async () => {
    const id = await created();
    world.as(token(world, 'patient/Appointment.r'));
    expect((await send('GET', 'Appointment')).status).toBe(403);
    expect((await send('GET', `Appointment/${id}`)).status).toBe(200);
    expect((await send('DELETE', `Appointment/${id}`)).status).toBe(403);
    const workforce = { rights: person(['front-desk']) };
    world.as(token(world, 'patient/Appointment.rs patient/Appointment.d?status=booked', workforce));
    expect((await send('DELETE', `Appointment/${id}`)).status).toBe(403);
    expect((await send('GET', `Appointment/${id}`)).status).toBe(200);
    // Found by what may be searched, but not to be deleted.
    expect((await send('DELETE', `Appointment?_id=${id}`)).status).toBe(403);
    world.as(token(world, 'patient/Appointment.rs patient/Appointment.d?status=proposed'));
    expect((await send('DELETE', `Appointment/${id}`)).status).toBe(403);
    world.as(token(world, 'patient/Appointment.rs patient/Appointment.d?status=proposed', workforce));
    // Within the scope, and yet not deleted.
    expect((await send('DELETE', `Appointment/${id}`)).status).toBe(405);
    expect((await send('GET', `Appointment/${id}`)).status).toBe(200);
  });

  test('a patch may test only what may be read', async () => {
    const id = await created();
    const patch = (value: string): readonly object[] => [
      { op: 'test', path: '/status', value },
      { op: 'add', path: '/comment', value: '1' },
    ];
    const inBundle = async (type: 'batch' | 'transaction', operations: readonly object[]): Promise<number> => {
      const data = Buffer.from(JSON.stringify(operations)).toString('base64');
      const resource = { resourceType: 'Binary', contentType: 'application/json-patch+json', data };
      const answer = await send(
        'POST',
        '',
        bundle(type, { request: { method: 'PATCH', url: `Appointment/${id}` }, resource }),
      );
      if (answer.status !== 200) return answer.status;
      return Number.parseInt(String(answer.body['entry']?.[0]?.['response']?.['status']), 10);
    };
    const ways = (operations: readonly object[]): (() => Promise<number>)[] => [
      async () => (await send('PATCH', `Appointment/${id}`, operations)).status,
      async () => (await send('PATCH', `Appointment?_id=${id}`, operations)).status,
      () => inBundle('batch', operations),
      () => inBundle('transaction', operations),
    ];
    world.as(token(world, 'patient/Appointment.us'));
    for (const operations of [
      patch('proposed'),
      patch('booked'),
      [{ op: 'copy', from: '/description', path: '/status' }],
      [{ op: 'move', from: '/description', path: '/comment' }],
    ])
      for (const way of ways(operations)) expect(await way(), JSON.stringify(operations)).toBe(403);
    for (const way of ways([{ op: 'add', path: '/comment', value: '3' }])) expect(await way()).toBe(200);
    world.as(token(world, 'patient/Appointment.us patient/Appointment.r?status=proposed'));
    for (const way of ways(patch('proposed'))) expect(await way()).toBe(200);
    for (const way of ways(patch('booked'))) expect(await way()).toBe(422);
  });

  test('the reply to a write shows nothing that may not be read', async () => {
    const id = await created();
    const entry = (method: string, url: string): object => ({ request: { method, url } });
    for (const [scopes, shown] of [
      ['patient/Appointment.cuds', false],
      ['patient/Appointment.cuds patient/Appointment.r?status=booked', false],
      ['patient/Appointment.cuds patient/Appointment.r?status=proposed', true],
    ] as const) {
      world.as(token(world, scopes));
      const answers = [
        await send('POST', 'Appointment', own),
        await send('POST', 'Appointment', own, { 'If-None-Exist': `_id=${id}` }),
        await send('PUT', `Appointment/${id}`, { ...own, id }),
        await send('PUT', `Appointment?_id=${id}`, { ...own, id }),
        await send('PATCH', `Appointment/${id}`, [{ op: 'add', path: '/comment', value: '1' }]),
        await send('PATCH', `Appointment?_id=${id}`, [{ op: 'add', path: '/comment', value: '2' }]),
      ];
      for (const { status, text, headers } of answers) {
        expect([200, 201], text).toContain(status);
        expect([headers.has('location'), headers.has('etag')]).toEqual([true, true]);
        expect(text.includes('proposed'), `${scopes}: ${text}`).toBe(shown);
      }
      for (const type of ['batch', 'transaction'] as const) {
        const answer = await send(
          'POST',
          '',
          bundle(
            type,
            { ...entry('POST', 'Appointment'), resource: own },
            { ...entry('PUT', `Appointment/${id}`), resource: { ...own, id } },
          ),
          { Prefer: 'return=representation' },
        );
        expect([statuses(answer), answer.text.includes('proposed')], type).toEqual([['201', '200'], shown]);
      }
    }
  });

  test('an update must stay within its filter', async () => {
    const id = await created();
    world.as(token(world, 'patient/Appointment.rs patient/Appointment.u?status=proposed'));
    expect((await send('PUT', `Appointment/${id}`, { ...own, id, comment: 'x' })).status).toBe(200);
    expect(
      (await send('PATCH', `Appointment/${id}`, [{ op: 'replace', path: '/status', value: 'cancelled' }])).status,
    ).toBe(403);
    expect((await send('GET', `Appointment/${id}`)).body['status']).toBe('proposed');
  });

  test('criteria tell what exists: they need the letter to search', async () => {
    world.as(token(world, 'patient/Appointment.cud'));
    expect((await send('POST', 'Appointment', own, { 'If-None-Exist': 'status=booked' })).status).toBe(403);
    expect((await send('PUT', 'Appointment?status=booked', own)).status).toBe(403);
    expect((await send('DELETE', 'Appointment?status=booked')).status).toBe(403);
    const conditional = {
      request: { method: 'POST', url: 'Appointment', ifNoneExist: 'status=booked' },
      resource: own,
    };
    expect((await send('POST', '', bundle('transaction', conditional))).status).toBe(403);
    expect((await send('POST', 'Appointment', own)).status).toBe(201);
  });

  test('references to the directory and to oneself need no scope of their own', async () => {
    world.as(token(world, 'patient/Appointment.c'));
    const full = {
      ...visit('a', { slot: [{ reference: 'Slot/free' }] }),
      participant: ['Patient/a', 'Practitioner/shared', 'Location/shared'].map((reference) => ({
        actor: { reference },
        status: reference === 'Patient/a' ? 'accepted' : 'needs-action',
      })),
    };
    expect((await send('POST', 'Appointment', full)).status).toBe(201);
    expect((await send('POST', 'Appointment', visit('b'))).status).toBe(422);
    // Not there: the time is taken, or not offered any more. One that is taken may be named; whether it can be had the calendar says.
    const named = async (slot: string): Promise<number> =>
      (await send('POST', 'Appointment', visit('a', { slot: [{ reference: `Slot/${slot}` }] }))).status;
    expect([await named('none'), await named('busy')]).toEqual([409, 201]);
  });

  test('a transaction is refused as a whole for one entry outside of the scopes', async () => {
    const before = await appointments();
    world.as(token(world, 'patient/Appointment.cruds'));
    const answer = await send(
      'POST',
      '',
      bundle(
        'transaction',
        { request: { method: 'POST', url: 'Appointment' }, resource: own },
        { request: { method: 'GET', url: 'Communication/came' } },
      ),
    );
    expect(answer.status).toBe(403);
    expect(await appointments()).toBe(before);
  });
});

test('the other patient is as before', async () => {
  const b = await asSystem(() => send('GET', 'Patient/b/_history'));
  expect([b.body['total'], b.text.includes(CANARY)]).toEqual([1, true]);
});
