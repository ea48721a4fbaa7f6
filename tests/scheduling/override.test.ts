/** D3: staff books over the rules knowingly, with a reason that stays with the visit. https://hl7.org/fhir/R4/slot-definitions.html#Slot.overbooked */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import { slotId } from '../../src/scheduling/slot-id.ts';
import {
  appointmentOf,
  at,
  bookProposal,
  done,
  find,
  found,
  idOf,
  later,
  ofMode,
  openClinic,
  params,
  put,
  referring,
  said,
  schedule,
  service,
  starts,
  visit,
  workday,
  workdays,
  type Clinic,
} from './clinic.ts';
import { generateAsAsked, untrue } from './slots.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';
let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const { system } = clinic;
  const staffNotice = {
    url: 'minimumNotice',
    extension: [
      { url: 'channel', valueCode: 'staff' },
      { url: 'notice', valueDuration: { value: 9, code: 'd', system: 'http://unitsofmeasure.org' } },
    ],
  };
  const cap = {
    url: 'cap',
    extension: [
      { url: 'of', valueCode: 'service' },
      { url: 'per', valueCode: 'day' },
      { url: 'limit', valuePositiveInt: 1 },
    ],
  };
  await put(system, service('strict', staffNotice, cap));
  await put(system, service('web', { url: 'channel', valueCode: 'patient' }));
  const actor = ['Practitioner/house', 'Location/site', 'HealthcareService/strict', 'HealthcareService/web'].map(
    (reference) => ({ reference }),
  );
  await put(system, schedule('strict', 'house', { actor }));
  await generateAsAsked(clinic.server.kairos);
});
afterAll(() => clinic.close());
const nextDay = workdays(14);

const reason = (valueString = 'urgent'): object => ({ name: 'override-reason', valueString });
const resource = (start: string, more: object = {}): object => ({
  name: 'appointment-resource',
  resource: visit({ start, ...more }, { status: 'proposed' }),
});
const book = (send: Send, ...parameter: readonly object[]): Promise<Answer> =>
  send('POST', 'Appointment/$book', params(...parameter));
const overrideOf = (a: Json): Record<string, unknown> => {
  const list = (a['extension'] ?? []) as unknown as { url: string; extension: Record<string, unknown>[] }[];
  const parts = list.find((e) => e.url === `${OWN}/override`)?.extension ?? [];
  return Object.fromEntries(parts.map((p) => [p['url'], p['valueString'] ?? p['valueReference'] ?? p['valueInstant']]));
};
const slotAt = async (start: string): Promise<Json> =>
  done(await clinic.staff('GET', `Slot/${slotId('Schedule/grey', 'HealthcareService/visit', Date.parse(start))}`)).body;

describe('over somebody who is there', () => {
  test('with a reason, by whom and when, in the visit and its Slot, and said in the answer', async () => {
    const start = at(nextDay(), '10:00');
    done(await clinic.ann('POST', 'Appointment', visit({ start })));
    expect((await book(clinic.staff, resource(start, { patient: 'bob' }))).status).toBe(409);
    const answer = done(await book(clinic.staff, resource(start, { patient: 'bob' }), reason('it hurts')));
    const over = appointmentOf(answer);
    expect(overrideOf(over)).toMatchObject({ reason: 'it hurts', by: { display: 'Sam Staff' } });
    expect(Math.abs(Date.parse(String(overrideOf(over)['at'])) - Date.now())).toBeLessThan(60_000);
    expect(ofMode(answer, 'outcome')[0]?.['issue']?.[0]).toMatchObject({
      severity: 'warning',
      diagnostics: 'Practitioner/grey is overbooked at this time, as the reason given says.',
    });
    expect(await slotAt(start)).toMatchObject({ status: 'busy', overbooked: true });
    expect(await untrue(clinic.server.kairos)).toEqual([]);
    done(await clinic.staff('POST', `Appointment/${String(over['id'])}/$cancel`, params()));
    expect([(await slotAt(start))['status'], (await slotAt(start))['overbooked']]).toEqual(['busy', undefined]);
  });

  test('by $hold and $reschedule; elsewhere the reason holds no more', async () => {
    const day = nextDay();
    const start = at(day, '10:00');
    done(await clinic.ann('POST', 'Appointment', visit({ start })));
    const held = done(
      await clinic.staff('POST', 'Appointment/$hold', params(resource(start, { patient: 'bob' }), reason())),
    );
    expect(overrideOf(appointmentOf(held))).toMatchObject({ reason: 'urgent' });
    const moved = idOf(
      done(await clinic.staff('POST', 'Appointment', visit({ start: at(day, '14:00'), patient: 'eve' }))),
    );
    const move = (...more: object[]): Promise<Answer> =>
      clinic.staff(
        'POST',
        `Appointment/${moved}/$reschedule`,
        params({ name: 'start', valueDateTime: start }, ...more),
      );
    expect((await move()).status).toBe(409);
    expect(overrideOf(done(await move(reason())).body)).toMatchObject({ reason: 'urgent' });
    const away = done(
      await clinic.staff(
        'POST',
        `Appointment/${moved}/$reschedule`,
        params({ name: 'start', valueDateTime: at(day, '15:00') }),
      ),
    );
    expect(overrideOf(away.body)).toEqual({});
  });

  test('only those who need it are marked as overbooked: where the time is free, the constraint guards it', async () => {
    const start = at(nextDay(), '10:00');
    const answer = done(await book(clinic.staff, resource(start), reason()));
    expect(overrideOf(appointmentOf(answer))).toMatchObject({ reason: 'urgent' });
    expect(ofMode(answer, 'outcome')).toEqual([]);
    expect((await slotAt(start))['overbooked']).toBeUndefined();
    expect((await clinic.staff('POST', 'Appointment', visit({ start, patient: 'bob' }))).status).toBe(409);
  });
});

