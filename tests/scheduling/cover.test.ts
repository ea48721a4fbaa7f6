/** `Appointment/$cover`: a colleague takes over visits, all of them or none. https://hl7.org/fhir/R4/appointment.html */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import { slotId } from '../../src/scheduling/slot-id.ts';
import {
  at,
  availability,
  bookProposal,
  done,
  find,
  found,
  idOf,
  later,
  lunch,
  openClinic,
  ofMode,
  params,
  put,
  referring,
  schedule,
  service,
  starts,
  taking,
  visit,
  weekly,
  workdays,
  type Clinic,
  type Wish,
} from './clinic.ts';
import { generateAsAsked, untrue } from './slots.ts';
import { contentsOf } from '../support/contents.ts';

const nextDay = workdays(7);
/** A day on which the colleague is off, and one on which his hours are others. */
const [dayOff, short] = [nextDay(), nextDay()];
let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  await put(system, service('rare'));
  await put(system, {
    resourceType: 'Location',
    id: 'branch',
    name: 'Branch',
    extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/timezone', valueCode: 'America/New_York' }],
  });
  const actors = (who: string, ...more: string[]): object[] =>
    [`Practitioner/${who}`, ...more].map((reference) => ({ reference }));
  await put(
    system,
    schedule('grey', 'grey', {
      actor: actors('grey', 'Location/site', 'HealthcareService/visit', 'HealthcareService/rare'),
    }),
  );
  await put(
    system,
    schedule('house', 'house', {
      extension: [
        availability(
          weekly('09:00:00', '17:00:00', [lunch('12:00:00', '13:00:00')]),
          {
            url: 'notAvailableTime',
            extension: [
              { url: 'description', valueString: 'golf' },
              { url: 'during', valuePeriod: { start: dayOff, end: dayOff } },
            ],
          },
          {
            url: 'dateOverride',
            extension: [
              { url: 'date', valueDate: short },
              {
                url: 'availableTime',
                extension: [
                  { url: 'availableStartTime', valueTime: '09:00:00' },
                  { url: 'availableEndTime', valueTime: '11:00:00' },
                ],
              },
            ],
          },
        ),
      ],
    }),
  );
  await put(system, { resourceType: 'Practitioner', id: 'wilson', name: [{ family: 'wilson' }] });
  await put(
    system,
    schedule('wilson', 'wilson', { actor: actors('wilson', 'Location/branch', 'HealthcareService/visit') }),
  );
  await put(system, { resourceType: 'Practitioner', id: 'nurse', name: [{ family: 'nurse' }] });
  await generateAsAsked(clinic.server.kairos);
});
afterAll(() => clinic.close());

const dryRun = { name: 'dry-run', valueBoolean: true };
const override = { name: 'override-reason', valueString: 'Dr. grey is ill' };
const cover = (day: string, to = 'house', ...more: readonly object[]): Promise<Answer> =>
  coverBy(clinic.staff, day, to, ...more);
const coverBy = (send: Send, day: string, to: string, ...more: readonly object[]): Promise<Answer> =>
  send(
    'POST',
    'Appointment/$cover',
    params(
      referring('from', 'Practitioner/grey'),
      referring('to', `Practitioner/${to}`),
      { name: 'start', valueDateTime: day },
      { name: 'end', valueDateTime: day },
      ...more,
    ),
  );
const booked = async (wish: Wish, more: object = {}): Promise<string> =>
  idOf(done(await clinic.staff('POST', 'Appointment', visit(wish, more))));
const read = async (id: string): Promise<Json> => done(await clinic.staff('GET', `Appointment/${id}`)).body;
const whoIn = (a: Json): string[] =>
  ((a['participant'] ?? []) as unknown as { actor: { reference: string } }[]).map((p) => p.actor.reference);
const ids = (answer: Answer): string[] => ofMode(done(answer), 'match').map((a) => String(a['id']));
const problems = (answer: Answer): string[] => {
  const list = answer.status === 200 ? (ofMode(answer, 'outcome')[0] ?? {})['issue'] : answer.body['issue'];
  return ((list ?? []) as unknown as { diagnostics: string }[]).map((i) => i.diagnostics);
};

