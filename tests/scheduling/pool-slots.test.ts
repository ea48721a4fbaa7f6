/** Slots of visits that need one of several rooms: free only while one of them is, whoever takes the last. https://hl7.org/fhir/R4/valueset-slotstatus.html */
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { checkInvariants } from '../../src/compose-doctor.ts';
import { actorKey } from '../../src/scheduling/actor.ts';
import { freshDirectory } from '../../src/scheduling/fresh-directory.ts';
import { generateSlots } from '../../src/scheduling/generate.ts';
import { slotId } from '../../src/scheduling/slot-id.ts';
import { spanOf } from '../../src/scheduling/spans.ts';
import { expireHolds } from '../../src/scheduling/use/expire-holds.ts';
import type { Answer, Send } from '../http/client.ts';
import type { TestKairos } from '../support/kairos.ts';
import {
  at,
  bookProposal,
  done,
  find,
  found,
  idOf,
  later,
  minutes,
  openClinic,
  params,
  put,
  referring,
  schedule,
  service,
  starts,
  taking,
  times,
  visit,
  workday,
  type Clinic,
} from './clinic.ts';
import { generateAsAsked, partsOf, rowsOf, untrue } from './slots.ts';

const HOLD = 'https://kairos.example/fhir/StructureDefinition/hold-expires';

const needing = (...rooms: string[]): object[] =>
  rooms.map((r) => ({ url: 'resource', valueReference: { reference: r } }));
const ROOMS = needing('Location/room', 'Location/room-2');
const of = (...who: string[]): object => ({ actor: ['Location/site', ...who].map((reference) => ({ reference })) });

let clinic: Clinic;
let kairos: TestKairos;
beforeAll(async () => {
  clinic = await openClinic();
  ({ kairos } = clinic.server);
  const { system } = clinic;
  await put(system, {
    resourceType: 'Location',
    id: 'room-2',
    name: 'Room 2',
    partOf: { reference: 'Location/site' },
    physicalType: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'ro' }] },
  });
  for (const id of ['wilson', 'cuddy', 'foreman'])
    await put(system, { resourceType: 'Practitioner', id, name: [{ family: id }] });
  await put(system, { resourceType: 'Device', id: 'scanner', status: 'active' });
  await put(system, service('exam', ...ROOMS));
  await put(system, service('long', { url: 'bufferAfter', ...minutes(15) }, ...needing('Location/room-2')));
  await put(system, service('scan', ...needing('Device/scanner')));
  await put(system, service('circle', { url: 'capacity', valuePositiveInt: 2 }, ...needing('Location/room')));
  for (const doctor of ['wilson', 'cuddy'])
    await put(system, schedule(doctor, doctor, of(`Practitioner/${doctor}`, 'HealthcareService/exam')));
  await put(
    system,
    schedule(
      'foreman',
      'foreman',
      of('Practitioner/foreman', ...['long', 'scan', 'circle'].map((s) => `HealthcareService/${s}`)),
    ),
  );
  await generateSlots(partsOf(kairos));
  await generateAsAsked(kairos);
});
afterAll(() => clinic.close());

const next = times(6);

/** Statuses of the Slots at a time: of the two who examine, and of the services of the third. */
async function slots(start: string): Promise<Record<string, string>> {
  const rows = await rowsOf(
    kairos,
    `select case when schedule = 'Schedule/foreman' then substr(service[1], 19) else substr(schedule, 10) end, status
     from slot where start = $1 and schedule = any($2) order by 1`,
    [start, ['Schedule/wilson', 'Schedule/cuddy', 'Schedule/foreman']],
  );
  return Object.fromEntries(rows.map(([name = '', status = '']) => [name, status]));
}
const FREE = { circle: 'free', cuddy: 'free', long: 'free', scan: 'free', wilson: 'free' };

/** A visit that needs a room alone. */
const cleaning = async (
  room: string,
  start: string,
  more: object = {},
  headers: Record<string, string> = {},
): Promise<string> =>
  idOf(
    done(
      await clinic.staff(
        'POST',
        'Appointment',
        {
          resourceType: 'Appointment',
          status: 'booked',
          start,
          end: later(start, 30),
          participant: [taking(room)],
          ...more,
        },
        headers,
      ),
    ),
  );

