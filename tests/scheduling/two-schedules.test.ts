/**
 * A practitioner who offers a service in several Schedules, at other hours or places: a visit is of the one that offers its time, with its buffers and
 * blocks. https://hl7.org/fhir/R4/schedule.html, scheduling 7.5
 */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { checkInvariants } from '../../src/compose-doctor.ts';
import type { Answer, Json } from '../http/client.ts';
import {
  appointmentOf,
  at,
  availability,
  bookProposal,
  done,
  find,
  found,
  idOf,
  later,
  minutes,
  openClinic,
  parameters,
  params,
  put,
  referring,
  said,
  service,
  starts,
  taking,
  visit,
  weekly,
  workday,
  type Clinic,
} from './clinic.ts';

let clinic: Clinic;
const scheduleOf = (
  id: string,
  site: string,
  hours: readonly [string, string],
  ...more: readonly object[]
): object => ({
  resourceType: 'Schedule',
  id,
  active: true,
  extension: [availability(weekly(...hours)), ...(more.length > 0 ? [parameters(...more)] : [])],
  actor: ['Practitioner/grey', `Location/${site}`, 'HealthcareService/scan'].map((reference) => ({ reference })),
});

beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  await put(system, {
    resourceType: 'Location',
    id: 'annex',
    name: 'Annex',
    extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/timezone', valueCode: 'America/New_York' }],
    physicalType: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'si' }] },
  });
  await put(system, service('scan'));
  await put(system, scheduleOf('morning', 'site', ['09:00:00', '12:00:00']));
  await put(
    system,
    scheduleOf(
      'afternoon',
      'site',
      ['13:00:00', '17:00:00'],
      { url: 'bufferAfter', ...minutes(20) },
      { url: 'duration', ...minutes(20) },
    ),
  );
  await put(system, scheduleOf('annex', 'annex', ['10:00:00', '16:00:00'], { url: 'bufferBefore', ...minutes(10) }));
});
afterAll(() => clinic.close());

let [ahead, day] = [6, ''];
beforeEach(() => {
  const before = day;
  for (; day === before; ahead++) day = workday(ahead);
});

const wish = (time: string, length: number, ...places: readonly string[]): object => {
  const participant = [
    taking('Patient/ann'),
    taking('Practitioner/grey'),
    ...places.map((p) => taking(`Location/${p}`, 'accepted', 'information-only')),
    taking('HealthcareService/scan', 'accepted', 'information-only'),
  ];
  return visit({ start: at(day, time), end: later(at(day, time), length) }, { participant });
};
const post = (time: string, length: number, ...places: readonly string[]): Promise<Answer> =>
  clinic.ann('POST', 'Appointment', wish(time, length, ...places));
/** From when to when grey is occupied by an appointment. */
const occupied = async (answer: Answer): Promise<string> =>
  String(
    (
      await clinic.sql(
        `select to_char(lower(during) at time zone 'America/New_York', 'HH24:MI') || ' to ' || to_char(upper(during) at time zone 'America/New_York', 'HH24:MI') as during
         from occupancy where appointment = $1 order by upper(during) - lower(during) desc limit 1`,
        [idOf(answer)],
      )
    )[0]?.['during'],
  );
const free = (query: string): Promise<string[]> => starts(clinic.ann, day, `service=HealthcareService/scan&${query}`);
const block = async (schedule: string, time: string, length: number): Promise<void> =>
  void done(
    await clinic.staff(
      'POST',
      `Schedule/${schedule}/$block`,
      params(
        { name: 'start', valueDateTime: at(day, time) },
        { name: 'end', valueDateTime: later(at(day, time), length) },
      ),
    ),
  );

test('a time of the second Schedule, posted plainly, has its length and its buffers', async () => {
  const answer = done(await post('14:00', 20, 'site'));
  expect(await occupied(answer)).toBe('14:00 to 14:40');
  expect(said(await post('13:20', 30, 'site'))).toContain('422 A visit of this service lasts 20 minutes');
  expect(await occupied(done(await post('09:30', 30, 'site')))).toBe('09:30 to 10:00');
});