describe('what is given over', () => {
  test('all visits of the day, each as it was but for the practitioner; Slots of both follow', async () => {
    const day = nextDay();
    const both = [
      await booked({ start: at(day, '09:00') }),
      await booked({ start: at(day, '10:00'), patient: 'bob' }, { status: 'pending', comment: 'knee' }),
    ];
    const before = await Promise.all(both.map(read));
    expect(ids(await cover(day))).toEqual(both);
    const after = await Promise.all(both.map(read));
    expect(after.map(whoIn)).toEqual(
      [
        ['Patient/ann', 'HealthcareService/visit', 'Practitioner/house', 'Location/site'].toSorted(),
        ['Patient/bob', 'HealthcareService/visit', 'Practitioner/house', 'Location/site'].toSorted(),
      ].map((list) => expect.arrayContaining(list)),
    );
    for (const [i, a] of after.entries()) {
      expect(whoIn(a)).not.toContain('Practitioner/grey');
      expect([a['start'], a['end'], a['status'], a['comment']]).toEqual([
        before[i]?.['start'],
        before[i]?.['end'],
        before[i]?.['status'],
        before[i]?.['comment'],
      ]);
    }
    const slot = (who: string): Promise<Answer> =>
      clinic.staff('GET', `Slot/${slotId(`Schedule/${who}`, 'HealthcareService/visit', Date.parse(at(day, '09:00')))}`);
    expect([(await slot('grey')).body['status'], (await slot('house')).body['status']]).toEqual(['free', 'busy']);
    expect(after[0]?.['slot']).toEqual([{ reference: `Slot/${String((await slot('house')).body['id'])}` }]);
    expect(await untrue(clinic.server.kairos)).toEqual([]);
    expect(await starts(clinic.nobody, day)).toContain('09:00');
    expect(await starts(clinic.nobody, day, 'practitioner=Practitioner/house')).not.toContain('09:00');
  });

  test('only those that begin in the span, are named, or are in a Schedule', async () => {
    const day = nextDay();
    const [early, late] = [
      await booked({ start: at(day, '09:00') }),
      await booked({ start: at(day, '14:00'), patient: 'bob' }),
    ];
    const span = (from: string, to: string): Promise<Answer> =>
      clinic.staff(
        'POST',
        'Appointment/$cover',
        params(
          referring('from', 'Practitioner/grey'),
          referring('to', 'Practitioner/house'),
          { name: 'start', valueDateTime: at(day, from) },
          { name: 'end', valueDateTime: at(day, to) },
          dryRun,
        ),
      );
    expect(ids(await span('09:00', '14:00'))).toEqual([early]);
    expect(ids(await span('09:15', '14:15'))).toEqual([late]);
    expect(ids(await cover(day, 'house', dryRun, referring('schedule', 'Schedule/house')))).toEqual([]);
    expect(ids(await cover(day, 'house', dryRun, referring('schedule', 'Schedule/grey')))).toEqual([early, late]);
    expect(ids(await cover(day, 'house', referring('appointment', `Appointment/${late}`)))).toEqual([late]);
    expect(whoIn(await read(early))).toContain('Practitioner/grey');
  });

  test('what is over, cancelled or held no more stays; who has arrived is covered, too', async () => {
    const day = nextDay();
    const at9 = await booked({ start: at(day, '09:00') });
    done(await clinic.staff('POST', `Appointment/${at9}/$cancel`, params()));
    const at10 = await booked({ start: at(day, '10:00') });
    for (const status of ['arrived', 'fulfilled']) {
      done(await clinic.staff('PUT', `Appointment/${at10}`, { ...(await read(at10)), status }));
    }
    const at11 = await booked({ start: at(day, '11:00') });
    done(await clinic.staff('PUT', `Appointment/${at11}`, { ...(await read(at11)), status: 'arrived' }));
    expect(ids(await cover(day))).toEqual([at11]);
  });

  test('the room of the visit stays; a visit that both share is the colleague’s alone', async () => {
    const day = nextDay();
    const id = await booked(
      { start: at(day, '09:00') },
      {
        participant: [
          taking('Patient/ann'),
          taking('Practitioner/grey'),
          taking('Practitioner/house'),
          taking('Location/room'),
          taking('HealthcareService/visit', 'accepted', 'information-only'),
        ],
      },
    );
    expect(ids(await cover(day))).toEqual([id]);
    expect(whoIn(await read(id)).toSorted()).toEqual([
      'HealthcareService/visit',
      'Location/room',
      'Location/site',
      'Patient/ann',
      'Practitioner/house',
    ]);
  });

  test('who did it, and why, is kept as Provenance', async () => {
    const day = nextDay();
    const id = await booked({ start: at(day, '09:00') });
    done(await cover(day, 'house', { name: 'reason', valueCodeableConcept: { text: 'illness' } }));
    const list = done(await clinic.staff('GET', `Provenance?target=Appointment/${id}`));
    expect(list.body['entry']?.[0]?.['resource']).toMatchObject({
      reason: [{ text: 'illness' }],
      agent: [{ who: { display: 'Sam Staff' } }],
    });
  });
});

