/** Slots by hand, D2, and holds of those who work with Slots alone, D4: https://hl7.org/fhir/R4/slot.html */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkInvariants } from '../../src/compose-doctor.ts';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  at,
  bundle,
  done,
  entries,
  idOf,
  later,
  minutes,
  openClinic,
  params,
  put,
  said,
  schedule,
  service,
  starts,
  statuses,
  taking,
  times,
  visit,
  workday,
  type Clinic,
} from './clinic.ts';
import { generateAsAsked } from './slots.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';
let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  await put(clinic.system, service('other', { url: 'holdMinutes', valuePositiveInt: 9 }));
  await put(
    clinic.system,
    schedule('grey', 'grey', {
      actor: ['Practitioner/grey', 'Location/site', 'HealthcareService/visit', 'HealthcareService/other'].map(
        (reference) => ({ reference }),
      ),
    }),
  );
});
afterAll(() => clinic.close());
const next = times(7);
let number = 0;
const slot = async (start: string, more: object = {}): Promise<Json> => {
  const id = `s${++number}`;
  return done(
    await clinic.system('PUT', `Slot/${id}`, {
      resourceType: 'Slot',
      id,
      schedule: { reference: 'Schedule/grey' },
      status: 'free',
      start,
      end: later(start, 30),
      ...more,
    }),
  ).body;
};
const get = async (id: unknown): Promise<Json> => done(await clinic.system('GET', `Slot/${String(id)}`)).body;
const patch = (
  send: Send,
  { id, meta }: Json,
  status: string,
  ifMatch: string | undefined = `W/"${String(meta?.['versionId'])}"`,
): Promise<Answer> =>
  send(
    'PATCH',
    `Slot/${String(id)}`,
    [{ op: 'replace', path: '/status', value: status }],
    ifMatch === '' ? {} : { 'If-Match': ifMatch },
  );
const holds = async (id: unknown): Promise<Json[]> =>
  entries(done(await clinic.staff('GET', `Appointment?slot=Slot/${String(id)}`))).map((e) => e['resource'] as Json);
const free = async (start: string): Promise<boolean> =>
  (await starts(clinic.nobody, start.slice(0, 10), 'schedule=Schedule/grey&service=HealthcareService/visit')).includes(
    start.slice(11, 16),
  );

/** Of some Slots those that the doctor finds wrong. */
async function wrongOf(...slots: readonly Json[]): Promise<readonly string[]> {
  const { roles, processKeys } = clinic.server.kairos;
  const all = (await checkInvariants(roles.app, processKeys.roots)).flatMap((r) => r.found);
  return all.filter((found) => slots.some(({ id }) => found.startsWith(`Slot/${String(id)} `)));
}

