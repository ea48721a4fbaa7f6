/** `$find`: https://profiles.ihe.net/ITI/Scheduling/ITI-115.html, scheduling 7.1, D5, D8, D10. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json } from '../http/client.ts';
import {
  at,
  availability,
  bookProposal,
  done,
  entries,
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
  visit,
  weekly,
  workday,
  type Clinic,
} from './clinic.ts';

const DAY = workday(7);
const ROOM = { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'ro' }] };
const ZONE = 'http://hl7.org/fhir/StructureDefinition/timezone';
const everyDay = (start: string, end: string): object => ({
  url: 'availableTime',
  extension: [
    { url: 'availableStartTime', valueTime: start },
    { url: 'availableEndTime', valueTime: end },
  ],
});

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  await put(system, { resourceType: 'Organization', id: 'group', name: 'Group' });
  await put(system, {
    resourceType: 'Location',
    id: 'far',
    name: 'Harbour Clinic',
    address: { city: 'Auckland' },
    managingOrganization: { reference: 'Organization/group' },
    extension: [{ url: ZONE, valueCode: 'Pacific/Auckland' }],
  });
  for (const id of ['room-2', 'room-3'])
    await put(system, {
      resourceType: 'Location',
      id,
      name: id,
      physicalType: ROOM,
      partOf: { reference: 'Location/site' },
    });
  await put(system, { resourceType: 'Practitioner', id: 'kiwi', name: [{ family: 'kiwi' }] });
  await put(system, {
    resourceType: 'PractitionerRole',
    id: 'grey-role',
    practitioner: { reference: 'Practitioner/grey' },
  });
  await put(system, {
    ...service(
      'exam',
      ...['room', 'room-2'].map((r) => ({ url: 'resource', valueReference: { reference: `Location/${r}` } })),
    ),
    type: [{ coding: [{ system: 'urn:types', code: 'exam' }], text: 'Thorough examination' }],
    specialty: [{ coding: [{ system: 'urn:specialties', code: 'cardio', display: 'Cardiology' }] }],
    providedBy: { reference: 'Organization/group' },
  });
  const actor = (...who: string[]): object => ({ actor: who.map((reference) => ({ reference })) });
  await put(system, schedule('exams', 'house', actor('Practitioner/house', 'Location/site', 'HealthcareService/exam')));
  await put(
    system,
    schedule('kiwi', 'kiwi', {
      ...actor('Practitioner/kiwi', 'Location/far', 'HealthcareService/visit'),
      extension: [availability(everyDay('08:00:00', '10:00:00'))],
    }),
  );
  await put(system, service('night', { url: 'horizon', extension: [{ url: 'days', valuePositiveInt: 700 }] }));
  await put(
    system,
    schedule('night', 'kiwi', {
      ...actor('Practitioner/kiwi', 'Location/site', 'HealthcareService/night'),
      extension: [availability(everyDay('00:00:00', '06:00:00'))],
    }),
  );
});
afterAll(() => clinic.close());

const total = (answer: Answer): number => Number(done(answer).body['total']);
const query = (more: string): string => `start=${DAY}&end=${DAY}&${more}`;
const GREY = 'practitioner=Practitioner/grey';
const post = (...parameter: readonly object[]): Promise<Answer> =>
  clinic.nobody('POST', 'Appointment/$find', params(...parameter));
const when = [
  { name: 'start', valueDateTime: at(DAY, '00:00') },
  { name: 'end', valueDateTime: at(DAY, '23:59') },
];
const doctors = (answer: Answer): string[] =>
  found(answer).map((a) => String(a['participant']?.[0]?.['actor']?.['reference']).replace('Practitioner/', ''));

describe('7.1: what comes back', () => {
  test('a searchset of proposed appointments, for anybody', async () => {
    const answer = done(await find(clinic.nobody, query(GREY)));
    expect(answer.body['resourceType']).toBe('Bundle');
    expect(answer.body['type']).toBe('searchset');
    expect(answer.body['total']).toBe(14);
    const [entry] = entries(answer);
    const proposal = entry?.['resource'] as Json;
    expect(entry?.['search']).toEqual({ mode: 'match' });
    expect(entry?.['fullUrl']).toMatch(new RegExp(`/Appointment/${String(proposal['id'])}$`));
    expect(String(proposal['id'])).toMatch(/^[A-Za-z0-9.-]{1,64}$/);
    expect(proposal).toMatchObject({
      status: 'proposed',
      start: at(DAY, '09:00'),
      end: at(DAY, '09:30'),
      minutesDuration: 30,
      participant: [
        { actor: { reference: 'Practitioner/grey' }, required: 'required', status: 'needs-action' },
        { actor: { reference: 'Location/site' }, required: 'information-only' },
        { actor: { reference: 'HealthcareService/visit' }, required: 'information-only' },
      ],
    });
    expect(proposal['meta']).toBeUndefined();
  });

  test('nothing is stored', async () => {
    const before = total(await clinic.system('GET', 'Appointment?_summary=count'));
    await find(clinic.ann, query(GREY));
    expect(total(await clinic.system('GET', 'Appointment?_summary=count'))).toBe(before);
    const [proposal] = found(await find(clinic.nobody, query(GREY)));
    expect((await clinic.staff('GET', `Appointment/${String(proposal?.['id'])}`)).status).toBe(404);
  });

  test('GET and POST find the same', async () => {
    const got = done(await find(clinic.nobody, query(GREY)));
    const posted = done(await post(...when, referring('practitioner', 'Practitioner/grey')));
    expect(found(posted)).toEqual(found(got));
  });

  test('D8: instants have the offset of the place', async () => {
    const far = found(
      await find(clinic.nobody, query('practitioner=Practitioner/kiwi&service=HealthcareService/visit')),
    );
    expect(far.map((a) => a['start'])).toEqual(
      ['08:00', '08:30', '09:00', '09:30'].map((t) => at(DAY, t, 'Pacific/Auckland')),
    );
  });

  test('D8: a date is the day at each place, whole', async () => {
    const both = found(
      await find(clinic.nobody, query(`practitioner=Practitioner/kiwi&${GREY}&service=HealthcareService/visit`)),
    );
    expect(new Set(both.map((a) => String(a['start']).slice(0, 10)))).toEqual(new Set([DAY]));
    expect(both).toHaveLength(18);
    const month = DAY.slice(0, 7);
    const [first, last] = [at(`${month}-01`, '00:00'), month === '2026-12' ? at('2027-01-01', '00:00') : undefined];
    if (last)
      expect(total(await find(clinic.nobody, `start=${month}&end=${month}&${GREY}`))).toBe(
        total(await find(clinic.nobody, `start=${encodeURIComponent(first)}&end=${encodeURIComponent(last)}&${GREY}`)),
      );
  });

  test('visits begin from the start on, and end by the end', async () => {
    const between = async (from: string, to: string): Promise<string[]> =>
      found(
        done(
          await find(
            clinic.nobody,
            `start=${encodeURIComponent(at(DAY, from))}&end=${encodeURIComponent(at(DAY, to))}&${GREY}`,
          ),
        ),
      ).map((a) => String(a['start']).slice(11, 16));
    expect(await between('09:00', '10:00')).toEqual(['09:00', '09:30']);
    expect(await between('09:01', '10:29')).toEqual(['09:30']);
    expect(await between('09:00', '09:29')).toEqual([]);
  });

  test('the same instants, whatever the offset', async () => {
    const [from, to] = [new Date(at(DAY, '09:00')).toISOString(), at(DAY, '10:00').replace('-05:00', '-05:00')];
    expect(found(await find(clinic.nobody, `start=${from}&end=${encodeURIComponent(to)}&${GREY}`))).toHaveLength(2);
  });
});

describe('7.1: _count, total and pages', () => {
  test('_count is kept, and total tells all', async () => {
    const answer = done(await find(clinic.nobody, query(`${GREY}&_count=5`)));
    expect([found(answer).length, answer.body['total']]).toEqual([5, 14]);
    expect((await find(clinic.nobody, query(`${GREY}&_count=0`))).body).not.toHaveProperty('entry');
    expect(total(await find(clinic.nobody, query(`${GREY}&_count=0`)))).toBe(14);
  });

  const walk = async (first: Answer): Promise<string[]> => {
    const all: string[] = [];
    for (let page = done(first); ;) {
      all.push(...found(page).map((a) => String(a['id'])));
      const links = (page.body['link'] ?? []) as unknown as { relation: string; url: string }[];
      const next = links.find((l) => l.relation === 'next');
      if (!next) return all;
      page = done(await clinic.nobody('GET', next.url.slice(next.url.indexOf('Appointment/$find'))));
    }
  };
  test('next leads through all of them, from a POST too', async () => {
    const whole = found(await find(clinic.nobody, query(GREY))).map((a) => String(a['id']));
    expect(await walk(await find(clinic.nobody, query(`${GREY}&_count=4`)))).toEqual(whole);
    const posted = await post(...when, referring('practitioner', 'Practitioner/grey'), {
      name: '_count',
      valueInteger: 4,
    });
    expect(await walk(posted)).toEqual(whole);
  });
});

describe('D10: what is asked for', () => {
  const three = `start=${DAY}&end=${DAY}&service=HealthcareService/visit&_count=100`;
  test('values of one kind are alternatives, in order of preference', async () => {
    const both = doctors(await find(clinic.nobody, `${three}&practitioner=Practitioner/house&${GREY}`));
    expect(both).toEqual([...Array<string>(14).fill('house'), ...Array<string>(14).fill('grey')]);
    const turned = await find(clinic.nobody, `${three}&${GREY}&practitioner=Practitioner/house`);
    expect(new Set(doctors(turned).slice(0, 14))).toEqual(new Set(['grey']));
    const times = found(turned)
      .slice(0, 14)
      .map((a) => String(a['start']));
    expect(times).toEqual(times.toSorted());
    // Nobody preferred: the soonest first.
    const any = found(await find(clinic.nobody, three)).map((a) => Date.parse(String(a['start'])));
    expect(any).toEqual(any.toSorted((a, b) => a - b));
  });

  test('different kinds hold together', async () => {
    expect(total(await find(clinic.nobody, query(`${GREY}&service=HealthcareService/exam`)))).toBe(0);
    expect(
      total(await find(clinic.nobody, query('practitioner=Practitioner/house&service=HealthcareService/exam'))),
    ).toBe(14);
    expect(total(await find(clinic.nobody, query(`${GREY}&location-reference=Location/far`)))).toBe(0);
    expect(total(await find(clinic.nobody, query(`${GREY}&location-reference=Location/site`)))).toBe(14);
  });

  test.each([
    ['practitioner=PractitionerRole/grey-role', 14],
    ['practitioner=http://localhost:8080/fhir/R4/Practitioner/grey', 14],
    ['practitioner=Practitioner/nobody', 0],
    ['schedule=Schedule/grey', 14],
    ['schedule=Schedule/nothing', 0],
    ['specialty=urn:specialties|cardio', 14],
    ['specialty=cardio', 14],
    ['specialty=Cardiology', 14],
    ['specialty=urn:other|cardio', 0],
    ['visit-type=urn:types|exam', 14],
    ['visit-type=examination', 14],
    ['visit-type=urn:types|other', 0],
    ['organization=Organization/group&service=HealthcareService/exam', 14],
    ['organization=Organization/other', 0],
    ['location-string=auckland', 4],
    ['location-string=Harbour', 4],
    ['location-string=nowhere', 0],
  ])('%s', async (more, number) => {
    expect(total(await find(clinic.nobody, query(encodeURI(more))))).toBe(number);
  });

  test('references by identifier', async () => {
    const by = (value: string): object => ({
      name: 'practitioner',
      valueReference: { identifier: { system: 'urn:test:doctors', value } },
    });
    expect(total(await post(...when, by('grey')))).toBe(14);
    expect(total(await post(...when, by('nobody')))).toBe(0);
    const patient = {
      name: 'patient-reference',
      valueReference: { identifier: { system: 'urn:test:patients', value: 'ann' } },
    };
    expect(total(await clinic.staff('POST', 'Appointment/$find', params(...when, by('grey'), patient)))).toBe(14);
  });

  test('codes as Coding and CodeableConcept', async () => {
    const coding = { system: 'urn:specialties', code: 'cardio' };
    expect(total(await post(...when, { name: 'specialty', valueCoding: coding }))).toBe(14);
    expect(total(await post(...when, { name: 'specialty', valueCodeableConcept: { coding: [coding] } }))).toBe(14);
  });

  test('Argonaut: a uri names whom it names', async () => {
    expect(total(await post(...when, { name: 'practitioner', valueUri: 'Practitioner/grey' }))).toBe(14);
  });

  test('what does not narrow the times is said not to', async () => {
    const answer = done(await find(clinic.nobody, query(`${GREY}&reason=urn:x|y`)));
    expect(answer.body['total']).toBe(14);
    const outcome = entries(answer).at(-1);
    expect(outcome).toMatchObject({ search: { mode: 'outcome' }, resource: { issue: [{ severity: 'information' }] } });
  });
});

describe('times that are not free are not shown', () => {
  test('booked, held, and free again', async () => {
    const [, second, third] = found(await find(clinic.nobody, query(GREY))).map((a) => String(a['id']));
    const booked = done(await bookProposal(clinic.ann, second ?? ''));
    const held = done(
      await clinic.bob('POST', 'Appointment/$hold', params(referring('appointment-reference', `Appointment/${third}`))),
    );
    expect(await starts(clinic.nobody, DAY)).not.toContain('09:30');
    expect(await starts(clinic.nobody, DAY)).not.toContain('10:00');
    await clinic.ann('POST', `Appointment/${idOf(booked)}/$cancel`);
    await clinic.bob('POST', `Appointment/${idOf(held)}/$release`);
    expect(await starts(clinic.nobody, DAY)).toHaveLength(14);
  });

  test('D10: a patient who is named is elsewhere', async () => {
    const elsewhere = done(
      await clinic.ann('POST', 'Appointment', visit({ start: at(DAY, '11:00'), practitioner: 'house' })),
    );
    const free = await starts(clinic.ann, DAY, `${GREY}&patient-reference=Patient/ann`);
    expect(free).not.toContain('11:00');
    expect(free).toContain('10:30');
    expect(free).toContain('11:30');
    // An app that was opened for her means her; to others her time is none of their business.
    expect(await starts(clinic.ann, DAY)).toEqual(free);
    expect(await starts(clinic.bob, DAY)).toContain('11:00');
    const why = await clinic.ann('GET', `Appointment/$explain?start=${encodeURIComponent(at(DAY, '11:00'))}&${GREY}`);
    expect(done(why).text).toContain('Patient/ann');
    const group = await starts(
      clinic.staff,
      DAY,
      `${GREY}&patient-reference=Patient/ann&patient-reference=Patient/bob`,
    );
    expect(group).toEqual(free);
    const proposal = found(await find(clinic.ann, query(`${GREY}&patient-reference=Patient/ann`)))[0];
    expect(proposal?.['participant']?.[3]).toEqual({
      actor: { reference: 'Patient/ann' },
      required: 'required',
      status: 'needs-action',
    });
    const resource = { name: 'patient-resource', resource: { resourceType: 'Patient', id: 'ann' } };
    const sent = done(
      await clinic.ann(
        'POST',
        'Appointment/$find',
        params(...when, referring('practitioner', 'Practitioner/grey'), resource),
      ),
    );
    expect(sent.body['total']).toBe(13);
    await clinic.ann('POST', `Appointment/${idOf(elsewhere)}/$cancel`);
  });

  test('where a patient is, nobody else learns by it', async () => {
    const unknown = await find(clinic.ann, query(`${GREY}&patient-reference=Patient/unknown`));
    for (const [who, patient] of [
      ['nobody', 'ann'],
      ['bob', 'ann'],
      ['parent', 'bob'],
    ] as const) {
      const answer = await find(clinic[who], query(`${GREY}&patient-reference=Patient/${patient}`));
      expect(answer.status, said(answer)).toBe(400);
      expect(answer.text).toBe(unknown.text);
    }
    const resource = { name: 'patient-resource', resource: { resourceType: 'Patient', id: 'bob' } };
    expect((await clinic.ann('POST', 'Appointment/$find', params(...when, resource))).status).toBe(400);
  });
});

describe('D10: rooms', () => {
  const exam = 'practitioner=Practitioner/house&service=HealthcareService/exam';
  test('of a pool one must be free, whichever', async () => {
    const occupied = async (room: string, patient: string): Promise<string> =>
      idOf(
        done(
          await clinic.staff('POST', 'Appointment', {
            resourceType: 'Appointment',
            status: 'booked',
            start: at(DAY, '14:00'),
            end: at(DAY, '14:30'),
            participant: [
              { actor: { reference: `Patient/${patient}` }, required: 'required', status: 'accepted' },
              { actor: { reference: `Location/${room}` }, required: 'required', status: 'accepted' },
            ],
          }),
        ),
      );
    const one = await occupied('room', 'ann');
    expect(await starts(clinic.nobody, DAY, exam)).toContain('14:00');
    const other = await occupied('room-2', 'bob');
    expect(await starts(clinic.nobody, DAY, exam)).not.toContain('14:00');
    expect(await starts(clinic.nobody, DAY, exam)).toContain('14:30');
    for (const id of [one, other]) done(await clinic.staff('POST', `Appointment/${id}/$cancel`));
  });

  test('one that is asked for is part of the proposal, and of the booking', async () => {
    const [proposal] = found(done(await find(clinic.staff, query(`${exam}&location-reference=Location/room-2`))));
    const rooms = (a: Json | undefined): string[] =>
      ((a?.['participant'] ?? []) as unknown as { actor: { reference: string } }[])
        .map((p) => p.actor.reference)
        .filter((r) => /room/.test(r));
    expect(rooms(proposal)).toEqual(['Location/room-2']);
    expect(String(proposal?.['id']).length).toBeLessThanOrEqual(64);
    const booked = done(
      await bookProposal(clinic.staff, String(proposal?.['id']), referring('patient-reference', 'Patient/bob')),
    );
    expect(rooms(found(booked)[0])).toEqual(['Location/room-2']);
    expect(await starts(clinic.staff, DAY, `${exam}&location-reference=Location/room-2`)).not.toContain('09:00');
    done(await clinic.staff('POST', `Appointment/${idOf(booked)}/$cancel`));
  });

  test('patients are offered those of the service, and may book all that they are offered', async () => {
    expect(total(await find(clinic.ann, query(`${exam}&location-reference=Location/room-3`)))).toBe(0);
    expect(total(await find(clinic.ann, query(`${GREY}&location-reference=Location/room-3`)))).toBe(0);
    expect(total(await find(clinic.staff, query(`${GREY}&location-reference=Location/room-3`)))).toBe(14);
    const [mine] = found(await find(clinic.ann, query(`${exam}&location-reference=Location/room-2`)));
    const booked = done(await bookProposal(clinic.ann, String(mine?.['id'])));
    done(await clinic.ann('POST', `Appointment/${idOf(booked)}/$cancel`));
  });

  test('where no pool says which, those of the site of the Schedule', async () => {
    const { system, staff } = clinic;
    const place = (id: string, partOf: string, code: string): Promise<Answer> =>
      put(system, {
        resourceType: 'Location',
        id,
        partOf: { reference: `Location/${partOf}` },
        physicalType: { coding: [{ ...ROOM.coding[0], code }] },
      });
    await place('wing', 'far', 'wi');
    await place('wing-room', 'wing', 'ro');
    const within = `start=${DAY}T00:00:00Z&end=${at(later(DAY, 24 * 60).slice(0, 10), '23:59')}`;
    const offered = async (room: string, who = 'kiwi'): Promise<number> =>
      total(await find(staff, `${within}&schedule=Schedule/${who}&location-reference=${room}`));
    expect(await offered('Location/room-3')).toBe(0);
    expect(await offered('Location/wing-room', 'grey')).toBe(0);
    expect(await offered('Location/room-3', 'grey')).toBeGreaterThan(0);
    expect(await offered('Location/wing-room')).toBeGreaterThan(0);
    const anybody = done(await find(staff, `${query('location-reference=Location/wing-room')}&_count=1000`));
    expect(new Set(doctors(anybody))).toEqual(new Set(['kiwi']));

    const [proposal] = found(
      done(await find(staff, `${within}&schedule=Schedule/kiwi&location-reference=Location/wing-room`)),
    );
    const book = (): Promise<Answer> =>
      bookProposal(staff, String(proposal?.['id']), referring('patient-reference', 'Patient/bob'));
    await place('wing-room', 'site', 'ro');
    expect(said(await book())).toBe('409 This proposal is not offered any more: ask $find for the times that are.');
    await place('wing-room', 'wing', 'ro');
    const booked = done(await book());
    expect(JSON.stringify(found(booked)[0])).toContain('Location/wing-room');
    done(await staff('POST', `Appointment/${idOf(booked)}/$cancel`));
  });
});

describe('D5: days on which clocks change', () => {
  const nights = async (day: string): Promise<string[]> =>
    found(done(await find(clinic.nobody, `start=${day}&end=${day}&service=HealthcareService/night&_count=100`))).map(
      (a) => String(a['start']),
    );
  test('New York: 10 starts when an hour is skipped, 14 when one comes twice, 12 else', async () => {
    const spring = await nights('2027-03-14');
    expect(spring).toHaveLength(10);
    expect(spring.some((s) => s.slice(11).startsWith('02:'))).toBe(false);
    const autumn = await nights('2027-11-07');
    expect(autumn).toHaveLength(14);
    expect(autumn.filter((s) => s.slice(11, 16) === '01:30').map((s) => s.slice(19))).toEqual(['-04:00', '-05:00']);
    expect(await nights('2027-04-14')).toHaveLength(12);
  });

  test('both of a doubled time are booked, each for itself', async () => {
    const answer = await find(clinic.nobody, 'start=2027-11-07&end=2027-11-07&service=HealthcareService/night');
    const twice = found(answer).filter((a) => String(a['start']).slice(11, 16) === '01:30');
    for (const [i, who] of (['ann', 'bob'] as const).entries())
      expect(said(await bookProposal(clinic[who], String(twice[i]?.['id'])))).toBe('200 ');
    expect((await nights('2027-11-07')).length).toBe(12);
  });
});

describe('input that is no good is refused by name', () => {
  const cases: readonly (readonly [string, string])[] = [
    [`end=${DAY}`, 'start'],
    [`start=${DAY}`, 'end'],
    [`start=tomorrow&end=${DAY}`, 'start'],
    [`start=${DAY}T09:00:00&end=${DAY}`, 'start'],
    ['start=2026-02-30&end=2026-03-01', 'start'],
    ['start=0001-01-01&end=0001-01-02', 'start'],
    ['start=9999-12-31&end=9999-12-31', 'start'],
    [`start=${DAY}&end=${workday(1)}`, 'end'],
    [`start=${DAY}&end=${later(at(DAY, '00:00'), 200 * 1440).slice(0, 10)}`, 'end'],
    [`${`start=${DAY}&`.repeat(2)}end=${DAY}`, 'start'],
    [query('practitioner=Patient/ann'), 'practitioner'],
    [query('practitioner=../../x'), 'practitioner'],
    [query('_count=-1'), '_count'],
    [query('_count=many'), '_count'],
    [query('colour=blue'), 'colour'],
  ];
  test.each(cases)('%s: %s', async (text, name) => {
    const answer = await clinic.nobody('GET', `Appointment/$find?${text}`);
    expect(answer.status, answer.text).toBe(400);
    expect(answer.body['issue']?.[0]?.['expression']?.[0]).toBe(name);
    expect(String(answer.body['issue']?.[0]?.['diagnostics'])).toMatch(/\w{3,}/);
  });

  test('and in Parameters', async () => {
    const bad: readonly (readonly [object, string])[] = [
      [{ name: 'practitioner', valueReference: {} }, 'Parameters.parameter[2]'],
      [{ name: 'practitioner', valueReference: { reference: 'Location/site' } }, 'practitioner'],
      [{ name: 'practitioner', valueBoolean: true }, 'practitioner'],
      [{ name: 'timing', valueString: 'soon' }, 'timing'],
      [{ name: 'patient-resource', resource: { resourceType: 'Device' } }, 'patient-resource'],
    ];
    for (const [parameter, name] of bad) {
      const answer = await post(...when, parameter);
      expect(answer.status, answer.text).toBe(400);
      expect(String(answer.body['issue']?.[0]?.['expression']?.[0])).toContain(name);
    }
    for (const body of [
      '[]',
      '"x"',
      '{"resourceType":"Parameters","parameter":{}}',
      '{}',
      '{"resourceType":"Appointment"}',
    ])
      expect((await clinic.nobody('POST', 'Appointment/$find', body)).status).toBe(400);
  });
});

test('a page beyond the last is empty; what no link says is refused', async () => {
  const answer = done(await find(clinic.nobody, query(`${GREY}&_count=5&_cursor=999`)));
  expect([found(answer).length, answer.body['total']]).toEqual([0, 14]);
  for (const odd of ['x', '', '-3', '1e9', 'NaN', '2.5', '9999999999', '5&_cursor=5']) {
    const refused = await find(clinic.nobody, query(`${GREY}&_cursor=${odd}`));
    expect([odd, refused.status, refused.body['issue']?.[0]?.['expression']]).toEqual([odd, 400, ['_cursor']]);
  }
  const unknown = await find(clinic.nobody, query(`${GREY}&_page=2`));
  expect([unknown.status, unknown.body['issue']?.[0]?.['expression']]).toEqual([400, ['_page']]);
});

test('D2: hours, notice and length of a Schedule change what is found at once', async () => {
  expect(await starts(clinic.nobody, DAY)).toHaveLength(14);
  await put(clinic.system, service('visit', { url: 'bufferAfter', ...minutes(15) }));
  expect(await starts(clinic.nobody, DAY)).toHaveLength(14);
  await put(clinic.system, schedule('grey', 'grey', { extension: [availability(weekly('09:00:00', '12:00:00'))] }));
  expect(await starts(clinic.nobody, DAY)).toHaveLength(6);
  await put(clinic.system, schedule('grey', 'grey', { active: false }));
  expect(await starts(clinic.nobody, DAY)).toHaveLength(0);
  await put(clinic.system, schedule('grey', 'grey'));
  await put(clinic.system, { ...service('visit'), active: false });
  expect(await starts(clinic.nobody, DAY)).toHaveLength(0);
  await put(clinic.system, service('visit'));
  expect(await starts(clinic.nobody, DAY)).toHaveLength(14);
});
