/** `Schedule/[id]/$block`: time off, and whom it hits. D6, D17. https://hl7.org/fhir/R4/slot.html */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  as,
  at,
  availability,
  bookProposal,
  done,
  entries,
  find,
  found,
  idOf,
  ofMode,
  openClinic,
  params,
  put,
  referring,
  said,
  schedule,
  service,
  starts,
  times,
  visit,
  weekly,
  workdays,
  type Clinic,
} from './clinic.ts';
import { generateAsAsked, untrue } from './slots.ts';

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  await put(system, {
    resourceType: 'Location',
    id: 'coast',
    name: 'Coast',
    extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/timezone', valueCode: 'America/Los_Angeles' }],
  });
  await put(system, service('other'));
  const actors = (site: string): object[] => [
    { reference: 'Practitioner/house' },
    { reference: `Location/${site}` },
    { reference: 'HealthcareService/visit' },
    { reference: 'HealthcareService/other' },
  ];
  await put(system, schedule('house', 'house', { actor: actors('site') }));
  await put(
    system,
    schedule('house-coast', 'house', {
      actor: actors('coast'),
      extension: [availability(weekly('15:00:00', '18:00:00'))],
    }),
  );
  await generateAsAsked(clinic.server.kairos);
});
afterAll(() => clinic.close());

const nextDay = workdays(14);
const moment = (name: string, valueDateTime: string): object => ({ name, valueDateTime });
const code = (name: string, valueCode: string): object => ({ name, valueCode });
const dryRun = { name: 'dry-run', valueBoolean: true };
const block = (send: Send, id: string, start: string, end: string, ...more: readonly object[]): Promise<Answer> =>
  send('POST', `Schedule/${id}/$block`, params(moment('start', start), moment('end', end), ...more));
const of = (answer: Answer, mode: 'match' | 'include' | 'outcome'): Json[] => ofMode(done(answer), mode);
const idsOf = (list: readonly Json[]): string[] => list.map((r) => String(r['id'])).sort();
const affected = (answer: Answer): string[] => idsOf(of(answer, 'include'));
const booked = async (start: string, more: Parameters<typeof visit>[0] | object = {}): Promise<string> =>
  idOf(done(await clinic.staff('POST', 'Appointment', visit({ start, ...more }))));
const slotsOf = async (id: string, day: string): Promise<string[]> => {
  const list = await clinic.staff(
    'GET',
    `Slot?schedule=Schedule/${id}&start=ge${at(day, '00:00')}&start=lt${at(day, '23:59')}&_count=200`,
  );
  return entries(done(list))
    .map((e) => e['resource'] as Json)
    .map((s) => `${new Date(String(s['start'])).toISOString().slice(11, 16)} ${String(s['status'])}`);
};
const spans = (slots: readonly Json[]): string[] =>
  slots.map((s) => `${String(s['schedule']?.['reference'])} ${String(s['start'])} ${String(s['end'])}`);
const issue = ({ status, body }: Answer): unknown[] => [status, body['issue']?.[0]?.['expression']?.[0]];

describe('whom it hits', () => {
  const next = times(7);
  test('a dry run only tells', async () => {
    const start = next();
    const id = await booked(start);
    const day = start.slice(0, 10);
    const before = await clinic.sql('select count(*) from slot');
    const answer = await block(clinic.staff, 'grey', day, day, dryRun);
    expect([answer.body['total'], of(answer, 'match'), affected(answer)]).toEqual([0, [], [id]]);
    expect(await clinic.sql('select count(*) from slot')).toEqual(before);
    expect(await starts(clinic.nobody, day)).toContain('16:30');
  });

  test('a real one tells of the same, and changes none of them', async () => {
    const day = nextDay();
    const [first, second] = [await booked(at(day, '09:00')), await booked(at(day, '10:00'), { patient: 'bob' })];
    const outside = await booked(at(day, '13:00'), { patient: 'eve' });
    const answer = await block(clinic.staff, 'grey', at(day, '09:15'), at(day, '10:15'));
    expect(affected(answer)).toEqual([first, second].sort());
    expect(of(answer, 'include').map((a) => a['meta']?.['versionId'])).toEqual(['1', '1']);
    for (const id of [first, second, outside])
      expect((await clinic.staff('GET', `Appointment/${id}`)).body['status']).toBe('booked');
  });

  test('what touches it only, is cancelled, or is with somebody else, is not hit', async () => {
    const day = nextDay();
    await booked(at(day, '09:30'));
    await booked(at(day, '11:00'));
    await booked(at(day, '10:00'), { practitioner: 'house', patient: 'bob' });
    const gone = await booked(at(day, '10:00'), { patient: 'eve' });
    done(await clinic.staff('POST', `Appointment/${gone}/$cancel`, params()));
    expect(affected(await block(clinic.staff, 'grey', at(day, '10:00'), at(day, '11:00'), dryRun))).toEqual([]);
  });

  test('what is held is hit, and may be booked all the same: it was there before', async () => {
    const day = nextDay();
    const [proposal] = found(
      await find(clinic.ann, `start=${at(day, '09:00')}&end=${at(day, '09:30')}&schedule=Schedule/grey`),
    );
    const held = idOf(
      done(
        await clinic.ann(
          'POST',
          'Appointment/$hold',
          params(referring('appointment-reference', `Appointment/${String(proposal?.['id'])}`)),
        ),
      ),
    );
    expect(affected(await block(clinic.staff, 'grey', day, day))).toEqual([held]);
    expect((await bookProposal(clinic.ann, held)).status).toBe(200);
  });
});