describe('Oracle’s way: free to busy-tentative is $hold', () => {
  test('it is held, visibly, and $find does not offer it', async () => {
    const start = next();
    const made = await slot(start);
    expect(said(await patch(clinic.staff, made, 'busy-tentative'))).toBe('200 ');
    expect((await get(made['id']))['status']).toBe('busy-tentative');
    expect(await free(start)).toBe(false);
    const [held] = await holds(made['id']);
    expect(held).toMatchObject({ status: 'pending', start, slot: [{ reference: `Slot/${String(made['id'])}` }] });
    expect(JSON.stringify(held)).toContain(`${OWN}/hold-expires`);
    expect((await clinic.bob('POST', 'Appointment', visit({ start, patient: 'bob' }))).status).toBe(409);
  });

  test('If-Match is needed; stale is 412', async () => {
    const made = await slot(next());
    const without = await patch(clinic.staff, made, 'busy-tentative', '');
    expect([
      without.status,
      without.body['issue']?.[0]?.['code'],
      without.body['issue']?.[0]?.['expression']?.[0],
    ]).toEqual([428, 'required', 'http.If-Match']);
    expect((await patch(clinic.staff, made, 'busy-tentative', 'W/"9"')).status).toBe(412);
    expect(
      statuses(
        await clinic.staff(
          'POST',
          '',
          bundle('batch', {
            request: { method: 'PATCH', url: `Slot/${String(made['id'])}` },
            resource: {
              resourceType: 'Binary',
              contentType: 'application/json-patch+json',
              data: Buffer.from(JSON.stringify([{ op: 'replace', path: '/status', value: 'busy-tentative' }])).toString(
                'base64',
              ),
            },
          }),
        ),
      ),
    ).toEqual(['428']);
    expect((await get(made['id']))['status']).toBe('free');
  });

  test('of two with the same version, one holds', async () => {
    const made = await slot(next());
    const answers = await Promise.all([
      patch(clinic.staff, made, 'busy-tentative'),
      patch(clinic.system, made, 'busy-tentative'),
    ]);
    expect(answers.map((a) => a.status).sort()).toEqual([200, 412]);
    expect((await holds(made['id'])).filter((a) => String(a['status']) === 'pending')).toHaveLength(1);
  });

  test('what is held is not held again: 409', async () => {
    const made = await slot(next());
    done(await patch(clinic.staff, made, 'busy-tentative'));
    const now = await get(made['id']);
    expect((await patch(clinic.staff, now, 'busy-tentative')).status).toBe(409);
    expect((await clinic.staff('PUT', `Slot/${String(made['id'])}`, now)).status).toBe(409);
  });

  test('and back: it is released', async () => {
    const start = next();
    const made = await slot(start);
    done(await patch(clinic.staff, made, 'busy-tentative'));
    const now = await get(made['id']);
    expect((await patch(clinic.staff, now, 'free', '')).status).toBe(428);
    done(await patch(clinic.staff, now, 'free'));
    expect([(await get(made['id']))['status'], await free(start)]).toEqual(['free', true]);
    expect((await holds(made['id'])).map((a) => String(a['status']))).toEqual(['cancelled']);
  });

  test('what is taken is not held: 409 with other times', async () => {
    const start = next();
    const made = await slot(start);
    done(await clinic.staff('POST', 'Appointment', visit({ start })));
    const now = await get(made['id']);
    expect(now['status']).toBe('busy');
    const answer = await patch(clinic.staff, now, 'busy-tentative');
    expect(answer.status).toBe(422);
    expect(said(answer)).toContain('may become free, entered-in-error');
  });

  test('the service of the Slot says for how long', async () => {
    const made = await slot(next(), {
      extension: [{ url: `${OWN}/slot-service`, valueReference: { reference: 'HealthcareService/other' } }],
    });
    done(await patch(clinic.staff, made, 'busy-tentative'));
    const [held] = await holds(made['id']);
    const until = (held?.['extension'] as unknown as { valueInstant: string }[] | undefined)?.[0]?.valueInstant ?? '';
    expect(Math.round((Date.parse(until) - Date.now()) / 60_000)).toBe(9);
    expect(JSON.stringify(held?.['participant'])).toContain('HealthcareService/other');
  });

  test('whoever holds it books it by naming the Slot; nobody else does', async () => {
    const start = next();
    const made = await slot(start);
    done(await patch(clinic.staff, made, 'busy-tentative'));
    const resource = visit({ start, patient: 'bob' }, { slot: [{ reference: `Slot/${String(made['id'])}` }] });
    expect((await clinic.bob('POST', 'Appointment', resource)).status).toBe(409);
    expect((await clinic.system('POST', 'Appointment', resource)).status).toBe(409);
    const booked = await clinic.staff('POST', 'Appointment', resource);
    expect([booked.status, (await get(made['id']))['status']]).toEqual([201, 'busy']);
    expect((await holds(made['id'])).map((a) => String(a['status'])).sort()).toEqual(['booked', 'cancelled']);
    // By $book too.
    const other = await slot(next());
    done(await patch(clinic.staff, other, 'busy-tentative'));
    const bySlot = {
      resourceType: 'Appointment',
      slot: [{ reference: `Slot/${String(other['id'])}` }],
      participant: [taking('Patient/ann')],
    };
    expect(said(await clinic.staff('POST', 'Appointment/$book', bySlot))).toBe('200 ');
    // Or the hold itself.
    const third = await slot(next());
    done(await patch(clinic.staff, third, 'busy-tentative'));
    const [held] = await holds(third['id']);
    const won = await clinic.staff(
      'POST',
      `Appointment/${String(held?.['id'])}/$book`,
      params({ name: 'patient-reference', valueReference: { reference: 'Patient/ann' } }),
    );
    expect([said(won), idOf(won)]).toEqual(['200 ', held?.['id']]);
  });

  test('patients change no Slots', async () => {
    const made = await slot(next());
    for (const status of ['busy-tentative', 'busy', 'entered-in-error'])
      expect((await patch(clinic.ann, made, status)).status).toBe(403);
    expect((await clinic.ann('POST', 'Slot', { ...made, id: undefined })).status).toBe(403);
    expect((await clinic.ann('DELETE', `Slot/${String(made['id'])}`)).status).toBe(403);
  });
});