const proposal = async (start: string, schedules: string, offered = 'exam'): Promise<string> => {
  const query = `start=${encodeURIComponent(start)}&end=${encodeURIComponent(later(start, 30))}&schedule=Schedule/${schedules}&service=HealthcareService/${offered}`;
  return String(found(done(await find(clinic.nobody, query)))[0]?.['id']);
};
const book = async (send: Send, start: string, schedules: string, offered?: string): Promise<Answer> =>
  done(await bookProposal(send, await proposal(start, schedules, offered)));
const hold = async (send: Send, start: string, schedules: string): Promise<Answer> => {
  const reference = referring('appointment-reference', `Appointment/${await proposal(start, schedules)}`);
  return done(await send('POST', 'Appointment/$hold', params(reference)));
};
const cancel = async (id: string): Promise<Answer> =>
  done(await clinic.staff('POST', `Appointment/${id}/$cancel`, params()));

const wrong = async (): Promise<Readonly<Record<string, readonly string[]>>> =>
  Object.fromEntries(
    (await checkInvariants(kairos.roles.app, kairos.processKeys.roots))
      .filter((r) => r.found.length > 0)
      .map((r) => [r.name, r.found]),
  );

afterEach(async () => {
  const found = [await untrue(kairos), await wrong()];
  if (JSON.stringify(found) !== '[[],{}]') throw new Error(JSON.stringify(found));
});

describe('whoever takes the last room', () => {
  test('turns the Slots of all who need one busy, in the same transaction, and gives them back', async () => {
    const start = next();
    expect(await slots(start)).toEqual(FREE);
    const one = await book(clinic.ann, start, 'wilson');
    const two = await cleaning('Location/room-2', start);
    // Of the one who has the other visit the Slot is busy anyhow.
    expect(await slots(start)).toEqual({ ...FREE, wilson: 'busy', cuddy: 'busy', long: 'busy', circle: 'busy' });
    expect(await starts(clinic.nobody, start.slice(0, 10), 'schedule=Schedule/cuddy')).not.toContain(
      start.slice(11, 16),
    );
    const written = await rowsOf(
      kairos,
      `select s.xmin = a.xmin from slot s, appointment a where s.schedule = 'Schedule/cuddy' and s.start = $1 and a.id = $2`,
      [start, two],
    );
    expect(written).toEqual([['t']]);
    const lost = await clinic.bob('POST', 'Appointment', {
      ...visit({ start, patient: 'bob', practitioner: 'cuddy', service: 'exam' }),
      slot: [{ reference: `Slot/${slotId('Schedule/cuddy', 'HealthcareService/exam', Date.parse(start))}` }],
      participant: [taking('Patient/bob'), taking('Practitioner/cuddy'), taking('Location/room')],
    });
    expect(lost.status, lost.text).toBe(409);
    await cancel(two);
    expect(await slots(start)).toEqual({ ...FREE, wilson: 'busy', circle: 'busy' });
    await book(clinic.bob, start, 'cuddy');
    await cancel(idOf(one));
    expect(await slots(start)).toEqual({ ...FREE, cuddy: 'busy', long: 'busy' });
  });

  test('may do so by a plain POST for the room alone, or a device, and by a move', async () => {
    const [start, other] = [next(), next()];
    const scan = await cleaning('Device/scanner', start);
    expect(await slots(start)).toEqual({ ...FREE, scan: 'busy' });
    const stands = (await clinic.staff('GET', `Appointment/${scan}`)).body;
    done(await clinic.staff('PUT', `Appointment/${scan}`, { ...stands, start: other, end: later(other, 30) }));
    expect([await slots(start), await slots(other)]).toEqual([FREE, { ...FREE, scan: 'busy' }]);
    clinic.clock.ahead = Date.parse(other) - Date.now();
    done(await clinic.staff('POST', `Appointment/${scan}/$no-show`, params()));
    clinic.clock.ahead = 0;
    expect(await slots(other)).toEqual(FREE);
  });

  test('of a group: when the last place in the room is taken', async () => {
    const start = next();
    const one = await book(clinic.ann, start, 'foreman', 'circle');
    expect(await slots(start)).toMatchObject({ circle: 'free', long: 'busy' });
    // The physician could see another, but the room is taken by somebody who wants it alone.
    const other = next();
    const alone = await cleaning('Location/room', other);
    expect(await slots(other)).toMatchObject({ circle: 'busy', long: 'free' });
    await cancel(alone);
    await book(clinic.bob, start, 'foreman', 'circle');
    expect(await slots(start)).toMatchObject({ circle: 'busy' });
    await cancel(idOf(one));
    expect(await slots(start)).toMatchObject({ circle: 'free', cuddy: 'free' });
  });

  test('with their buffers, and with those of who would come', async () => {
    const [before, start, after] = ['09:30', '10:00', '10:30'].map((time) => at(workday(20), time)) as [
      string,
      string,
      string,
    ];
    // Somebody is there a quarter of an hour before the room would be left.
    const late = await cleaning('Location/room-2', later(start, 15), { end: later(start, 20) });
    expect([await slots(before), await slots(start), await slots(after)]).toEqual([
      FREE,
      { ...FREE, long: 'busy' },
      FREE,
    ]);
    await cancel(late);
    const early = await cleaning('Location/room-2', start, { end: later(start, 5) });
    expect(await slots(before)).toEqual({ ...FREE, long: 'busy' });
    await cancel(early);
    const long = await book(clinic.ann, before, 'foreman', 'long');
    await cleaning('Location/room', start);
    expect(await slots(start)).toEqual({
      ...FREE,
      wilson: 'busy',
      cuddy: 'busy',
      long: 'busy',
      circle: 'busy',
      scan: 'busy',
    });
    await cancel(idOf(long));
    expect(await slots(start)).toEqual({ ...FREE, circle: 'busy' });
  });

  test('two at the same moment: both see it', async () => {
    for (let round = 0; round < 6; round++) {
      const start = next();
      const unless = { 'If-None-Exist': `identifier=urn:x|${round}` };
      await Promise.all([cleaning('Location/room', start, {}, unless), cleaning('Location/room-2', start)]);
      expect(await slots(start)).toMatchObject({ wilson: 'busy', cuddy: 'busy', scan: 'free' });
    }
  });
});