describe('no one books there any more', () => {
  test('by any door; staff may with a reason', async () => {
    const day = nextDay();
    const [proposal] = found(await find(clinic.ann, `start=${day}&end=${day}&schedule=Schedule/grey`));
    done(await block(clinic.staff, 'grey', day, day));
    expect(await starts(clinic.nobody, day)).toEqual([]);
    const start = String(proposal?.['start']);
    expect(said(await bookProposal(clinic.ann, String(proposal?.['id'])))).toContain('409 This time is blocked.');
    for (const send of [clinic.ann, clinic.staff])
      expect(said(await send('POST', 'Appointment', visit({ start })))).toContain('409 This time is blocked.');
    const over = await bookProposal(
      clinic.staff,
      String(proposal?.['id']),
      referring('patient-reference', 'Patient/bob'),
      { name: 'override-reason', valueString: 'urgent' },
    );
    expect(over.status, over.text).toBe(200);
  });

  test('the Slots of the rules say so, until it is taken away', async () => {
    const day = nextDay();
    await booked(at(day, '10:00'));
    const before = await slotsOf('grey', day);
    expect(before.filter((s) => s.endsWith('free'))).toHaveLength(13);
    const made = of(await block(clinic.staff, 'grey', at(day, '09:00'), at(day, '12:00')), 'match');
    const during = await slotsOf('grey', day);
    expect(during.filter((s) => s.endsWith('busy-unavailable'))).toHaveLength(1 + 6);
    expect(during.filter((s) => s.endsWith('free'))).toHaveLength(8);
    expect(await untrue(clinic.server.kairos)).toEqual([]);
    done(
      await clinic.staff(
        'POST',
        'Schedule/grey/$unblock',
        params(...idsOf(made).map((id) => referring('slot', `Slot/${id}`))),
      ),
    );
    expect(await slotsOf('grey', day)).toEqual(before);
    expect(await untrue(clinic.server.kairos)).toEqual([]);
  });
});

describe('when', () => {
  test('dates are whole days by the clock of the place, both included', async () => {
    const [first, last] = [nextDay(), nextDay()];
    const [slot] = of(await block(clinic.staff, 'grey', first, last), 'match');
    expect([slot?.['start'], slot?.['end']]).toEqual([at(first, '00:00'), at(dayAfter(last), '00:00')]);
  });

  test('each Schedule of the practitioner by its own clock', async () => {
    const day = nextDay();
    const slots = of(await block(clinic.staff, 'house', day, day, code('scope', 'all')), 'match');
    expect(spans(slots).sort()).toEqual([
      `Schedule/house ${at(day, '00:00')} ${at(dayAfter(day), '00:00')}`,
      `Schedule/house-coast ${at(day, '00:00', 'America/Los_Angeles')} ${at(dayAfter(day), '00:00', 'America/Los_Angeles')}`,
    ]);
    expect(await starts(clinic.nobody, day, 'practitioner=Practitioner/house')).toEqual([]);
  });
});

const dayAfter = (day: string): string => new Date(Date.parse(day) + 86_400_000).toISOString().slice(0, 10);