describe('D2: what becomes of a Slot by hand', () => {
  const legal: Readonly<Record<string, readonly string[]>> = {
    free: ['busy-tentative', 'busy', 'busy-unavailable'],
    'busy-tentative': ['free', 'busy'],
    busy: ['free'],
    'busy-unavailable': ['free'],
  };
  const ALL = ['free', 'busy-tentative', 'busy', 'busy-unavailable', 'entered-in-error'];
  test.each(Object.keys(legal))('from %s', async (from) => {
    for (const to of ALL.filter((s) => s !== from)) {
      const made = await slot(next(), { status: from === 'busy-tentative' ? 'free' : from });
      if (from === 'busy-tentative') done(await patch(clinic.staff, made, 'busy-tentative'));
      const now = await get(made['id']);
      const answer = await clinic.staff('PUT', `Slot/${String(made['id'])}`, { ...now, status: to });
      const allowed = to === 'entered-in-error' || legal[from]?.includes(to) === true;
      expect([to, answer.status], answer.text).toEqual([to, allowed ? 200 : 422]);
    }
  });
  test('entered in error is the end', async () => {
    const made = await slot(next(), { status: 'entered-in-error' });
    for (const to of ALL.slice(0, 4)) expect((await patch(clinic.staff, made, to)).status).toBe(422);
  });
  test('booked time is not freed by the Slot', async () => {
    const start = next();
    const made = await slot(start);
    done(
      await clinic.staff(
        'POST',
        'Appointment',
        visit({ start }, { slot: [{ reference: `Slot/${String(made['id'])}` }] }),
      ),
    );
    const now = await get(made['id']);
    const answer = await patch(clinic.staff, now, 'free');
    expect(answer.status, said(answer)).toBe(422);
    expect((await clinic.staff('DELETE', `Slot/${String(made['id'])}`)).status).toBe(422);
  });
  test('nor is that of somebody who does not name it; who has moved away is in nobody’s way', async () => {
    const [start, other] = [next(), next()];
    const made = await slot(start);
    const url = `Slot/${String(made['id'])}`;
    done(await clinic.staff('POST', 'Appointment', visit({ start })));
    const refused = await patch(clinic.staff, await get(made['id']), 'free');
    expect([refused.status, (await get(made['id']))['status']]).toEqual([422, 'busy']);
    const busy = await slot(other, { status: 'busy' });
    expect(said(await patch(clinic.staff, busy, 'free'))).toBe('200 ');
    const named = visit({ start: other }, { slot: [{ reference: url }] });
    const stands = done(await clinic.system('POST', 'Appointment', named)).body;
    const booked = entries(done(await clinic.staff('GET', `Appointment?date=${start.slice(0, 10)}&status=booked`)))
      .map((e) => e['resource'] as Json)
      .find((a) => Date.parse(String(a['start'])) === Date.parse(start));
    done(await clinic.staff('POST', `Appointment/${String(booked?.['id'])}/$cancel`));
    const later_ = done(await patch(clinic.staff, await get(made['id']), 'busy-tentative')).body;
    expect(said(await patch(clinic.staff, await get(later_['id']), 'free'))).toBe('200 ');
    expect((await clinic.staff('GET', `Appointment/${String(stands['id'])}`)).body['status']).toBe('booked');
  });
  test('must end after it starts', async () => {
    const start = next();
    const answer = await clinic.staff('POST', 'Slot', {
      resourceType: 'Slot',
      schedule: { reference: 'Schedule/grey' },
      status: 'free',
      start,
      end: start,
    });
    expect([answer.status, answer.body['issue']?.[0]?.['expression']?.[0]]).toEqual([422, 'Slot.end']);
  });
});

