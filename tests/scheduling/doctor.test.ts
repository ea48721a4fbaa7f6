/** `npm run doctor`: a calendar that was used is well, and each thing that goes wrong in its tables is found by the check that is for it. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkInvariants } from '../../src/compose-doctor.ts';
import { actorKey } from '../../src/scheduling/actor.ts';
import { slotId } from '../../src/scheduling/slot-id.ts';
import type { Json } from '../http/client.ts';
import { urlOf } from '../support/database.ts';
import { program } from '../support/process.ts';
import { TEST_ROOT_KEY } from '../support/root-key.ts';
import { bookProposal, find, found, openClinic, params, put, referring, workday, type Clinic } from './clinic.ts';
import { rewrite } from '../support/contents.ts';

const DAY = workday(7);
const at = (time: string): string => new Date(`${DAY}T${time}:00-05:00`).toISOString();

let clinic: Clinic;
let owner: pg.Client;
let booked: Json;
let held: Json;

const generated = (time: string, end: string): object => ({
  resourceType: 'Slot',
  id: slotId('Schedule/grey', 'HealthcareService/visit', Date.parse(at(time))),
  meta: { tag: [{ system: 'https://kairos.example/fhir/CodeSystem/slot-origin', code: 'generated' }] },
  extension: [
    {
      url: 'https://kairos.example/fhir/StructureDefinition/slot-service',
      valueReference: { reference: 'HealthcareService/visit' },
    },
  ],
  schedule: { reference: 'Schedule/grey' },
  status: 'free',
  start: at(time),
  end: at(end),
});

/** What the checks find, by the name of the check. */
async function findings(): Promise<Readonly<Record<string, readonly string[]>>> {
  const results = await checkInvariants(clinic.server.kairos.roles.app, clinic.server.kairos.processKeys.roots);
  expect(results.length).toBeGreaterThan(9);
  return Object.fromEntries(results.filter((r) => r.found.length > 0).map((r) => [r.name, r.found]));
}

async function doctor(): Promise<{ readonly code: number; readonly out: string }> {
  const { app, owner: as } = clinic.server.kairos.roles;
  const env = {
    PATH: process.env['PATH'],
    DATABASE_URL: urlOf(app),
    DATABASE_OWNER_URL: urlOf(as),
    ROOT_KEY: TEST_ROOT_KEY,
  };
  const run = promisify(execFile)(process.execPath, [...program('src/cli/doctor.ts')], { env, cwd: '/' });
  return run.then(
    ({ stdout }) => ({ code: 0, out: stdout }),
    (error: unknown) => {
      const { code, stdout } = error as { code: number; stdout: string };
      return { code, out: stdout };
    },
  );
}

beforeAll(async () => {
  clinic = await openClinic();
  owner = new pg.Client(clinic.server.kairos.roles.owner);
  await owner.connect();
  for (const [from, to] of [
    ['09:00', '09:30'],
    ['09:30', '10:00'],
    ['10:00', '10:30'],
  ] as const)
    await put(clinic.system, generated(from, to));
  const free = found(await find(clinic.ann, `start=${at('09:00')}&end=${at('11:00')}&practitioner=Practitioner/grey`));
  [booked = {}] = found(await bookProposal(clinic.ann, String(free[0]?.['id'])));
  [held = {}] = found(
    await clinic.bob(
      'POST',
      'Appointment/$hold',
      params(referring('appointment-reference', `Appointment/${String(free[1]?.['id'])}`)),
    ),
  );
  const gone = found(await bookProposal(clinic.ann, String(free[3]?.['id'])))[0];
  await clinic.ann('POST', `Appointment/${String(gone?.['id'])}/$cancel`, params());
});
afterAll(async () => {
  await owner.end();
  await clinic.close();
});

test('a calendar that was used is well, and the command says so', async () => {
  expect([booked['status'], held['status']]).toEqual(['booked', 'pending']);
  expect(await findings()).toEqual({});
  const { code, out } = await doctor();
  expect(out).toMatch(/^ok {3}I1: /);
  expect(out).toContain('checks are well.');
  expect(code).toBe(0);
});