describe('scope', () => {
  const house = (start: string, more: object = {}): Promise<string> =>
    booked(start, { practitioner: 'house', ...more });
  test('one Schedule: the practitioner’s others go on', async () => {
    const day = nextDay();
    const here = await house(at(day, '09:00'));
    const there = idOf(
      done(
        await clinic.staff(
          'POST',
          'Appointment',
          visit({ start: at(day, '15:00', 'America/Los_Angeles'), practitioner: 'house', patient: 'bob' }),
        ),
      ),
    );
    expect(affected(await block(clinic.staff, 'house', day, day, dryRun))).toEqual([here]);
    expect(affected(await block(clinic.staff, 'house', day, day, dryRun, code('scope', 'all')))).toEqual(
      [here, there].sort(),
    );
    done(await block(clinic.staff, 'house', day, day, code('scope', 'location')));
    expect(await starts(clinic.nobody, day, 'schedule=Schedule/house')).toEqual([]);
    expect(
      await starts(clinic.nobody, day, 'schedule=Schedule/house-coast&service=HealthcareService/visit'),
    ).toHaveLength(5);
  });

  test('some services: the others go on, and only their visits are hit', async () => {
    const day = nextDay();
    const mine = await house(at(day, '09:00'));
    await house(at(day, '10:00'), { service: 'other', patient: 'bob' });
    const services = referring('service', 'HealthcareService/visit');
    expect(affected(await block(clinic.staff, 'house', day, day, services))).toEqual([mine]);
    const at9 = (name: string): Promise<string[]> =>
      starts(clinic.nobody, day, `schedule=Schedule/house&service=HealthcareService/${name}`);
    expect(await at9('visit')).toEqual([]);
    expect(await at9('other')).toHaveLength(12);
    const start = at(day, '14:00');
    expect((await clinic.staff('POST', 'Appointment', visit({ start, practitioner: 'house' }))).status).toBe(409);
    expect(
      (await clinic.staff('POST', 'Appointment', visit({ start, practitioner: 'house', service: 'other' }))).status,
    ).toBe(201);
  });

  test('services that are not offered there, or do not go with the scope, are refused', async () => {
    const day = nextDay();
    const named = referring('service', 'HealthcareService/visit');
    expect(issue(await block(clinic.staff, 'grey', day, day, referring('service', 'HealthcareService/other')))).toEqual(
      [422, 'service'],
    );
    expect(issue(await block(clinic.staff, 'grey', day, day, code('scope', 'service')))).toEqual([400, 'service']);
    expect(issue(await block(clinic.staff, 'grey', day, day, code('scope', 'all'), named))).toEqual([400, 'scope']);
    expect(issue(await block(clinic.staff, 'grey', day, day, code('scope', 'everything')))).toEqual([400, 'scope']);
  });
});

describe('why', () => {
  test('is for staff: patients neither read nor search it', async () => {
    const day = nextDay();
    const reason = {
      name: 'reason',
      valueCodeableConcept: {
        coding: [{ system: 'https://kairos.example/fhir/CodeSystem/block-reason', code: 'vacation' }],
        text: 'Lisbon',
      },
    };
    const [slot] = of(await block(clinic.staff, 'grey', day, day, reason), 'match');
    expect(slot).toMatchObject({
      comment: 'Lisbon',
      extension: [{ extension: [{ valueCode: 'location' }, { valueCoding: { code: 'vacation' } }] }],
    });
    for (const send of [clinic.ann, clinic.nobody]) {
      expect((await send('GET', `Slot/${String(slot?.['id'])}`)).status).toBeGreaterThanOrEqual(400);
      const list = await send(
        'GET',
        `Slot?schedule=Schedule/grey&start=ge${at(day, '00:00')}&start=lt${at(day, '23:00')}`,
      );
      expect(list.text).not.toContain('Lisbon');
      expect(list.text).not.toContain('vacation');
    }
  });
});

describe('who and what', () => {
  const day = nextDay();
  test('staff', async () => {
    expect((await block(clinic.ann, 'grey', day, day)).status).toBe(403);
    expect((await block(as(clinic.server, 'nobody'), 'grey', day, day)).status).toBeGreaterThanOrEqual(401);
  });
  test.each([
    ['the end comes first', at(day, '12:00'), at(day, '11:00'), 'end'],
    ['nothing at all', at(day, '12:00'), at(day, '12:00'), 'end'],
    ['no offset', `${day}T09:00:00`, at(day, '12:00'), 'start'],
    ['a year beyond all calendars', '9998-01-01', '9998-01-02', 'start'],
    ['a day that there is not', '2027-02-30', '2027-03-02', 'start'],
  ])('%s', async (_, start, end, expression) => {
    const answer = await block(clinic.staff, 'grey', start, end);
    expect(issue(answer), answer.text).toEqual([400, expression]);
  });
  test('a Schedule that there is not; and days of one that has no zone', async () => {
    expect((await block(clinic.staff, 'nothing', day, day)).status).toBe(404);
    await put(clinic.system, { resourceType: 'Schedule', id: 'nowhere', actor: [{ reference: 'Practitioner/grey' }] });
    expect(issue(await block(clinic.staff, 'nowhere', day, day))).toEqual([422, 'start']);
    expect((await block(clinic.staff, 'nowhere', at(day, '09:00'), at(day, '10:00'))).status).toBe(200);
  });
});
