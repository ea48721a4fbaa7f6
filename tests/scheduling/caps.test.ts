/** D9: how many visits a day or week may have: of a practitioner, a service, a patient, or of patients who have not been there before. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Send } from '../http/client.ts';
import {
  at,
  bookProposal,
  bundle,
  done,
  find,
  found,
  idOf,
  openClinic,
  params,
  put,
  referring,
  said,
  schedule,
  service,
  starts,
  statuses,
  visit,
  workdays,
  type Clinic,
  type Wish,
} from './clinic.ts';

const cap = (of: string, limit: number, per = 'day'): object => ({
  url: 'cap',
  extension: [
    { url: 'of', valueCode: of },
    { url: 'per', valueCode: per },
    { url: 'limit', valuePositiveInt: limit },
  ],
});
const actors = (practitioner: string, ...services: string[]): object => ({
  actor: [`Practitioner/${practitioner}`, 'Location/site', ...services.map((s) => `HealthcareService/${s}`)].map(
    (reference) => ({ reference }),
  ),
});
let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  for (const id of ['dan', 'fay', 'gus'])
    await put(system, { resourceType: 'Patient', id, name: [{ family: id }], gender: 'unknown' });
  for (const id of ['cox', 'kelso', 'reid'])
    await put(system, { resourceType: 'Practitioner', id, name: [{ family: id }] });
  await put(system, service('few', cap('provider', 2)));
  await put(system, service('plain'));
  await put(system, schedule('cox', 'cox', actors('cox', 'few', 'plain')));
  await put(system, service('rare', cap('service', 2)));
  await put(system, schedule('kelso', 'kelso', actors('kelso', 'rare')));
  await put(system, schedule('grey-rare', 'grey', actors('grey', 'rare')));
  await put(system, service('once', cap('patient', 1, 'week')));
  await put(system, schedule('house-once', 'house', actors('house', 'once')));
  await put(system, service('fresh', cap('new-patient', 1)));
  await put(system, schedule('reid', 'reid', actors('reid', 'fresh')));
});
afterAll(() => clinic.close());
const nextDay = workdays(7);

const post = (wish: Wish, send: Send = clinic.staff): Promise<Answer> => send('POST', 'Appointment', visit(wish));
const refused = (answer: Answer, words: string): void => {
  expect(answer.status, answer.text).toBe(422);
  expect(answer.body['issue']?.[0]).toMatchObject({ code: 'business-rule', expression: ['Appointment.start'] });
  expect(said(answer)).toContain(words);
};

describe('of a practitioner', () => {
  const few = (day: string, time: string, patient = 'ann', service = 'few'): Wish => ({
    start: at(day, time),
    patient,
    practitioner: 'cox',
    service,
  });
  test('counts all of their visits; the day is offered no more, and booked by no door', async () => {
    const day = nextDay();
    const [proposal] = found(
      done(await find(clinic.ann, `start=${day}&end=${day}&schedule=Schedule/cox&service=HealthcareService/few`)),
    );
    done(await post(few(day, '10:00', 'bob', 'plain')));
    expect(await starts(clinic.ann, day, 'service=HealthcareService/few')).toHaveLength(13);
    const second = done(await post(few(day, '11:00', 'eve')));
    for (const send of [clinic.nobody, clinic.ann, clinic.staff])
      expect(await starts(send, day, 'service=HealthcareService/few')).toEqual([]);
    const words = 'No more than 2 visits with this practitioner';
    refused(await bookProposal(clinic.ann, String(proposal?.['id'])), words);
    refused(await post(few(day, '14:00'), clinic.ann), words);
    refused(await post(few(day, '14:00')), words);
    refused(
      await clinic.staff(
        'POST',
        'Appointment/$hold',
        params(referring('appointment-reference', `Appointment/${String(proposal?.['id'])}`)),
      ),
      words,
    );
    const elsewhere = done(await post(few(nextDay(), '15:00'))).body;
    const moved = { ...elsewhere, start: at(day, '15:00'), end: at(day, '15:30') };
    refused(await clinic.staff('PUT', `Appointment/${String(elsewhere['id'])}`, moved), words);
    const batch = await clinic.staff(
      'POST',
      '',
      bundle('batch', { request: { method: 'POST', url: 'Appointment' }, resource: visit(few(day, '14:00')) }),
    );
    expect(statuses(batch)).toEqual(['422']);
    // The other service has no cap; and a cancelled visit is none.
    done(await post(few(day, '14:00', 'ann', 'plain')));
    refused(await post(few(day, '15:30', 'dan')), words);
    for (const id of [idOf(second)]) done(await clinic.staff('POST', `Appointment/${id}/$cancel`, params()));
    refused(await post(few(day, '15:30', 'dan')), words);
  });

  test('a visit that moves within the day is no other one; to a full day it is', async () => {
    const [day, full] = [nextDay(), nextDay()];
    const mine = idOf(done(await post(few(day, '09:00'))));
    done(await post(few(day, '10:00', 'bob')));
    for (const [time, patient] of [
      ['09:00', 'bob'],
      ['10:00', 'eve'],
    ] as const)
      done(await post(few(full, time, patient)));
    const move = (start: string, ...more: object[]): Promise<Answer> =>
      clinic.staff('POST', `Appointment/${mine}/$reschedule`, params({ name: 'start', valueDateTime: start }, ...more));
    done(await move(at(day, '14:00')));
    refused(await move(at(full, '14:00')), 'No more than 2');
    done(await move(at(full, '14:00'), { name: 'override-reason', valueString: 'her only day' }));
  });

  test('of many at once as many as there is room for', async () => {
    for (let round = 0; round < 4; round++) {
      const day = nextDay();
      const all = await Promise.all(
        ['09:00', '09:30', '10:00', '10:30', '11:00', '11:30'].map((time, i) =>
          post(few(day, time, ['ann', 'bob', 'eve'][i % 3])),
        ),
      );
      expect(all.filter((a) => a.status === 201)).toHaveLength(2);
      for (const answer of all.filter((a) => a.status !== 201)) refused(answer, 'No more than 2');
    }
  });

  test('what is held counts until it has run out', async () => {
    const day = nextDay();
    const [first, second] = found(
      done(await find(clinic.staff, `start=${day}&end=${day}&schedule=Schedule/cox&service=HealthcareService/few`)),
    );
    const hold = (proposal: typeof first, minutes: number): Promise<Answer> =>
      clinic.staff(
        'POST',
        'Appointment/$hold',
        params(referring('appointment-reference', `Appointment/${String(proposal?.['id'])}`), {
          name: 'minutes',
          valuePositiveInt: minutes,
        }),
      );
    done(await hold(first, 5));
    const held = idOf(done(await hold(second, 5)));
    refused(await post(few(day, '14:00')), 'No more than 2');
    await clinic.sql(`update scheduling_hold set expires = now() - interval '1 second' where appointment = $1`, [held]);
    expect((await post(few(day, '14:00'))).status).toBe(201);
  });

  test('a no-show has been one; what was entered in error has not', async () => {
    const day = nextDay();
    const ids = [idOf(done(await post(few(day, '09:00')))), idOf(done(await post(few(day, '10:00', 'bob'))))];
    const read = async (id: string): Promise<object> => done(await clinic.staff('GET', `Appointment/${id}`)).body;
    const set = async (id: string, status: string): Promise<Answer> =>
      done(await clinic.staff('PUT', `Appointment/${id}`, { ...(await read(id)), status }));
    clinic.clock.ahead = Date.parse(at(day, '09:00')) - Date.now();
    await set(ids[0] ?? '', 'noshow');
    clinic.clock.ahead = 0;
    refused(await post(few(day, '14:00', 'eve')), 'No more than 2');
    await set(ids[0] ?? '', 'entered-in-error');
    expect((await post(few(day, '14:00', 'eve'))).status).toBe(201);
  });
});

test('of a service: whoever gives it', async () => {
  const day = nextDay();
  const rare = (time: string, practitioner: string, patient: string): Promise<Answer> =>
    post({ start: at(day, time), practitioner, patient, service: 'rare' });
  done(await rare('09:00', 'kelso', 'ann'));
  done(await rare('09:00', 'grey', 'bob'));
  refused(await rare('14:00', 'kelso', 'eve'), 'No more than 2 visits of this service');
  expect(await starts(clinic.ann, day, 'service=HealthcareService/rare')).toEqual([]);
  expect(await starts(clinic.ann, nextDay(), 'service=HealthcareService/rare')).toHaveLength(28);
});

test('of a patient: once in the week that begins on Monday', async () => {
  const monday = workdays(38);
  let day = monday();
  while (new Date(`${day}T12:00:00Z`).getUTCDay() !== 1) day = monday();
  const [tuesday] = [monday()];
  let next = monday();
  while (new Date(`${next}T12:00:00Z`).getUTCDay() !== 1) next = monday();
  const once = (on: string, patient: string, send: Send = clinic.staff): Promise<Answer> =>
    post({ start: at(on, '09:00'), practitioner: 'house', patient, service: 'once' }, send);
  done(await once(day, 'ann', clinic.ann));
  refused(await once(tuesday, 'ann', clinic.ann), 'No more than 1 visit of a patient');
  refused(await once(tuesday, 'ann'), 'No more than 1');
  const asked = (patient: string): Promise<string[]> =>
    starts(clinic.staff, tuesday, `service=HealthcareService/once&patient-reference=Patient/${patient}`);
  expect([(await asked('ann')).length, (await asked('dan')).length]).toEqual([0, 14]);
  expect((await once(tuesday, 'dan')).status).toBe(201);
  expect((await once(next, 'ann', clinic.ann)).status).toBe(201);
});

describe('of new patients', () => {
  const fresh = (day: string, time: string, patient: string, send: Send = clinic.staff): Promise<Answer> =>
    post({ start: at(day, time), practitioner: 'reid', patient, service: 'fresh' }, send);
  const offered = async (send: Send, day: string, patient?: string): Promise<number> =>
    (
      await starts(
        send,
        day,
        `service=HealthcareService/fresh${patient === undefined ? '' : `&patient-reference=Patient/${patient}`}`,
      )
    ).length;

  test('one a day; who has been there before is none, and is offered what is left', async () => {
    const [before, day] = [nextDay(), nextDay()];
    done(await fresh(before, '09:00', 'ann'));
    done(await fresh(day, '09:00', 'bob'));
    refused(await fresh(day, '10:00', 'eve'), 'No more than 1 visit of new patients');
    refused(await fresh(day, '10:00', 'eve', clinic.eve), 'No more than 1 visit of new patients');
    expect([await offered(clinic.eve, day, 'eve'), await offered(clinic.nobody, day)]).toEqual([0, 0]);
    expect([await offered(clinic.ann, day, 'ann'), await offered(clinic.staff, day, 'ann')]).toEqual([13, 13]);
    expect((await fresh(day, '10:00', 'ann', clinic.ann)).status).toBe(201);
    const why = await clinic.eve(
      'GET',
      `Appointment/$explain?start=${at(day, '14:00')}&schedule=Schedule/reid&patient-reference=Patient/eve`,
    );
    expect(why.text).toContain('"cap"');
    const free = await clinic.ann(
      'GET',
      `Appointment/$explain?start=${at(day, '14:00')}&schedule=Schedule/reid&patient-reference=Patient/ann`,
    );
    expect(free.text).not.toContain('"cap"');
  });

  test('with another practitioner one is new again; and a cancelled visit has not been', async () => {
    const [before, day] = [nextDay(), nextDay()];
    done(await post({ start: at(before, '09:00'), patient: 'dan' }));
    const gone = idOf(done(await fresh(before, '10:00', 'fay')));
    done(await clinic.staff('POST', `Appointment/${gone}/$cancel`, params()));
    done(await fresh(day, '09:00', 'gus'));
    expect([await offered(clinic.staff, day, 'dan'), await offered(clinic.staff, day, 'fay')]).toEqual([0, 0]);
    for (const patient of ['dan', 'fay']) refused(await fresh(day, '10:00', patient), 'No more than 1');
    // From the day of their first visit on.
    expect(await offered(clinic.staff, before, 'gus')).toBe(14);
    const later = nextDay();
    expect(await offered(clinic.staff, later, 'gus')).toBe(14);
  });
});