test('without the constraint a second visit at the same time is found, by what the appointments say', async () => {
  await owner.query('alter table occupancy drop constraint occupancy_exclude');
  const broken = await bookProposal(
    clinic.bob,
    String(
      found(await find(clinic.bob, `start=${at('13:00')}&end=${at('13:30')}&practitioner=Practitioner/grey`))[0]?.[
        'id'
      ],
    ),
  );
  expect(broken.status).toBe(200);
  const again = await clinic.staff('POST', 'Appointment', {
    resourceType: 'Appointment',
    status: 'booked',
    start: at('13:15'),
    end: at('13:45'),
    participant: [
      { actor: { reference: 'Patient/ann' }, status: 'accepted' },
      { actor: { reference: 'Practitioner/grey' }, status: 'accepted' },
    ],
  });
  expect(again.status).toBe(201);
  const { code, out } = await doctor();
  expect(code).toBe(1);
  expect(out).toMatch(/^FAIL I1: /);
  const wrong = await findings();
  expect(wrong['I1']).toEqual([`Appointment/${String(again.body['id'])} (Practitioner/grey)`]);
  expect(Object.keys(wrong)).toEqual(['I1', 'I1 guard', 'I2']);
  for (const id of [again.body['id'], found(broken)[0]?.['id']])
    expect((await clinic.staff('POST', `Appointment/${String(id)}/$cancel`, params())).status).toBe(200);
  await owner.query(
    'alter table occupancy add constraint occupancy_exclude exclude using gist (actor with =, lanes with &&, during with &&) where (not override)',
  );
  expect(await findings()).toEqual({});
});