describe('over the rules', () => {
  const strict = { practitioner: 'house', service: 'strict' };
  const cases: readonly (readonly [string, () => Promise<object>, string])[] = [
    ['outside the hours', async () => resource(at(nextDay(), '20:00'), { practitioner: 'house' }), 'not offered'],
    ['in a break', async () => resource(at(nextDay(), '12:00'), { practitioner: 'house' }), 'not offered'],
    ['off the grid', async () => resource(at(nextDay(), '09:10'), { practitioner: 'house' }), 'not offered'],
    ['too soon', async () => resource(at(workday(3), '09:00'), strict), 'too late'],
    ['too far ahead', async () => resource(at(workday(100), '09:00'), { practitioner: 'house' }), 'too far ahead'],
    [
      'for another channel',
      async () => resource(at(nextDay(), '09:00'), { ...strict, service: 'web' }),
      'not booked by staff',
    ],
    [
      'a full day',
      async () => {
        const day = nextDay();
        done(await clinic.staff('POST', 'Appointment', visit({ start: at(day, '09:00'), patient: 'bob', ...strict })));
        return resource(at(day, '11:00'), strict);
      },
      'No more than 1',
    ],
    [
      'time off',
      async () => {
        const day = nextDay();
        done(
          await clinic.staff(
            'POST',
            'Schedule/house/$block',
            params(
              { name: 'start', valueDateTime: day },
              { name: 'end', valueDateTime: day },
              { name: 'scope', valueCode: 'all' },
            ),
          ),
        );
        return resource(at(day, '11:00'), { practitioner: 'house' });
      },
      'blocked',
    ],
  ];
  test.each(cases)('%s', async (_, make, words) => {
    const wished = await make();
    const plain = await book(clinic.staff, wished);
    expect([plain.status >= 409, said(plain)], plain.text).toEqual([true, expect.stringContaining(words)]);
    const answer = done(await book(clinic.staff, wished, reason()));
    expect(overrideOf(appointmentOf(answer))).toMatchObject({ reason: 'urgent' });
  });
});

describe('who and how', () => {
  test('staff only, by every operation that knows it', async () => {
    const start = at(nextDay(), '10:00');
    const mine = idOf(done(await clinic.ann('POST', 'Appointment', visit({ start }))));
    const to = { name: 'start', valueDateTime: later(start, 30) };
    for (const answer of [
      await book(clinic.ann, resource(start), reason()),
      await clinic.ann('POST', 'Appointment/$hold', params(resource(start), reason())),
      await clinic.ann('POST', `Appointment/${mine}/$reschedule`, params(to, reason())),
      await clinic.ann('POST', `Appointment/${mine}/$confirm`, params(reason())),
    ])
      expect([answer.status, answer.body['issue']?.[0]?.['expression']?.[0]], answer.text).toEqual([
        403,
        'override-reason',
      ]);
    expect((await clinic.ann('GET', `Appointment/${mine}`)).body['meta']?.['versionId']).toBe('1');
  });

  test('not without a word', async () => {
    expect((await book(clinic.staff, resource(at(nextDay(), '10:00')), reason(''))).status).toBe(400);
    expect((await book(clinic.staff, resource(at(nextDay(), '10:00')), reason('   '))).status).toBe(400);
    const blank = { url: `${OWN}/override`, extension: [{ url: 'reason', valueString: ' ' }] };
    const start = at(nextDay(), '10:00');
    done(await clinic.ann('POST', 'Appointment', visit({ start })));
    expect(
      (await clinic.staff('POST', 'Appointment', visit({ start, patient: 'bob' }, { extension: [blank] }))).status,
    ).toBe(409);
  });

  test('a proposal as well', async () => {
    const day = nextDay();
    const [proposal] = found(done(await find(clinic.staff, `start=${day}&end=${day}&schedule=Schedule/grey`)));
    const id = String(proposal?.['id']);
    done(await bookProposal(clinic.ann, id));
    expect((await bookProposal(clinic.staff, id, referring('patient-reference', 'Patient/bob'))).status).toBe(409);
    expect((await bookProposal(clinic.staff, id, referring('patient-reference', 'Patient/bob'), reason())).status).toBe(
      200,
    );
    expect(await starts(clinic.nobody, day)).toHaveLength(13);
  });

  test('the approval of what waits', async () => {
    const start = at(nextDay(), '10:00');
    const waiting = {
      status: 'pending',
      participant: [
        { actor: { reference: 'Patient/ann' }, required: 'required', status: 'accepted' },
        { actor: { reference: 'Practitioner/grey' }, required: 'required', status: 'needs-action' },
        { actor: { reference: 'HealthcareService/visit' }, required: 'information-only', status: 'accepted' },
      ],
    };
    const asked = idOf(done(await clinic.staff('POST', 'Appointment', visit({ start }, waiting))));
    const over = done(await clinic.staff('POST', `Appointment/${asked}/$confirm`, params(reason('as promised')))).body;
    expect([over['status'], overrideOf(over)['reason']]).toEqual(['booked', 'as promised']);
  });
});