describe('what does not fit', () => {
  /** A day on which one visit fits, and others do not. */
  async function mixed(): Promise<{
    day: string;
    fits: string;
    taken: string;
    blocked: string;
    rare: string;
    late: string;
  }> {
    const day = nextDay();
    const fits = await booked({ start: at(day, '09:00') });
    const taken = await booked({ start: at(day, '10:00'), patient: 'bob' });
    await booked({ start: at(day, '10:15'), patient: 'eve', practitioner: 'house' });
    const blocked = await booked({ start: at(day, '14:00'), patient: 'bob' });
    done(
      await clinic.staff(
        'POST',
        'Schedule/house/$block',
        params({ name: 'start', valueDateTime: at(day, '14:00') }, { name: 'end', valueDateTime: at(day, '15:00') }),
      ),
    );
    const rare = await booked({ start: at(day, '15:30'), service: 'rare' });
    const late = await booked({ start: at(day, '16:45'), end: at(day, '17:15') });
    return { day, fits, taken, blocked, rare, late };
  }

  test('is told one by one by a dry run, which changes nothing', async () => {
    const { day, fits, taken, blocked, rare, late } = await mixed();
    const answer = await cover(day, 'house', dryRun);
    expect(ids(answer)).toEqual([fits, taken, blocked, rare, late]);
    expect(ofMode(answer, 'match').map((a) => whoIn(a).includes('Practitioner/house'))).toEqual([
      true,
      false,
      false,
      false,
      false,
    ]);
    const told = problems(answer);
    expect(told).toHaveLength(4);
    for (const [i, [id, why]] of (
      [
        [taken, 'This time is taken'],
        [blocked, 'This time is blocked'],
        [rare, 'Practitioner/house does not offer HealthcareService/rare'],
        [late, 'it would end after 17:00'],
      ] as const
    ).entries()) {
      expect(told[i]).toContain(`Appointment/${id} at `);
      expect(told[i]).toContain(why);
    }
    for (const id of [fits, taken, blocked, rare, late]) expect((await read(id))['meta']?.['versionId']).toBe('1');
    expect(await untrue(clinic.server.kairos)).toEqual([]);
  });

  test('is refused as a whole: 409 with an issue for each, and none is given over', async () => {
    const { day, fits, taken, blocked, rare, late } = await mixed();
    const answer = await cover(day);
    expect(answer.status).toBe(409);
    const told = problems(answer).join(' ');
    for (const id of [taken, blocked, rare, late]) expect(told).toContain(`Appointment/${id}`);
    expect(told).not.toContain(fits);
    expect(answer.body['issue']?.[0]).toMatchObject({
      severity: 'error',
      code: 'conflict',
      expression: ['appointment'],
    });
    for (const id of [fits, taken, blocked, rare, late]) expect(whoIn(await read(id))).toContain('Practitioner/grey');
    const provenance = await contentsOf(clinic.server.kairos, 'Provenance');
    expect(provenance.filter(({ text }) => text.includes(fits))).toEqual([]);
  });

  test('is done all the same with a reason, which marks those that did not fit', async () => {
    const { day, fits, taken, blocked, rare, late } = await mixed();
    const answer = await cover(day, 'house', override);
    expect(ids(answer)).toEqual([fits, taken, blocked, rare, late]);
    expect(problems(answer)).toEqual(['Practitioner/house is overbooked at this time, as the reason given says.']);
    for (const id of [fits, taken, blocked, rare, late]) {
      const now = await read(id);
      expect(whoIn(now)).toContain('Practitioner/house');
      expect(JSON.stringify(now).includes('Dr. grey is ill'), id).toBe(id !== fits);
    }
    const slot = slotId('Schedule/house', 'HealthcareService/visit', Date.parse(at(day, '10:00')));
    expect((await clinic.staff('GET', `Slot/${slot}`)).body).toMatchObject({ status: 'busy', overbooked: true });
    expect(await untrue(clinic.server.kairos)).toEqual([]);
  });

  test('time off, the hours of the day, a break, and another place', async () => {
    const why = async (day: string, start: string, to = 'house'): Promise<string> => {
      const id = await booked({ start: at(day, start), end: later(at(day, start), 30) });
      const [told = ''] = problems(await cover(day, to, dryRun));
      done(await clinic.staff('POST', `Appointment/${id}/$cancel`, params()));
      return told;
    };
    expect(await why(dayOff, '09:00')).toContain('not available at this time (golf)');
    expect(await why(short, '11:00')).toContain('has hours of its own');
    expect(await why(nextDay(), '12:00')).toContain('break from 12:00 to 13:00');
    expect(await why(nextDay(), '09:00', 'wilson')).toContain('offers HealthcareService/visit at other places only');
    expect(await why(nextDay(), '09:00', 'nurse')).toContain(
      'Practitioner/nurse does not offer HealthcareService/visit',
    );
  });

  test('visits that would overlap with the colleague: the later one', async () => {
    const day = nextDay();
    const first = await booked({ start: at(day, '09:00') });
    const second = await booked(
      { start: at(day, '09:15'), patient: 'bob' },
      {
        extension: [
          {
            url: 'https://kairos.example/fhir/StructureDefinition/override',
            extension: [{ url: 'reason', valueString: 'urgent' }],
          },
        ],
      },
    );
    const told = problems(await cover(day));
    expect(told).toHaveLength(1);
    expect(told[0]).toContain(second);
    expect(whoIn(await read(first))).toContain('Practitioner/grey');
  });

  test('a cap of the colleague', async () => {
    const day = nextDay();
    const cap = {
      url: 'cap',
      extension: [
        { url: 'of', valueCode: 'provider' },
        { url: 'per', valueCode: 'day' },
        { url: 'limit', valuePositiveInt: 1 },
      ],
    };
    onTestFinished(() => put(clinic.system, service('visit')).then(() => undefined));
    await put(clinic.system, service('visit', cap));
    await booked({ start: at(day, '13:00'), practitioner: 'house', patient: 'bob' });
    await booked({ start: at(day, '09:00') });
    expect(problems(await cover(day))).toEqual([
      expect.stringContaining('No more than 1 visit with this practitioner'),
    ]);
    await put(clinic.system, service('visit'));
    expect(problems(await cover(day))).toEqual([]);
  });
});