test('who takes the last room by an old look at the calendar is told to look again', async () => {
  const start = next();
  const booking = new pg.Client(kairos.roles.app);
  await booking.connect();
  try {
    await booking.query('begin isolation level serializable; select count(*) from slot');
    await cleaning('Location/room', start);
    const rooms = (await freshDirectory(partsOf(kairos))).pooling('Location/room-2');
    const spans = rooms.map((offer) => spanOf(offer, start, later(start, 30)));
    await booking.query(
      `insert into occupancy values ('someone', $1, scheduling_lanes(1, 1), tstzrange($2, $3), false, 1, 1, false, null)`,
      [actorKey('Location/room-2'), start, later(start, 30)],
    );
    const restated = booking.query('select scheduling_restate($1)', [JSON.stringify(spans)]);
    await expect(restated).rejects.toMatchObject({ code: '40001' });
  } finally {
    await booking.end();
  }
});

describe('a hold', () => {
  test('of the last room: the Slots are held until it runs out', async () => {
    const start = next();
    await cleaning('Location/room', start);
    const held = await hold(clinic.ann, start, 'wilson');
    expect(await slots(start)).toMatchObject({
      wilson: 'busy-tentative',
      cuddy: 'busy-tentative',
      long: 'busy-tentative',
    });
    done(await clinic.ann('POST', `Appointment/${idOf(held)}/$release`));
    expect(await slots(start)).toMatchObject({ wilson: 'free', cuddy: 'free', long: 'free' });

    const until = Date.now() + 1_500;
    const extension = [{ url: HOLD, valueInstant: new Date(until).toISOString() }];
    await cleaning('Location/room-2', start, { status: 'pending', extension });
    expect(await slots(start)).toMatchObject({ wilson: 'busy-tentative', cuddy: 'busy-tentative' });
    await expect.poll(() => expireHolds(partsOf(kairos)), { timeout: 10_000 }).toBe(1);
    expect(await slots(start)).toMatchObject({ wilson: 'free', cuddy: 'free' });
  });

  test('that becomes a visit: busy', async () => {
    const start = next();
    await cleaning('Location/room', start);
    const held = await hold(clinic.ann, start, 'wilson');
    done(await bookProposal(clinic.ann, idOf(held)));
    expect(await slots(start)).toMatchObject({ wilson: 'busy', cuddy: 'busy' });
  });
});

