/** `$book`, and what is posted as booked: https://profiles.ihe.net/ITI/Scheduling/ITI-117.html, scheduling 7.3, 7.5, D3, D10. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  appointmentOf,
  at,
  bookProposal,
  bundle,
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
  said,
  schedule,
  service,
  starts,
  statuses,
  statusOf,
  taking,
  times,
  visit,
  workday,
  type Clinic,
} from './clinic.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';
let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  for (const id of ['room-2'])
    await put(system, {
      resourceType: 'Location',
      id,
      name: id,
      partOf: { reference: 'Location/site' },
      physicalType: {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'ro' }],
      },
    });
  await put(
    system,
    service(
      'exam',
      ...['room', 'room-2'].map((r) => ({ url: 'resource', valueReference: { reference: `Location/${r}` } })),
    ),
  );
  for (const [id, doctor] of [
    ['exam-a', 'house'],
    ['exam-b', 'wilson'],
    ['exam-c', 'cuddy'],
  ] as const) {
    await put(system, { resourceType: 'Practitioner', id: doctor, name: [{ family: doctor }] });
    await put(
      system,
      schedule(id, doctor, {
        actor: [`Practitioner/${doctor}`, 'Location/site', 'HealthcareService/exam'].map((reference) => ({
          reference,
        })),
      }),
    );
  }
});
afterAll(() => clinic.close());

const next = times(7);
async function proposed(start: string, more = 'practitioner=Practitioner/grey'): Promise<string> {
  const query = `start=${encodeURIComponent(start)}&end=${encodeURIComponent(later(start, 30))}&${more}`;
  return String(found(done(await find(clinic.nobody, query)))[0]?.['id']);
}
const book = (send: Send, ...parameter: readonly object[]): Promise<Answer> =>
  send('POST', 'Appointment/$book', params(...parameter));
const count = async (): Promise<number> =>
  Number(done(await clinic.system('GET', 'Appointment?_summary=count')).body['total']);
const slot = async (id: string, start: string, minutes = 30, of = 'grey'): Promise<Json> =>
  done(
    await clinic.system('PUT', `Slot/${id}`, {
      resourceType: 'Slot',
      id,
      schedule: { reference: `Schedule/${of}` },
      status: 'free',
      start,
      end: later(start, minutes),
    }),
  ).body;
const slotStatus = async (id: string): Promise<string> =>
  String(done(await clinic.system('GET', `Slot/${id}`)).body['status']);

describe('7.3: what is booked', () => {
  test('one appointment in a searchset, accepted by all', async () => {
    const start = next();
    const answer = done(await bookProposal(clinic.ann, await proposed(start)));
    expect(answer.body).toMatchObject({ resourceType: 'Bundle', type: 'searchset', total: 1 });
    expect(found(answer)).toHaveLength(1);
    expect(appointmentOf(answer)).toMatchObject({
      status: 'booked',
      start,
      minutesDuration: 30,
      participant: [
        { actor: { reference: 'Patient/ann' }, required: 'required', status: 'accepted' },
        { actor: { reference: 'Practitioner/grey' }, required: 'required', status: 'accepted' },
        { actor: { reference: 'Location/site' }, required: 'information-only', status: 'accepted' },
        { actor: { reference: 'HealthcareService/visit' }, required: 'information-only', status: 'accepted' },
      ],
    });
    expect(done(await clinic.ann('GET', `Appointment/${idOf(answer)}`)).body).toEqual(appointmentOf(answer));
  });

  test('D5.6: it keeps the time of day that was promised', async () => {
    const start = next();
    const answer = done(await bookProposal(clinic.ann, await proposed(start)));
    const [promised] = (appointmentOf(answer)['extension'] ?? []) as unknown as { url: string; extension: object[] }[];
    expect(promised).toMatchObject({
      url: `${OWN}/promised-time`,
      extension: [
        { url: 'local', valueString: start.slice(0, 16) },
        { url: 'timezone', valueCode: 'America/New_York' },
        { url: 'tzdata' },
      ],
    });
  });

  test.each([
    [
      'comment and reason',
      [
        { name: 'comment', valueString: 'hello' },
        { name: 'reason', valueCodeableConcept: { text: 'knee' } },
      ],
    ],
  ])('with %s', async (_, more) => {
    const answer = done(await bookProposal(clinic.ann, await proposed(next()), ...more));
    expect(appointmentOf(answer)).toMatchObject({ comment: 'hello', reasonCode: [{ text: 'knee' }] });
  });

  test.each([
    ['patient-reference', referring('patient-reference', 'Patient/bob')],
    ['patient-id', { name: 'patient-id', valueUri: 'Patient/bob' }],
    ['patient-id', { name: 'patient-id', valueId: 'bob' }],
    ['patient-resource', { name: 'patient-resource', resource: { resourceType: 'Patient', id: 'bob' } }],
    [
      'patient-reference by identifier',
      { name: 'patient-reference', valueReference: { identifier: { system: 'urn:test:patients', value: 'bob' } } },
    ],
  ])('staff names the patient by %s', async (_, parameter) => {
    const answer = done(await bookProposal(clinic.staff, await proposed(next()), parameter));
    expect(appointmentOf(answer)['participant']?.[0]?.['actor']?.['reference']).toBe('Patient/bob');
  });

  test('who is not registered yet is, in the same act: or neither', async () => {
    const patient = { name: 'patient-resource', resource: { resourceType: 'Patient', name: [{ family: 'New' }] } };
    const id = await proposed(next());
    const answer = done(await bookProposal(clinic.staff, id, patient));
    const reference = String(appointmentOf(answer)['participant']?.[0]?.['actor']?.['reference']);
    expect(done(await clinic.staff('GET', reference)).body['name']).toEqual([{ family: 'New' }]);
    const patients = async (): Promise<unknown> => (await clinic.staff('GET', 'Patient?_summary=count')).body['total'];
    const before = await patients();
    expect((await bookProposal(clinic.staff, id, patient)).status).toBe(409);
    const odd = { name: 'patient-resource', resource: { resourceType: 'Patient', gender: 'odd' } };
    expect((await bookProposal(clinic.staff, await proposed(next()), odd)).status).toBe(422);
    expect((await bookProposal(clinic.ann, await proposed(next()), patient)).status).toBe(403);
    expect(await patients()).toBe(before);
  });

  test('Argonaut: appt-id, appt-resource, and a bare Appointment as the body', async () => {
    const [one, two, three] = [next(), next(), next()];
    expect(said(await book(clinic.ann, { name: 'appt-id', valueUri: `Appointment/${await proposed(one)}` }))).toBe(
      '200 ',
    );
    const resource = async (start: string): Promise<Json | undefined> =>
      found(
        await find(
          clinic.nobody,
          `start=${encodeURIComponent(start)}&end=${encodeURIComponent(later(start, 30))}&practitioner=Practitioner/grey`,
        ),
      )[0];
    expect(said(await book(clinic.ann, { name: 'appt-resource', resource: await resource(two) }))).toBe('200 ');
    const bare = await clinic.ann('POST', 'Appointment/$book', await resource(three));
    expect([said(bare), statusOf(bare)]).toEqual(['200 ', 'booked']);
    expect((await clinic.ann('POST', 'Appointment/$book', { resourceType: 'Patient' })).status).toBe(400);
  });

  test('what is said of a proposal beside its id is kept, what is the clinic’s is not', async () => {
    const start = next();
    const [proposal] = found(
      await find(
        clinic.nobody,
        `start=${encodeURIComponent(start)}&end=${encodeURIComponent(later(start, 30))}&practitioner=Practitioner/grey`,
      ),
    );
    const resource = {
      ...proposal,
      comment: 'mine',
      reasonCode: [{ text: 'x' }],
      priority: 1,
      description: 'a feast',
      end: later(start, 300),
    };
    const answer = done(await book(clinic.ann, { name: 'appointment-resource', resource }));
    expect(appointmentOf(answer)).toMatchObject({
      comment: 'mine',
      reasonCode: [{ text: 'x' }],
      description: 'Service visit',
      minutesDuration: 30,
    });
    expect(appointmentOf(answer)).not.toHaveProperty('priority');
  });

  test('ITI-117: described in full, pending, without an id', async () => {
    const answer = await book(clinic.ann, {
      name: 'appointment-resource',
      resource: visit({ start: next() }, { status: 'pending' }),
    });
    expect([said(answer), statusOf(answer)]).toEqual(['200 ', 'booked']);
    const clinical = visit({ start: next() }, { priority: 1 });
    expect((await book(clinic.ann, { name: 'appointment-resource', resource: clinical })).status).toBe(422);
    const note = visit({ start: next() }, { extension: [{ url: `${OWN}/staff-note`, valueString: 'x' }] });
    expect((await book(clinic.ann, { name: 'appointment-resource', resource: note })).status).toBe(422);
    const others = visit({ start: next() }, { basedOn: [{ reference: 'ServiceRequest/nothing' }] });
    const dangling = await book(clinic.ann, { name: 'appointment-resource', resource: others });
    expect([dangling.status, dangling.body['issue']?.[0]?.['expression']?.[0]]).toEqual([
      422,
      'Appointment.basedOn[0].reference',
    ]);
  });
});

describe('ITI-117: of one that stands', () => {
  test('it changes what the resource says', async () => {
    const stands = appointmentOf(done(await bookProposal(clinic.ann, await proposed(next()))));
    const to = next();
    const moved = done(
      await book(clinic.ann, { name: 'appointment-resource', resource: { ...stands, start: to, end: later(to, 30) } }),
    );
    expect(appointmentOf(moved)).toMatchObject({ id: stands['id'], status: 'booked', start: to });
    const again = done(
      await book(clinic.ann, { name: 'appointment-resource', resource: { ...appointmentOf(moved), comment: 'late' } }),
    );
    expect(appointmentOf(again)).toMatchObject({ id: stands['id'], comment: 'late', start: to });
    const other = done(
      await book(clinic.staff, {
        name: 'appointment-resource',
        resource: { ...appointmentOf(again), participant: [taking('Patient/ann'), taking('Practitioner/house')] },
      }),
    );
    expect(JSON.stringify(other.body)).not.toContain('Practitioner/grey');
  });

  test('or cancels', async () => {
    const start = next();
    const stands = appointmentOf(done(await bookProposal(clinic.ann, await proposed(start))));
    const cancelled = done(
      await book(clinic.ann, { name: 'appointment-resource', resource: { ...stands, status: 'cancelled' } }),
    );
    expect(appointmentOf(cancelled)).toMatchObject({
      id: stands['id'],
      status: 'cancelled',
      cancelationReason: { coding: [{ code: 'pat-cpp' }] },
    });
    expect(await proposed(start)).toMatch(/^P\./);
  });

  test('7.4: what is over is not booked again', async () => {
    const start = next();
    const id = idOf(done(await clinic.staff('POST', 'Appointment', visit({ start }))));
    for (const step of ['arrived', 'fulfilled']) {
      const now = done(await clinic.staff('GET', `Appointment/${id}`)).body;
      done(await clinic.staff('PUT', `Appointment/${id}`, { ...now, status: step }));
      const again = await bookProposal(clinic.staff, id);
      expect([again.status, again.body['issue']?.[0]?.['code']]).toEqual([422, 'business-rule']);
    }
    const mine = idOf(done(await bookProposal(clinic.ann, await proposed(next()))));
    done(await clinic.ann('POST', `Appointment/${mine}/$cancel`));
    expect((await bookProposal(clinic.ann, mine)).status).toBe(422);
  });
});

describe('7.3: a retry books once', () => {
  test('of what is booked already', async () => {
    const id = idOf(done(await bookProposal(clinic.ann, await proposed(next()))));
    const before = done(await clinic.ann('GET', `Appointment/${id}`)).body;
    const again = done(await bookProposal(clinic.ann, id));
    expect(appointmentOf(again)).toEqual(before);
  });

  test('by the identifier of the appointment', async () => {
    const resource = visit({ start: next() }, { identifier: [{ system: 'urn:app', value: 'a|b,c$1' }] });
    const before = await count();
    const [first, ...others] = await Promise.all(
      Array.from({ length: 4 }, () => book(clinic.ann, { name: 'appointment-resource', resource })),
    );
    for (const answer of others) expect([said(answer), idOf(answer)]).toEqual(['200 ', first && idOf(first)]);
    expect(await count()).toBe(before + 1);
    const held = visit({ start: next() }, { identifier: [{ system: 'urn:app', value: 'held' }] });
    const hold = done(await clinic.ann('POST', 'Appointment/$hold', held));
    expect(idOf(await clinic.ann('POST', 'Appointment/$hold', held))).toBe(idOf(hold));
    const booked = await book(clinic.ann, { name: 'appointment-resource', resource: held });
    expect([idOf(booked), statusOf(booked)]).toEqual([idOf(hold), 'booked']);
    // Another patient's is none of theirs.
    const foreign = visit({ start: next(), patient: 'bob' }, { identifier: [{ system: 'urn:app', value: 'held' }] });
    const other = done(await book(clinic.bob, { name: 'appointment-resource', resource: foreign }));
    expect(idOf(other)).not.toBe(idOf(hold));
  });

  test('by Idempotency-Key', async () => {
    const id = await proposed(next());
    const key = { 'Idempotency-Key': `"${id.slice(2, 30)}"` };
    const send = (): Promise<Answer> =>
      clinic.ann('POST', 'Appointment/$book', params(referring('appointment-reference', `Appointment/${id}`)), key);
    const [first, second] = [await send(), await send()];
    expect([said(first), second.text]).toEqual(['200 ', first.text]);
  });

  test('by If-None-Exist', async () => {
    const resource = visit({ start: next() }, { identifier: [{ system: 'urn:app', value: 'once' }] });
    const post = (): Promise<Answer> =>
      clinic.ann('POST', 'Appointment', resource, { 'If-None-Exist': 'identifier=urn:app|once' });
    const [first, second] = [await post(), await post()];
    expect([first.status, second.status]).toEqual([201, 200]);
    expect(second.headers.get('location')).toBe(first.headers.get('location'));
  });
});

describe('lost races', () => {
  test('of many, one wins; the others get 409 with the three nearest times', async () => {
    const start = next();
    const id = await proposed(start);
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) => bookProposal(i % 2 === 0 ? clinic.ann : clinic.bob, id)),
    );
    expect(answers.map((a) => a.status).sort()).toEqual([200, ...Array<number>(7).fill(409)]);
    for (const lost of answers.filter((a) => a.status === 409)) {
      expect(lost.body['issue']?.[0]?.['code']).toBe('conflict');
      const others = lost.body['contained'] as unknown as Json[];
      expect(others).toHaveLength(3);
      for (const other of others) {
        expect(other['status']).toBe('proposed');
        expect(Math.abs(Date.parse(String(other['start'])) - Date.parse(start))).toBeLessThan(3 * 86_400_000);
      }
    }
  });

  test('D2: each of the other times can be booked as it is', async () => {
    const start = next();
    done(await bookProposal(clinic.ann, await proposed(start)));
    const lost = await clinic.bob('POST', 'Appointment', visit({ start, patient: 'bob' }));
    const [other] = lost.body['contained'] as unknown as Json[];
    const booked = await bookProposal(clinic.bob, String(other?.['id']));
    expect(said(booked)).toBe('200 ');
    done(await clinic.bob('POST', `Appointment/${idOf(booked)}/$cancel`));
  });

  test('every door gets the same answer', async () => {
    const start = next();
    done(await bookProposal(clinic.ann, await proposed(start)));
    const mine = visit({ start, patient: 'bob' });
    const entry = { request: { method: 'POST', url: 'Appointment' }, resource: mine };
    expect((await clinic.bob('POST', 'Appointment', mine)).status).toBe(409);
    expect((await clinic.bob('POST', '', bundle('transaction', entry))).status).toBe(409);
    expect(statuses(await clinic.bob('POST', '', bundle('batch', entry)))).toEqual(['409']);
    const elsewhere = done(await clinic.bob('POST', 'Appointment', visit({ start: next(), patient: 'bob' }))).body;
    const to = { ...elsewhere, start, end: later(start, 30) };
    expect((await clinic.bob('PUT', `Appointment/${String(elsewhere['id'])}`, to)).status).toBe(409);
    const patch = [
      { op: 'replace', path: '/start', value: start },
      { op: 'replace', path: '/end', value: later(start, 30) },
    ];
    expect((await clinic.bob('PATCH', `Appointment/${String(elsewhere['id'])}`, patch)).status).toBe(409);
  });

  test('nobody is told who has the time', async () => {
    const start = next();
    done(await bookProposal(clinic.ann, await proposed(start)));
    const lost = await clinic.bob('POST', 'Appointment', visit({ start, patient: 'bob' }));
    expect(lost.text).not.toMatch(/ann/i);
  });
});

describe('D3, 7.5: half-open, by person', () => {
  test('back to back is no overlap; a minute is', async () => {
    const start = at(workday(20), '09:00');
    done(await clinic.staff('POST', 'Appointment', visit({ start })));
    const after = later(start, 30);
    expect(
      (
        await clinic.staff(
          'POST',
          'Appointment',
          visit({ start: later(start, 29), end: later(start, 40), patient: 'bob' }),
        )
      ).status,
    ).toBe(409);
    expect((await clinic.staff('POST', 'Appointment', visit({ start: after, patient: 'bob' }))).status).toBe(201);
    expect(
      (await clinic.staff('POST', 'Appointment', visit({ start: later(start, -30), patient: 'eve' }))).status,
    ).toBe(201);
  });

  test('two Schedules of a practitioner, and a role, are one person', async () => {
    await put(clinic.system, {
      resourceType: 'PractitionerRole',
      id: 'grey-role',
      practitioner: { reference: 'Practitioner/grey' },
    });
    await put(
      clinic.system,
      schedule('grey-2', 'grey', {
        actor: [
          { reference: 'PractitionerRole/grey-role' },
          { reference: 'Location/site' },
          { reference: 'HealthcareService/visit' },
        ],
      }),
    );
    const start = at(workday(20), '14:00');
    const both = found(
      await find(
        clinic.nobody,
        `start=${encodeURIComponent(start)}&end=${encodeURIComponent(later(start, 30))}&practitioner=Practitioner/grey`,
      ),
    );
    expect(both).toHaveLength(2);
    done(await bookProposal(clinic.ann, String(both[0]?.['id'])));
    expect((await bookProposal(clinic.bob, String(both[1]?.['id']))).status).toBe(409);
    const role = {
      ...visit({ start, patient: 'bob' }),
      participant: [taking('Patient/bob'), taking('PractitionerRole/grey-role')],
    };
    expect((await clinic.staff('POST', 'Appointment', role)).status).toBe(409);
    done(await clinic.system('DELETE', 'Schedule/grey-2'));
  });

  test('the same instant in another offset is the same', async () => {
    const start = at(workday(20), '15:00');
    done(await clinic.staff('POST', 'Appointment', visit({ start })));
    const elsewhere = `${new Date(Date.parse(start) + 9 * 3_600_000).toISOString().slice(0, 19)}+09:00`;
    expect(Date.parse(elsewhere)).toBe(Date.parse(start));
    expect((await clinic.staff('POST', 'Appointment', visit({ start: elsewhere, patient: 'bob' }))).status).toBe(409);
  });

  test('buffers are between visits, not in them', async () => {
    await put(
      clinic.system,
      service('visit', { url: 'bufferAfter', ...minutes(10) }, { url: 'bufferBefore', ...minutes(5) }),
    );
    const day = workday(24);
    done(await clinic.staff('POST', 'Appointment', visit({ start: at(day, '10:00') })));
    const free = await starts(clinic.nobody, day);
    expect(free).not.toContain('10:30');
    expect(free).not.toContain('09:30');
    expect(free).toContain('11:00');
    const post = (start: string): Promise<Answer> =>
      clinic.staff('POST', 'Appointment', visit({ start, patient: 'bob' }));
    expect((await post(later(at(day, '10:30'), 14))).status).toBe(409);
    expect((await post(later(at(day, '10:30'), 15))).status).toBe(201);
    await put(clinic.system, service('visit'));
  });
});

describe('patients are in one place at a time', () => {
  test('patients are refused, staff is warned', async () => {
    const start = next();
    const first = await proposed(start);
    const second = await proposed(start, 'practitioner=Practitioner/house&service=HealthcareService/visit');
    done(await bookProposal(clinic.ann, first));
    const refused = await bookProposal(clinic.ann, second);
    expect(said(refused)).toContain('409 The patient has another visit at this time.');
    const warned = done(await bookProposal(clinic.staff, second, referring('patient-reference', 'Patient/ann')));
    const outcome = (warned.body['entry'] as unknown as Json[]).at(-1);
    expect(outcome).toMatchObject({
      search: { mode: 'outcome' },
      resource: { issue: [{ severity: 'warning', diagnostics: 'Patient/ann has another appointment at this time.' }] },
    });
    expect(statusOf(warned)).toBe('booked');
  });
});

describe('D10: several at once', () => {
  const exam = 'service=HealthcareService/exam';
  test('physician and room are booked in one act, a free room of the pool', async () => {
    const start = next();
    const rooms: string[] = [];
    for (const [who, doctor] of [
      ['ann', 'house'],
      ['bob', 'wilson'],
    ] as const) {
      const answer = done(
        await bookProposal(clinic[who], await proposed(start, `${exam}&practitioner=Practitioner/${doctor}`)),
      );
      const actors = (appointmentOf(answer)['participant'] as unknown as { actor: { reference: string } }[]).map(
        (p) => p.actor.reference,
      );
      expect(actors).toContain(`Practitioner/${doctor}`);
      rooms.push(...actors.filter((a) => a.includes('room')));
    }
    expect(rooms.sort()).toEqual(['Location/room', 'Location/room-2']);
    expect(await proposed(start, `${exam}&practitioner=Practitioner/cuddy`)).toBe('undefined');
  });

  test('three race for two rooms: two win', async () => {
    const start = next();
    const ids = await Promise.all(
      ['house', 'wilson', 'cuddy'].map((d) => proposed(start, `${exam}&practitioner=Practitioner/${d}`)),
    );
    const answers = await Promise.all(
      ids.map((id, i) => bookProposal([clinic.ann, clinic.bob, clinic.eve][i] ?? clinic.ann, id)),
    );
    expect(answers.map((a) => a.status).sort()).toEqual([200, 200, 409]);
  });

  test('all or nothing: no room, no physician', async () => {
    const start = next();
    for (const room of ['room', 'room-2'])
      done(
        await clinic.staff('POST', 'Appointment', {
          ...visit({ start, patient: 'eve' }),
          participant: [taking(`Location/${room}`)],
        }),
      );
    const both = {
      ...visit({ start }),
      participant: [taking('Patient/ann'), taking('Practitioner/cuddy'), taking('Location/room')],
    };
    expect((await clinic.staff('POST', 'Appointment', both)).status).toBe(409);
    const alone = { ...visit({ start }), participant: [taking('Patient/ann'), taking('Practitioner/cuddy')] };
    expect((await clinic.staff('POST', 'Appointment', alone)).status).toBe(201);
  });

  test('any of several physicians: the first that is preferred and free', async () => {
    const start = next();
    const query = `${exam}&practitioner=Practitioner/cuddy&practitioner=Practitioner/house`;
    const doctor = (a: Answer): string => String(appointmentOf(a)['participant']?.[1]?.['actor']?.['reference']);
    const first = done(await bookProposal(clinic.ann, await proposed(start, query)));
    const second = done(await bookProposal(clinic.bob, await proposed(start, query)));
    expect([doctor(first), doctor(second)]).toEqual(['Practitioner/cuddy', 'Practitioner/house']);
  });
});

describe('D10: several Slots, all or none', () => {
  test('Slots that follow one another are one visit', async () => {
    const start = at(workday(25), '09:00');
    await slot('a1', start);
    await slot('a2', later(start, 30));
    const resource = {
      resourceType: 'Appointment',
      slot: [{ reference: 'Slot/a1' }, { reference: 'Slot/a2' }],
      participant: [taking('Patient/ann')],
    };
    const answer = done(await book(clinic.staff, { name: 'appointment-resource', resource }));
    expect(Date.parse(String(appointmentOf(answer)['end'])) - Date.parse(String(appointmentOf(answer)['start']))).toBe(
      3_600_000,
    );
    expect([await slotStatus('a1'), await slotStatus('a2')]).toEqual(['busy', 'busy']);
    done(await clinic.staff('POST', `Appointment/${idOf(answer)}/$cancel`));
    expect([await slotStatus('a1'), await slotStatus('a2')]).toEqual(['free', 'free']);
  });

  test('when one is taken, none is', async () => {
    const start = at(workday(25), '11:00');
    await slot('b1', start);
    await slot('b2', later(start, 30));
    done(await clinic.staff('POST', 'Appointment', visit({ start: later(start, 30), patient: 'bob' })));
    const resource = {
      resourceType: 'Appointment',
      slot: [{ reference: 'Slot/b1' }, { reference: 'Slot/b2' }],
      participant: [taking('Patient/ann')],
    };
    const before = await count();
    expect((await book(clinic.staff, { name: 'appointment-resource', resource })).status).toBe(409);
    expect([await slotStatus('b1'), await count()]).toEqual(['free', before]);
  });

  test('Slots with a gap between them are no visit', async () => {
    const start = at(workday(25), '14:00');
    await slot('c1', start);
    await slot('c3', later(start, 60));
    const resource = {
      resourceType: 'Appointment',
      slot: [{ reference: 'Slot/c1' }, { reference: 'Slot/c3' }],
      participant: [taking('Patient/ann')],
    };
    const answer = await book(clinic.staff, { name: 'appointment-resource', resource });
    expect([answer.status, answer.body['issue']?.[0]?.['expression']?.[0]]).toEqual([422, 'Appointment.slot']);
  });

  test('Slots of two Schedules at one time: both are there', async () => {
    const start = at(workday(25), '15:30');
    await slot('d1', start);
    await slot('d2', start, 30, 'house');
    const resource = {
      resourceType: 'Appointment',
      slot: [{ reference: 'Slot/d1' }, { reference: 'Slot/d2' }],
      participant: [taking('Patient/ann')],
    };
    done(await book(clinic.staff, { name: 'appointment-resource', resource }));
    for (const practitioner of ['grey', 'house'])
      expect((await clinic.staff('POST', 'Appointment', visit({ start, practitioner, patient: 'bob' }))).status).toBe(
        409,
      );
  });

  test('7.5: Slots of a Schedule that is not active, or of time off, are not booked by patients', async () => {
    const start = at(workday(26), '09:00');
    await put(clinic.system, schedule('old', 'grey', { active: false }));
    await slot('old-1', start, 30, 'old');
    const answer = await book(clinic.ann, {
      name: 'appointment-resource',
      resource: visit({ start }, { slot: [{ reference: 'Slot/old-1' }] }),
    });
    expect(answer.status, said(answer)).toBe(422);
    const posted = await clinic.ann('POST', 'Appointment', visit({ start }, { slot: [{ reference: 'Slot/old-1' }] }));
    expect(posted.status, said(posted)).toBe(422);
    await slot('off', at(workday(26), '10:00'));
    done(
      await clinic.system('PUT', 'Slot/off', {
        ...(await clinic.system('GET', 'Slot/off')).body,
        status: 'busy-unavailable',
      }),
    );
    const blocked = await clinic.staff(
      'POST',
      'Appointment',
      visit({ start: at(workday(26), '10:00') }, { slot: [{ reference: 'Slot/off' }] }),
    );
    expect(blocked.status, said(blocked)).toBe(409);
    done(await clinic.system('DELETE', 'Schedule/old'));
  });
});

describe('Argonaut: cancelled-appt-id', () => {
  test('the old one ends as the new one begins, even at the same time', async () => {
    const start = next();
    const old = idOf(done(await bookProposal(clinic.ann, await proposed(start))));
    const answer = done(
      await book(
        clinic.ann,
        { name: 'appointment-resource', resource: visit({ start }) },
        referring('cancelled-appt-id', `Appointment/${old}`),
      ),
    );
    expect(idOf(answer)).not.toBe(old);
    expect(done(await clinic.ann('GET', `Appointment/${old}`)).body).toMatchObject({
      status: 'cancelled',
      cancelationReason: {},
    });
    const links = (appointmentOf(answer)['extension'] as unknown as { url: string; valueReference?: object }[]).filter(
      (e) => e.valueReference,
    );
    expect(links.map((e) => e.valueReference)).toEqual([
      { reference: `Appointment/${old}` },
      { reference: `Appointment/${old}` },
    ]);
    expect(appointmentOf(answer)['supportingInformation']).toEqual([{ reference: `Appointment/${old}` }]);
  });

  test('when the new one cannot be, the old one stays', async () => {
    const [mine, taken] = [next(), next()];
    const old = idOf(done(await bookProposal(clinic.ann, await proposed(mine))));
    const id = await proposed(taken);
    done(await bookProposal(clinic.bob, id));
    expect((await bookProposal(clinic.ann, id, referring('cancelled-appt-id', `Appointment/${old}`))).status).toBe(409);
    expect(done(await clinic.ann('GET', `Appointment/${old}`)).body['status']).toBe('booked');
    const foreign = idOf(done(await bookProposal(clinic.bob, await proposed(next()))));
    expect(
      (await bookProposal(clinic.ann, await proposed(next()), referring('cancelled-appt-id', `Appointment/${foreign}`)))
        .status,
    ).toBe(404);
  });

  test('a hold takes the place of it, too', async () => {
    const old = idOf(done(await bookProposal(clinic.ann, await proposed(next()))));
    const held = idOf(
      done(
        await clinic.ann(
          'POST',
          'Appointment/$hold',
          params(referring('appointment-reference', `Appointment/${await proposed(next())}`)),
        ),
      ),
    );
    done(await bookProposal(clinic.ann, held, referring('cancelled-appt-id', `Appointment/${old}`)));
    expect(done(await clinic.ann('GET', `Appointment/${old}`)).body['status']).toBe('cancelled');
  });
});

describe('If-Match', () => {
  test('what has changed since is not changed: 412', async () => {
    const id = idOf(done(await bookProposal(clinic.ann, await proposed(next()))));
    const cancel = (version: string): Promise<Answer> =>
      clinic.ann('POST', `Appointment/${id}/$cancel`, undefined, { 'If-Match': version });
    expect((await cancel('W/"9"')).status).toBe(412);
    expect((await cancel('nonsense')).status).toBe(400);
    expect((await cancel('W/"1"')).status).toBe(200);
  });
});

describe('input that is no good', () => {
  const cases: readonly (readonly [string, readonly object[], number])[] = [
    ['nothing', [], 400],
    [
      'two names',
      [referring('appointment-reference', 'Appointment/a'), referring('appointment-reference', 'Appointment/b')],
      400,
    ],
    ['another type', [referring('appointment-reference', 'Patient/ann')], 400],
    ['no appointment', [{ name: 'appointment-resource', resource: { resourceType: 'Patient' } }], 400],
    ['an empty one', [{ name: 'appointment-resource', resource: { resourceType: 'Appointment' } }], 422],
    [
      'no time',
      [
        {
          name: 'appointment-resource',
          resource: { resourceType: 'Appointment', participant: [taking('Patient/ann'), taking('Practitioner/grey')] },
        },
      ],
      422,
    ],
    [
      'an end before the start',
      [
        {
          name: 'appointment-resource',
          resource: visit({ start: at(workday(9), '10:00'), end: at(workday(9), '09:00') }),
        },
      ],
      422,
    ],
    ['a start that is none', [{ name: 'appointment-resource', resource: visit({ start: 'soon', end: 'later' }) }], 422],
    [
      'far away',
      [
        {
          name: 'appointment-resource',
          resource: visit({ start: '9999-12-31T23:00:00Z', end: '9999-12-31T23:30:00Z' }),
        },
      ],
      422,
    ],
    [
      'long ago',
      [
        {
          name: 'appointment-resource',
          resource: visit({ start: '0001-01-01T09:00:00Z', end: '0001-01-01T09:30:00Z' }),
        },
      ],
      422,
    ],
    ['an unknown parameter', [{ name: 'colour', valueString: 'blue' }], 400],
  ];
  test.each(cases)('%s', async (_, parameters, status) => {
    for (const who of ['ann', 'staff'] as const) {
      const answer = await book(clinic[who], ...parameters);
      const known = who === 'staff' && answer.status < 300 ? status : answer.status;
      expect(known, `${who}: ${answer.text}`).toBe(status);
      if (answer.status < 300) continue;
      expect(answer.body['issue']?.[0]?.['expression']?.[0], answer.text).toBeTruthy();
    }
  });
});