test('the place that is named decides', async () => {
  expect(await occupied(done(await post('10:30', 30, 'annex')))).toBe('10:20 to 11:00');
  expect(await free('location-reference=Location/site')).not.toContain('10:00');
  expect((await post('10:00', 30, 'site')).status).toBe(409);
  expect(await occupied(done(await post('11:00', 30, 'site')))).toBe('11:00 to 11:30');
  expect(said(await post('16:30', 30, 'annex'))).toContain('422 This time is not offered');
});

test('without a place, it is of whichever Schedule offers it', async () => {
  expect(await occupied(done(await post('09:00', 30)))).toBe('09:00 to 09:30');
  await block('morning', '10:00', 30);
  const answer = done(await post('10:00', 30));
  expect(await occupied(answer)).toBe('09:50 to 10:30');
  await block('morning', '11:00', 30);
  await block('annex', '11:00', 30);
  expect(said(await post('11:00', 30))).toContain('409 This time is blocked');
  await put(clinic.system, {
    resourceType: 'Slot',
    id: `extra-${day}`,
    schedule: { reference: 'Schedule/afternoon' },
    status: 'free',
    start: at(day, '18:00'),
    end: at(day, '19:00'),
  });
  expect(await free('')).toContain('18:00');
  expect(await occupied(done(await post('18:00', 20)))).toBe('18:00 to 18:40');
});

test('a Schedule that is not active offers nothing', async () => {
  await put(clinic.system, { ...scheduleOf('morning', 'site', ['09:00:00', '12:00:00']), active: false });
  expect(await occupied(done(await post('10:30', 30)))).toBe('10:20 to 11:00');
  expect((await post('09:00', 30)).status).toBe(422);
  await put(clinic.system, scheduleOf('morning', 'site', ['09:00:00', '12:00:00']));
});

test('whatever $find offers books as it is proposed: by its id, as a resource, posted, held', async () => {
  const query = `start=${day}&end=${day}&_count=200&practitioner=Practitioner/grey&service=HealthcareService/scan`;
  const proposals = found(done(await find(clinic.ann, query)));
  expect(proposals.length).toBeGreaterThan(20);
  const ways: ((p: Json) => Promise<Answer>)[] = [
    (p) => bookProposal(clinic.ann, String(p['id'])),
    (p) => {
      const { id: _, ...resource } = p as unknown as Record<string, unknown>;
      return clinic.ann(
        'POST',
        'Appointment/$book',
        params(
          { name: 'appointment-resource', resource },
          { name: 'patient-reference', valueReference: { reference: 'Patient/ann' } },
        ),
      );
    },
    (p) => {
      const { id: _, participant, ...rest } = p as unknown as { id: string; participant: { required?: string }[] };
      const people = participant.map((x) => ({ ...x, status: 'accepted' }));
      return clinic.ann('POST', 'Appointment', {
        ...rest,
        status: 'booked',
        participant: [taking('Patient/ann'), ...people],
      });
    },
    async (p) => {
      const reference = referring('appointment-reference', `Appointment/${String(p['id'])}`);
      const held = done(await clinic.ann('POST', 'Appointment/$hold', params(reference)));
      // Time off that comes later leaves it alone.
      await block('morning', String(p['start']).slice(11, 16), 5);
      await block('annex', String(p['start']).slice(11, 16), 5);
      const was = await occupied(held);
      const booked = await bookProposal(clinic.ann, idOf(held));
      expect(await occupied(booked)).toBe(was);
      return booked;
    },
  ];
  for (const [i, proposal] of proposals.entries()) {
    const booked = await ways[i % ways.length]?.(proposal);
    expect(booked && said(booked), `${i % ways.length} ${JSON.stringify(proposal)}`).toMatch(/^20/);
    if (!booked) continue;
    expect(appointmentOf(booked)).toMatchObject({ status: 'booked', start: proposal['start'], end: proposal['end'] });
    done(await clinic.staff('POST', `Appointment/${idOf(booked)}/$cancel`));
    const [slots] = [await clinic.system('GET', `Slot?status=busy-unavailable&start=ge${day}`)];
    for (const { resource } of (slots.body['entry'] ?? []) as unknown as { resource: Json }[])
      done(await clinic.system('DELETE', `Slot/${String(resource['id'])}`));
  }
});