describe('Slots that are generated', () => {
  test('say from the start what is taken', async () => {
    const [booked, held, half] = [next(), next(), next()];
    for (const room of ['Location/room', 'Location/room-2']) await cleaning(room, booked);
    await cleaning('Location/room', held);
    await hold(clinic.ann, held, 'wilson');
    await cleaning('Location/room', half);
    const expected = [await slots(booked), await slots(held), await slots(half)];
    expect(expected.map((s) => s['cuddy'])).toEqual(['busy', 'busy-tentative', 'free']);
    await kairos.pool.query('delete from slot; delete from scheduling_generated; delete from scheduling_slot');
    await generateSlots(partsOf(kairos));
    expect([await slots(booked), await slots(held), await slots(half)]).toEqual(expected);
  });

  test('follow when another room is added, and when it is taken away', async () => {
    const start = next();
    await cleaning('Location/room-2', start);
    expect(await slots(start)).toMatchObject({ long: 'busy' });
    const buffer = { url: 'bufferAfter', ...minutes(15) };
    await put(clinic.system, service('long', buffer, ...ROOMS));
    await generateAsAsked(kairos);
    expect(await slots(start)).toMatchObject({ long: 'free' });
    await put(clinic.system, service('long', buffer, ...needing('Location/room-2')));
    await generateAsAsked(kairos);
    expect(await slots(start)).toMatchObject({ long: 'busy' });
  });

  test('a pool that the Schedule names wins over that of the service', async () => {
    const start = next();
    const own = (...extension: object[]): object => {
      const plain = schedule('cuddy', 'cuddy', of('Practitioner/cuddy', 'HealthcareService/exam')) as {
        extension: object[];
      };
      const url = 'https://kairos.example/fhir/StructureDefinition/scheduling-parameters';
      return { ...plain, extension: [...plain.extension, ...(extension.length > 0 ? [{ url, extension }] : [])] };
    };
    await put(clinic.system, own(...needing('Device/scanner')));
    await generateAsAsked(kairos);
    await cleaning('Device/scanner', start);
    expect(await slots(start)).toMatchObject({ cuddy: 'busy', wilson: 'free' });
    await put(clinic.system, own());
    await generateAsAsked(kairos);
    expect(await slots(start)).toMatchObject({ cuddy: 'free' });
  });
});

test('a Slot made by hand that names no service needs a room where there is one service, and none where it might be any', async () => {
  const start = next();
  const made = async (name: string, from: string): Promise<string> =>
    String(
      done(
        await clinic.staff('POST', 'Slot', {
          resourceType: 'Slot',
          schedule: { reference: `Schedule/${name}` },
          status: 'free',
          start: from,
          end: later(from, 30),
        }),
      ).body['id'],
    );
  const [sole, any] = [await made('wilson', start), await made('foreman', start)];
  const both = async (): Promise<unknown[]> =>
    Promise.all([sole, any].map(async (id) => (await clinic.staff('GET', `Slot/${id}`)).body['status']));
  await cleaning('Location/room', start);
  const last = await cleaning('Location/room-2', start);
  expect(await both()).toEqual(['busy', 'free']);
  await cancel(last);
  expect(await both()).toEqual(['free', 'free']);
});

test('the doctor finds a Slot that is free although no room is', async () => {
  const start = next();
  for (const room of ['Location/room', 'Location/room-2']) await cleaning(room, start);
  const id = slotId('Schedule/cuddy', 'HealthcareService/exam', Date.parse(start));
  const owner = new pg.Client(kairos.roles.owner);
  await owner.connect();
  const to = (from: string, status: string): Promise<unknown> =>
    owner.query(
      `update slot set status = '${status}', content = replace(content, '"status":"${from}"', '"status":"${status}"') where id = '${id}'`,
    );
  try {
    await to('busy', 'free');
    expect(await wrong()).toEqual({ 'I5 slots': [`Slot/${id} (free)`] });
  } finally {
    await to('free', 'busy');
    await owner.end();
  }
});