describe('who and what', () => {
  test('staff gives visits over, not patients their own', async () => {
    const day = nextDay();
    await booked({ start: at(day, '09:00') });
    expect((await coverBy(clinic.ann, day, 'house')).status).toBe(403);
    expect((await coverBy(clinic.nobody, day, 'house')).status).toBeGreaterThanOrEqual(401);
  });

  test('to a colleague that there is, and only visits that are meant', async () => {
    const day = nextDay();
    const id = await booked({ start: at(day, '09:00'), practitioner: 'house' });
    const issue = ({ status, body }: Answer): unknown[] => [status, body['issue']?.[0]?.['expression']?.[0]];
    expect(issue(await cover(day, 'grey'))).toEqual([400, 'to']);
    expect(issue(await cover(day, 'nobody'))).toEqual([400, 'to']);
    expect(issue(await cover(day, 'house', referring('appointment', `Appointment/${id}`)))).toEqual([
      422,
      'appointment',
    ]);
    expect(ids(await cover(day))).toEqual([]);
  });
});

test('of a booking at the same moment, one takes the time, or the cover does', async () => {
  let [won, lost] = [0, 0];
  for (let round = 0; round < 12; round++) {
    const day = nextDay();
    const id = await booked({ start: at(day, '09:00') });
    const [proposal] = found(done(await find(clinic.bob, `start=${day}&end=${day}&practitioner=Practitioner/house`)));
    const pause = new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
    const [moved, other] = await Promise.all([
      pause.then(() => cover(day)),
      bookProposal(clinic.bob, String(proposal?.['id'])),
    ]);
    expect([moved.status, other.status].toSorted()).toEqual([200, 409]);
    expect(whoIn(await read(id))).toContain(moved.status === 200 ? 'Practitioner/house' : 'Practitioner/grey');
    if (moved.status === 200) won++;
    else lost++;
  }
  expect(won + lost).toBe(12);
});