test('what was held in one of two Schedules of a place is booked in that one', async () => {
  await put(
    clinic.system,
    scheduleOf('urgent', 'site', ['09:00:00', '10:00:00'], { url: 'bufferAfter', ...minutes(15) }),
  );
  const query = `start=${day}&end=${day}&schedule=Schedule/urgent`;
  const [proposal] = found(done(await find(clinic.ann, query)));
  const reference = referring('appointment-reference', `Appointment/${String(proposal?.['id'])}`);
  const held = done(await clinic.ann('POST', 'Appointment/$hold', params(reference)));
  expect(await occupied(held)).toBe('09:00 to 09:45');
  const booked = done(await bookProposal(clinic.ann, idOf(held)));
  expect(await occupied(booked)).toBe('09:00 to 09:45');
  done(await clinic.staff('POST', `Appointment/${idOf(booked)}/$cancel`));
  done(await clinic.system('DELETE', 'Schedule/urgent'));
});

test('a visit moves to whichever Schedule offers the new time', async () => {
  const id = idOf(done(await post('09:00', 30, 'site')));
  const move = (time: string, ...more: readonly object[]): Promise<Answer> =>
    clinic.ann(
      'POST',
      `Appointment/${id}/$reschedule`,
      params({ name: 'start', valueDateTime: at(day, time) }, ...more),
    );
  expect(await occupied(done(await move('15:00')))).toBe('15:00 to 15:40');
  expect(await occupied(done(await move('11:30')))).toBe('11:30 to 12:00');
  expect(await occupied(done(await move('12:30', referring('practitioner', 'Practitioner/grey'))))).toBe(
    '12:20 to 13:00',
  );
  const { participant } = done(await clinic.ann('GET', `Appointment/${id}`)).body;
  expect(JSON.stringify(participant)).toContain('Location/annex');
  expect(JSON.stringify(participant)).not.toContain('Location/site');
});

test('a room that is named keeps the Schedule of its site', async () => {
  await put(clinic.system, service('scan', { url: 'resource', valueReference: { reference: 'Location/room' } }));
  const withRoom = { ...(wish('09:00', 30) as { participant: object[] }) };
  withRoom.participant = [...withRoom.participant, taking('Location/room')];
  const answer = done(await clinic.ann('POST', 'Appointment', withRoom));
  expect(await occupied(answer)).toBe('09:00 to 09:30');
  await put(clinic.system, service('scan'));
});

test('Slots of two Schedules of two people: the time off of each counts, and both are there', async () => {
  for (const [id, schedule] of [
    ['one', 'grey'],
    ['two', 'house'],
  ] as const)
    await put(clinic.system, {
      resourceType: 'Slot',
      id: `${id}-${day}`,
      schedule: { reference: `Schedule/${schedule}` },
      status: 'free',
      start: at(day, '10:00'),
      end: at(day, '10:30'),
    });
  const both = {
    resourceType: 'Appointment',
    slot: [{ reference: `Slot/one-${day}` }, { reference: `Slot/two-${day}` }],
    participant: [taking('Patient/ann'), taking('HealthcareService/visit', 'accepted', 'information-only')],
  };
  const book = (): Promise<Answer> =>
    clinic.staff('POST', 'Appointment/$book', params({ name: 'appointment-resource', resource: both }));
  await block('house', '10:00', 10);
  expect(said(await book())).toContain('409 This time is blocked');
  done(
    await clinic.staff(
      'POST',
      'Schedule/house/$unblock',
      params({ name: 'start', valueDateTime: at(day, '09:00') }, { name: 'end', valueDateTime: at(day, '11:00') }),
    ),
  );
  done(await book());
  for (const practitioner of ['grey', 'house']) {
    const beside = visit({ start: at(day, '10:00'), practitioner, patient: 'bob' });
    expect((await clinic.staff('POST', 'Appointment', beside)).status).toBe(409);
  }
});

test('the database is well after all that', async () => {
  const wrong = (await checkInvariants(clinic.server.kairos.roles.app, clinic.server.kairos.processKeys.roots)).filter(
    (c) => c.found.length > 0,
  );
  expect(wrong).toEqual([]);
});