describe('D6: openings and blocks', () => {
  test('a free Slot outside the hours is offered, and booked by patients', async () => {
    const start = at(workday(14), '18:00');
    expect(await free(start)).toBe(false);
    const made = await slot(start, { end: later(start, 60) });
    expect(await free(start)).toBe(true);
    expect((await clinic.ann('POST', 'Appointment', visit({ start }))).status).toBe(201);
    expect((await clinic.ann('POST', 'Appointment', visit({ start: later(start, 60) }))).status).toBe(422);
    expect(await free(later(start, 30).replace('Z', ''))).toBe(false);
    expect((await get(made['id']))['status']).toBe('busy');
  });
  test('one for a service is for no other', async () => {
    const start = at(workday(14), '20:00');
    await slot(start, {
      extension: [{ url: `${OWN}/slot-service`, valueReference: { reference: 'HealthcareService/other' } }],
    });
    expect(await free(start)).toBe(false);
    expect(await starts(clinic.nobody, start.slice(0, 10), 'service=HealthcareService/other')).toContain('20:00');
    expect((await clinic.ann('POST', 'Appointment', visit({ start }))).status).toBe(422);
    expect((await clinic.ann('POST', 'Appointment', visit({ start, service: 'other' }))).status).toBe(201);
  });
  test('busy-unavailable blocks, whoever books; busy is somebody else’s', async () => {
    for (const status of ['busy-unavailable', 'busy']) {
      const start = next();
      const made = await slot(start, { status });
      expect(await free(start)).toBe(false);
      expect((await clinic.staff('POST', 'Appointment', visit({ start }))).status).toBe(409);
      done(await clinic.staff('PUT', `Slot/${String(made['id'])}`, { ...made, status: 'free' }));
      expect(await free(start)).toBe(true);
      done(await clinic.staff('DELETE', `Slot/${String(made['id'])}`));
      expect(await free(start)).toBe(true);
    }
  });
  test('D2: when a time is taken, every Slot of the same person turns busy, and free again', async () => {
    const start = next();
    const [one, two] = [await slot(start), await slot(later(start, 15), { end: later(start, 45) })];
    const booked = done(await clinic.staff('POST', 'Appointment', visit({ start }))).body;
    expect([(await get(one['id']))['status'], (await get(two['id']))['status']]).toEqual(['busy', 'busy']);
    done(await clinic.staff('POST', `Appointment/${String(booked['id'])}/$cancel`));
    expect([(await get(one['id']))['status'], (await get(two['id']))['status']]).toEqual(['free', 'free']);
  });
});

describe('D2: patients read free Slots, without what is said to staff', () => {
  const secret = 'call the widow first';
  test('by every way to read', async () => {
    const start = next();
    const made = await slot(start, { comment: secret });
    const id = String(made['id']);
    expect((await clinic.staff('GET', `Slot/${id}`)).body['comment']).toBe(secret);
    for (const who of ['ann', 'nobody'] as const) {
      for (const path of [
        `Slot/${id}`,
        `Slot?_id=${id}`,
        `Slot?schedule=Schedule/grey&status=free&_include=Slot:schedule`,
        `Schedule?_id=grey&_revinclude=Slot:schedule`,
        `Slot?_id=${id}&_elements=comment`,
        ...(who === 'ann' ? [`Slot/${id}/_history`, `Slot/${id}/_history/1`] : []),
      ]) {
        const answer = done(await clinic[who]('GET', path));
        expect([path, answer.text.includes(secret), answer.text.includes(`"${id}"`)]).toEqual([path, false, true]);
      }
    }
    expect((await clinic.staff('GET', `Slot?_id=${id}`)).text).toContain(secret);
    const posted = await clinic.ann('POST', '', bundle('batch', { request: { method: 'GET', url: `Slot/${id}` } }));
    expect([posted.text.includes(secret), posted.text.includes(id)]).toEqual([false, true]);
  });
  test('what is not free they do not see', async () => {
    const made = await slot(next(), { status: 'busy-unavailable', comment: secret });
    expect((await clinic.ann('GET', `Slot/${String(made['id'])}`)).status).toBe(404);
    expect((await clinic.nobody('GET', `Slot/${String(made['id'])}`)).status).toBe(404);
    expect(entries(await clinic.ann('GET', `Slot?_id=${String(made['id'])}`))).toEqual([]);
  });
});