describe('what is broken by hand is found', () => {
  /** Breaks something, looks what is found, and mends it. */
  async function expectFound(breaks: string, mends: string, name: string, id: RegExp): Promise<void> {
    expect(await findings()).toEqual({});
    await owner.query(breaks);
    const wrong = await findings();
    await owner.query(mends);
    expect(Object.keys(wrong)).toEqual([name]);
    expect(wrong[name]?.[0]).toMatch(id);
  }
  const keep = (table: string, where: string): readonly [string, string] => [
    `create table kept as select * from ${table} where ${where}; delete from ${table} where ${where}`,
    `insert into ${table} select * from kept; drop table kept`,
  ];

  test('a visit that occupies nobody', () => {
    const where = `appointment = '${String(booked['id'])}' and actor = '${actorKey('Patient/ann')}'`;
    return expectFound(...keep('occupancy', where), 'I5', /^Appointment\/.* does not occupy Patient\/ann$/);
  });
  test('time that no visit has', () =>
    expectFound(
      `insert into occupancy values ('nobody', gen_random_uuid(), '{[65,128)}', tstzrange(now() + interval '3 days', now() + interval '4 days'), false, 1, 1, false, null)`,
      `delete from occupancy where appointment = 'nobody'`,
      'I5',
      /^Appointment\/nobody occupies /,
    ));
  test('a visit that came into the time of an overbooked one without a reason', async () => {
    const post = async (start: string, end: string, patient: string, more: object = {}): Promise<string> => {
      const participant = [`Patient/${patient}`, 'Practitioner/house'].map((reference) => ({
        actor: { reference },
        required: 'required',
        status: 'accepted',
      }));
      const visit = { resourceType: 'Appointment', status: 'booked', start: at(start), end: at(end), participant };
      const answer = await clinic.staff('POST', 'Appointment', { ...visit, ...more });
      expect(answer.status, answer.text).toBe(201);
      return String(answer.body['id']);
    };
    const reason = { url: 'reason', valueString: 'it hurts' };
    const url = 'https://kairos.example/fhir/StructureDefinition/override';
    const first = await post('15:00', '15:30', 'ann');
    const plain = await post('15:30', '16:00', 'bob');
    const over = await post('15:15', '15:45', 'eve', { extension: [{ url, extension: [reason] }] });
    const clock = (by: string): string =>
      `update appointment set last_updated = last_updated ${by} interval '2 minutes' where id = '${plain}'`;
    await expectFound(
      clock('+'),
      clock('-'),
      'I1 overbooked',
      new RegExp(`^Appointment/${plain} \\(Practitioner/house\\)$`),
    );
    // Written about later, it was there before all the same.
    const stands = (await clinic.staff('GET', `Appointment/${plain}`)).body;
    clinic.clock.ahead = 5 * 60_000;
    expect((await clinic.staff('PUT', `Appointment/${plain}`, { ...stands, comment: 'x' })).status).toBe(200);
    clinic.clock.ahead = 0;
    expect(await findings()).toEqual({});
    for (const id of [first, plain, over])
      expect((await clinic.staff('POST', `Appointment/${id}/$cancel`, params())).status).toBe(200);
  });
  test('time that is shorter than the visit', () =>
    expectFound(
      `update occupancy set during = tstzrange(lower(during), upper(during) - interval '1 minute') where appointment = '${String(booked['id'])}'`,
      `update occupancy set during = tstzrange(lower(during), upper(during) + interval '1 minute') where appointment = '${String(booked['id'])}'`,
      'I5 rows',
      /^Appointment\//,
    ));
  test('a hold whose row is gone', () =>
    expectFound(
      ...keep('scheduling_hold', `appointment = '${String(held['id'])}'`),
      'I5 holds',
      /is held without a row$/,
    ));
  test('a column that says something else', () =>
    expectFound(
      `update appointment set date = date + interval '1 hour' where id = '${String(booked['id'])}'`,
      `update appointment set date = date - interval '1 hour' where id = '${String(booked['id'])}'`,
      'I5 search',
      /^Appointment\//,
    ));
  test('a Slot that is free although somebody is there', () => {
    const id = slotId('Schedule/grey', 'HealthcareService/visit', Date.parse(at('09:00')));
    const to = (from: string, status: string): string =>
      `update slot set status = '${status}', content = replace(content, '"status":"${from}"', '"status":"${status}"') where id = '${id}'`;
    return expectFound(to('busy', 'free'), to('free', 'busy'), 'I5 slots', new RegExp(`^Slot/${id} \\(free\\)$`));
  });
  test('a version that is missing', () => expectFound(...keep('appointment_history', 'true'), 'I9', /^Appointment\//));
  test('a side effect that nobody takes', () =>
    expectFound(
      `insert into outbox (topic, payload, available_at) values ('stuck', '{}', now() - interval '6 minutes')`,
      `delete from outbox where topic = 'stuck'`,
      'I10',
      /^outbox\/\d+ \(stuck\)$/,
    ));
});

test('a hold that has run out, and whose Slot stays taken', async () => {
  const age = async (by: string): Promise<void> => {
    const ago = `now() - interval '${by}'`;
    const id = String(held['id']);
    const { rows } = await owner.query<{ at: string }>(
      `select scheduling_instant(date_trunc('milliseconds', ${ago})) at`,
    );
    const at = rows[0]?.at ?? '';
    await rewrite(clinic.server.kairos, 'Appointment', id, (resource) => {
      const text = JSON.stringify(resource).replace(/"valueInstant":"[^"]*"/, `"valueInstant":"${at}"`);
      return JSON.parse(text) as typeof resource;
    });
    await owner.query(
      `update scheduling_hold set expires = '${at}' where appointment = '${id}';
       update occupancy o set expires = h.expires from scheduling_hold h where o.appointment = h.appointment`,
    );
  };
  await age('2 seconds');
  expect(await findings()).toEqual({});
  await age('8 seconds');
  expect(await findings()).toEqual({
    I11: [`Slot/${slotId('Schedule/grey', 'HealthcareService/visit', Date.parse(at('09:30')))} (busy-tentative)`],
  });
});
