/** What searches share, that they be fast, knows nothing of who asked, when, or where in a statement. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { client, type Send } from '../http/client.ts';
import { everything } from '../support/everything.ts';
import { createTestServer } from '../support/server.ts';
import { openWorld, token, type World } from './access-world.ts';

let world: World;
let send: Send;
beforeAll(async () => {
  world = await openWorld();
  send = client(world.server);
});
afterAll(() => world.close());

const STRICT = { Prefer: 'handling=strict' };

const ids = async (query: string): Promise<readonly string[]> => {
  const { status, text, body } = await send('GET', query, undefined, STRICT);
  expect(status, text).toBe(200);
  return ((body['entry'] ?? []) as unknown as { resource: { id: string }; search: { mode: string } }[])
    .filter((e) => e.search.mode === 'match')
    .map((e) => e.resource.id)
    .sort();
};

describe('one search', () => {
  test.each([
    ['Patient?gender=female,male', { a: ['a'], b: ['b'], all: ['a', 'b'] }],
    ['Appointment?date=2030-01-01', { a: ['visit-a'], b: ['visit-b'], all: ['visit-a', 'visit-b'] }],
    ['Appointment?_id=visit-a,visit-b', { a: ['visit-a'], b: ['visit-b'], all: ['visit-a', 'visit-b'] }],
    ['Communication?_id=came,went', { a: ['came'], b: ['went'], all: ['came', 'went'] }],
    ['Slot?start=2030-01-01', { a: ['free'], b: ['free'], all: ['busy', 'free'] }],
  ])('%s under several accesses, in any order', async (query, expected) => {
    const of = (patient: string) =>
      token(world, 'patient/*.rs', { rights: { kind: 'patients', patients: [patient] }, patient });
    const askers = { a: of('a'), b: of('b'), all: everything };
    for (const order of [
      ['all', 'a', 'b', 'all'],
      ['b', 'all', 'a', 'b'],
      ['a', 'b', 'a', 'all'],
    ] as const) {
      for (const who of order) {
        world.as(askers[who]);
        expect(await ids(query), `${who} of ${order}`).toEqual(expected[who]);
      }
    }
  });

  test('the same words in a scope and in a search, at every alias', async () => {
    const filtered = token(world, 'user/Patient.rs?birthdate=1990-02-02 user/Appointment.rs', {
      rights: { kind: 'workforce' },
    });
    for (const access of [everything, filtered, everything]) {
      world.as(access);
      const alpha = access === everything ? ['a'] : [];
      const withAlpha = access === everything ? ['visit-a'] : [];
      for (let again = 0; again < 2; again++) {
        expect(await ids('Patient?birthdate=1990-02-02')).toEqual(['b']);
        expect(await ids('Patient?birthdate=1980-01-01')).toEqual(alpha);
        expect(await ids('Appointment?_id=visit-a,visit-b&patient.birthdate=1990-02-02')).toEqual(['visit-b']);
        expect(await ids('Appointment?_id=visit-a,visit-b&patient.birthdate=1980-01-01')).toEqual(withAlpha);
        expect(await ids('Patient?_id=a,b&_has:Appointment:patient:date=2030-01-01&birthdate=1990-02-02')).toEqual([
          'b',
        ]);
        expect(await ids('Appointment?date=2030-01-01&patient.birthdate=1990-02-02')).toEqual(['visit-b']);
      }
    }
  });
});

test('A1.8: what others searched for is not told by how words fall apart', async () => {
  world.as(everything);
  const ask = async (query: string) => {
    const { status, text } = await send('GET', query, undefined, STRICT);
    return [status, text];
  };
  const guesses = [
    'Patient?family%20Van%20der=Dyk',
    'Patient?family%20Van=der%20Dyk',
    'Patient?family%00Van%20der=Dyk',
  ];
  const before = await Promise.all(guesses.map(ask));
  expect((await send('GET', 'Patient?family=Van%20der%20Dyk', undefined, STRICT)).status).toBe(200);
  expect(await Promise.all(guesses.map(ask))).toEqual(before);
  expect(before.map(([status]) => status)).toEqual([400, 400, 400]);
});

test('R4 3.1.1.4.5: ap is near as seen from the moment of each search', async () => {
  let now = Date.UTC(2029, 11, 31);
  const server = await createTestServer({ clock: { now: () => now } });
  try {
    const ask = client(server);
    const visit = {
      resourceType: 'Appointment',
      status: 'booked',
      start: '2030-06-01T09:00:00Z',
      end: '2030-06-01T10:00:00Z',
      participant: [{ type: [{ text: 'who' }], status: 'accepted' }],
    };
    expect((await ask('POST', 'Appointment', visit)).status).toBe(201);
    const total = async (query: string) => (await ask('GET', `Appointment?${query}`, undefined, STRICT)).body['total'];
    for (const query of ['date=ap2030-01-01', 'date=2020-01-01,ap2030-01-01', 'date=ap2030-01-01&status=booked']) {
      for (const [year, found] of [
        [2029, 0],
        [2010, 1],
        [2029, 0],
      ] as const) {
        now = Date.UTC(year, 11, 31);
        expect(await total(query), `${query} in ${year}`).toBe(found);
      }
    }
  } finally {
    await server.close();
  }
});