test('D9: one that names no service has the buffers of the only one, also of visits that came when they were others', async () => {
  const padded = (length: number): Promise<Answer> =>
    put(clinic.system, service('padded', { url: 'bufferBefore', ...minutes(length) }));
  await padded(45);
  const actor = ['Practitioner/house', 'Location/site', 'HealthcareService/padded'].map((reference) => ({ reference }));
  await put(clinic.system, schedule('house', 'house', { actor }));
  const day = workday(12);
  const of = { schedule: { reference: 'Schedule/house' } };
  const [early, clear, late] = [
    await slot(at(day, '09:45'), of),
    await slot(at(day, '12:15'), of),
    await slot(at(day, '11:00'), of),
  ];
  const all = (): Promise<unknown[]> =>
    Promise.all([early, clear, late].map(async ({ id }) => (await get(id))['status']));
  const wish = visit({ start: at(day, '11:00'), practitioner: 'house', service: 'padded' });
  const { id } = done(await clinic.staff('POST', 'Appointment', wish)).body;
  expect(await all()).toEqual(['free', 'free', 'busy']);
  const before = await slot(at(day, '10:00'), of);
  const after = await slot(at(day, '11:45'), of);
  expect([(await get(before['id']))['status'], (await get(after['id']))['status']]).toEqual(['busy', 'busy']);
  expect(await wrongOf(early, clear, late, before, after)).toEqual([]);
  await padded(0);
  await generateAsAsked(clinic.server.kairos);
  expect([(await get(before['id']))['status'], (await get(after['id']))['status']]).toEqual(['busy', 'free']);
  done(await clinic.staff('POST', `Appointment/${String(id)}/$cancel`));
  expect([(await get(before['id']))['status'], (await get(after['id']))['status']]).toEqual(['free', 'free']);
  expect(await wrongOf(early, clear, late, before, after)).toEqual([]);
});

test('Slots are held by staff; patients change none, and hold by $hold', async () => {
  const held = await slot(next());
  expect((await patch(clinic.nobody, held, 'busy-tentative')).status).toBe(401);
  for (const status of ['busy-tentative', 'busy-unavailable', 'free'])
    expect((await patch(clinic.ann, held, status)).status).toBe(403);
  const taken = done(await patch(clinic.staff, held, 'busy-tentative')).body;
  expect((await patch(clinic.ann, taken, 'free')).status).toBe(404);
});

test('a Slot that is gone says no more whose time it was', async () => {
  const start = next();
  const gone = { slot: [{ reference: 'Slot/gone' }] };
  const end = later(start, 30);
  const alone = { resourceType: 'Appointment', status: 'booked', start, end, participant: [taking('Patient/ann')] };
  const [bare, named] = [
    await clinic.staff('POST', 'Appointment', { ...alone, ...gone }),
    await clinic.staff('POST', 'Appointment', visit({ start }, gone)),
  ];
  expect([bare.status, bare.body['contained']]).toEqual([409, undefined]);
  expect([named.status, (named.body['contained'] as unknown as object[] | undefined)?.length]).toEqual([409, 3]);
  expect((await clinic.staff('GET', 'Slot/gone')).status).toBe(404);
});
