/** Follow-ups: in so many weeks, give or take some days, on a list of those that are due until a visit is booked. https://hl7.org/fhir/R4/servicerequest.html */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  bookProposal,
  bundle,
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
  service,
  times,
  visit,
  workday,
  type Clinic,
} from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  await put(clinic.system, service('control'));
});
afterAll(() => clinic.close());
const next = times(7);

const followUp = (origin: string, ...parameter: readonly object[]): Promise<Answer> =>
  followUpBy(clinic.staff, origin, ...parameter);
const followUpBy = (send: Send, origin: string, ...parameter: readonly object[]): Promise<Answer> =>
  send('POST', `${origin}/$follow-up`, params(...parameter));
const weeks = (valuePositiveInt: number): object => ({ name: 'weeks', valuePositiveInt });
const days = (value: number, name = 'after'): object => ({
  name,
  valueDuration: { value, system: 'http://unitsofmeasure.org', code: 'd' },
});
const tolerance = (valueUnsignedInt: number): object => ({ name: 'tolerance-days', valueUnsignedInt });
const booked = async (more: object = {}): Promise<Json> =>
  done(await clinic.staff('POST', 'Appointment', visit({ start: next() }, more))).body;
/** A visit that the patient has come to. */
const seen = (more: object = {}): Promise<Json> => booked({ status: 'arrived', ...more });
const plus = (day: string, n: number): string => new Date(Date.parse(day) + n * 86_400_000).toISOString().slice(0, 10);

const DUE = 'ServiceRequest?status=active&category=http://snomed.info/sct|390906007&_count=100';
const due = async (more = ''): Promise<string[]> =>
  entries(done(await clinic.staff('GET', `${DUE}${more}`))).map((e) => String(e['resource']?.['id']));
const isDue = async ({ id }: Json): Promise<boolean> => (await due()).includes(String(id));
/** An order of a further visit of ann. */
const ordered = async (more: readonly object[] = []): Promise<Json> =>
  done(await followUp(`Appointment/${String((await seen())['id'])}`, weeks(2), ...more)).body;
const reference = ({ id }: Json): object => ({ reference: `ServiceRequest/${String(id)}` });
const basedOn = (order: Json): object => ({ basedOn: [reference(order)] });

describe('ordered', () => {
  test('from a visit: in weeks, give or take days', async () => {
    const stands = await seen({ reasonCode: [{ text: 'knee' }] });
    const day = String(stands['start']).slice(0, 10);
    const order = done(await followUp(`Appointment/${String(stands['id'])}`, weeks(3), tolerance(4))).body;
    expect(order).toMatchObject({
      resourceType: 'ServiceRequest',
      status: 'active',
      intent: 'order',
      subject: { reference: 'Patient/ann' },
      performer: [{ reference: 'Practitioner/grey' }],
      occurrencePeriod: { start: plus(day, 17), end: plus(day, 25) },
      reasonCode: [{ text: 'knee' }],
      supportingInfo: [{ reference: `Appointment/${String(stands['id'])}` }, { reference: 'HealthcareService/visit' }],
    });
    expect(await isDue(order)).toBe(true);
  });

  test('in days; another service, another reason', async () => {
    const stands = await seen();
    const day = String(stands['start']).slice(0, 10);
    const order = done(
      await followUp(
        `Appointment/${String(stands['id'])}`,
        days(10),
        referring('service', 'HealthcareService/control'),
        {
          name: 'reason',
          valueCodeableConcept: { text: 'stitches' },
        },
      ),
    ).body;
    expect(order).toMatchObject({
      code: { text: 'Service control' },
      occurrencePeriod: { start: plus(day, 3), end: plus(day, 17) },
      reasonCode: [{ text: 'stitches' }],
    });
    const soon = done(await followUp(`Appointment/${String(stands['id'])}`, days(2))).body;
    expect(soon['occurrencePeriod']).toEqual({ start: plus(day, 1), end: plus(day, 3) });
  });

  test('from another order, after the time that it names', async () => {
    const first = done(
      await clinic.staff('POST', 'ServiceRequest', {
        resourceType: 'ServiceRequest',
        status: 'active',
        intent: 'order',
        code: { text: 'Colonoscopy' },
        subject: { reference: 'Patient/bob' },
        occurrenceDateTime: '2027-03-01',
        supportingInfo: [{ reference: 'HealthcareService/control' }],
      }),
    ).body;
    const order = done(await followUp(`ServiceRequest/${String(first['id'])}`, weeks(4))).body;
    expect(order).toMatchObject({
      subject: { reference: 'Patient/bob' },
      code: { text: 'Colonoscopy' },
      basedOn: [reference(first)],
      occurrencePeriod: { start: '2027-03-22', end: '2027-04-05' },
      supportingInfo: [{ reference: 'HealthcareService/control' }],
    });
  });

  test.each([
    ['no time', [], 'weeks'],
    ['two times', [weeks(2), days(3)], 'weeks'],
    ['a unit that is none', [{ name: 'after', valueDuration: { value: 2, unit: 'moons' } }], 'weeks'],
    ['the past', [days(-3)], 'after'],
    ['a century', [days(40_000)], 'after'],
    ['more tolerance than time', [weeks(1), tolerance(7)], 'tolerance-days'],
    ['a service that there is not', [weeks(1), referring('service', 'HealthcareService/none')], 'service'],
  ])('%s is refused', async (_, parameter, expression) => {
    const stands = await seen();
    const answer = await followUp(`Appointment/${String(stands['id'])}`, ...parameter);
    expect([answer.status, answer.body['issue']?.[0]?.['expression']?.[0]], answer.text).toEqual([400, expression]);
  });

  test('what did not take place is not followed; nor by patients, or of what there is not', async () => {
    const stands = await booked();
    const origin = `Appointment/${String(stands['id'])}`;
    expect((await followUpBy(clinic.ann, origin, weeks(1))).status).toBe(403);
    expect(said(await followUp(origin, weeks(1)))).toContain('422 Nothing follows a visit that is booked: one that is');
    done(await clinic.staff('POST', `${origin}/$cancel`, params()));
    const missed = done(
      await clinic.system('POST', 'Appointment', visit({ start: next() }, { status: 'noshow' })),
    ).body;
    for (const [id, status] of [
      [stands['id'], 'cancelled'],
      [missed['id'], 'noshow'],
    ]) {
      const answer = await followUp(`Appointment/${String(id)}`, weeks(1));
      expect(said(answer)).toContain(`422 Nothing follows a visit that is ${String(status)}`);
      expect(answer.body['issue']?.[0]?.['code']).toBe('business-rule');
    }
    expect((await followUp('Appointment/none', weeks(1))).status).toBe(404);
    expect((await followUp('ServiceRequest/none', weeks(1))).status).toBe(404);
  });
});

describe('once more', () => {
  const all = async (origin: string, ...parameter: readonly object[]): Promise<Json[]> => {
    const answers = await Promise.all([1, 2, 3].map(() => followUp(origin, ...parameter)));
    return answers.map((a) => done(a).body);
  };
  test('the same of the same visit is the order that there is, also at the same moment and when it says more by now', async () => {
    for (const origin of [
      `Appointment/${String((await seen())['id'])}`,
      `ServiceRequest/${String((await ordered())['id'])}`,
    ]) {
      const [first = {} as Json, ...others] = await all(origin, weeks(3));
      expect(new Set([first, ...others].map((o) => String(o['id']))).size).toBe(1);
      done(await clinic.staff('PUT', `ServiceRequest/${String(first['id'])}`, { ...first, priority: 'urgent' }));
      const again = done(await followUp(origin, weeks(3))).body;
      expect([again['id'], again['priority']]).toEqual([first['id'], 'urgent']);
    }
  });

  test('another content, another visit, or one whose order is done: a new one', async () => {
    const origin = `Appointment/${String((await seen())['id'])}`;
    const first = done(await followUp(origin, weeks(3))).body;
    const ids = new Set([String(first['id'])]);
    const reason = { name: 'reason', valueCodeableConcept: { text: 'stitches' } };
    for (const more of [[weeks(4)], [weeks(3), tolerance(1)], [weeks(3), reason]])
      ids.add(String(done(await followUp(origin, ...more)).body['id']));
    ids.add(String(done(await followUp(`Appointment/${String((await seen())['id'])}`, weeks(3))).body['id']));
    await booked(basedOn(first));
    ids.add(String(done(await followUp(origin, weeks(3))).body['id']));
    expect(ids.size).toBe(6);
  });
});

test('the list is a search: who is due in a month', async () => {
  const order = await ordered();
  const { start, end } = order['occurrencePeriod'] as unknown as { start: string; end: string };
  const id = String(order['id']);
  expect(await due(`&occurrence=ge${start}&occurrence=le${end}`)).toContain(id);
  expect(await due(`&occurrence=gt${plus(end, 1)}`)).not.toContain(id);
  expect(await due('&performer=Practitioner/grey&subject=Patient/ann')).toContain(id);
  expect(await due('&performer=Practitioner/house')).not.toContain(id);
});

/** A visit for an order, by each of the ways to book one. */
const ways: Record<string, (order: Json) => Promise<Answer>> = {
  POST: (order) => clinic.staff('POST', 'Appointment', visit({ start: next() }, basedOn(order))),
  'POST by the patient': (order) => clinic.ann('POST', 'Appointment', visit({ start: next() }, basedOn(order))),
  'a transaction': async (order) => {
    const resource = visit({ start: next() }, basedOn(order));
    const answer = await clinic.staff(
      'POST',
      '',
      bundle('transaction', { request: { method: 'POST', url: 'Appointment' }, resource }),
    );
    const [, id = ''] = /Appointment\/([^/]+)/.exec(String(entries(done(answer))[0]?.['response']?.['location'])) ?? [];
    return clinic.staff('GET', `Appointment/${id}`);
  },
  '$book of an Appointment': (order) =>
    clinic.staff(
      'POST',
      'Appointment/$book',
      params({ name: 'appointment-resource', resource: visit({ start: next() }, basedOn(order)) }),
    ),
  '$book of a proposal with what it is based on': async (order) => {
    const [proposal] = found(done(await find(clinic.staff, `${span()}&practitioner=Practitioner/grey`)));
    return bookProposal(clinic.staff, String(proposal?.['id']), { name: 'based-on', valueReference: reference(order) });
  },
  '$find with the order, $book of the proposal in full': async (order) => {
    const [resource] = found(done(await find(clinic.ann, `${span()}&based-on=ServiceRequest/${String(order['id'])}`)));
    return clinic.ann('POST', 'Appointment/$book', params({ name: 'appointment-resource', resource: resource ?? {} }));
  },
  '$hold, then $book': async (order) => {
    const [proposal] = found(done(await find(clinic.ann, `${span()}&practitioner=Practitioner/grey`)));
    const held = done(
      await clinic.ann(
        'POST',
        'Appointment/$hold',
        params(referring('appointment-reference', `Appointment/${String(proposal?.['id'])}`), {
          name: 'based-on',
          valueReference: reference(order),
        }),
      ),
    );
    expect(await isDue(order)).toBe(true);
    return bookProposal(clinic.ann, idOf(held));
  },
  'PUT that adds it': async (order) => {
    const stands = await booked();
    return clinic.staff('PUT', `Appointment/${String(stands['id'])}`, { ...stands, ...basedOn(order) });
  },
};
const span = (): string => {
  const day = workday(20);
  return `start=${day}&end=${workday(25)}&_count=1`;
};

describe('a visit that is based on it takes it off the list, and a cancellation puts it back', () => {
  test.each(Object.keys(ways))('%s', async (way) => {
    const order = await ordered();
    const answer = done((await ways[way]?.(order)) as Answer);
    const id = idOf(answer);
    const now = done(await clinic.staff('GET', `ServiceRequest/${String(order['id'])}`)).body;
    expect([now['status'], now['meta']?.['versionId'], await isDue(order)]).toEqual(['completed', '2', false]);
    expect((await clinic.staff('GET', `Appointment/${id}`)).body['basedOn']).toEqual([reference(order)]);
    done(await clinic.staff('POST', `Appointment/${id}/$cancel`, params()));
    expect(await isDue(order)).toBe(true);
  });

  test('in the same transaction: what is refused leaves it due', async () => {
    const order = await ordered();
    const taken = await booked({ participant: visitOf('bob') });
    const answer = await clinic.ann('POST', 'Appointment', visit({ start: String(taken['start']) }, basedOn(order)));
    expect(answer.status).toBe(409);
    expect(await isDue(order)).toBe(true);
  });

  test('as a visit that nobody came to does; one that is moved stays', async () => {
    const order = await ordered();
    const stands = await booked(basedOn(order));
    const id = String(stands['id']);
    done(await clinic.staff('POST', `Appointment/${id}/$reschedule`, params({ name: 'start', valueDateTime: next() })));
    expect(await isDue(order)).toBe(false);
    const moved = done(
      await clinic.staff(
        'POST',
        `Appointment/${id}/$reschedule`,
        params({ name: 'start', valueDateTime: next() }, { name: 'mode', valueCode: 'replace' }),
      ),
    );
    expect(await isDue(order)).toBe(false);
    expect(idOf(moved)).not.toBe(id);
    const start = Date.parse(String(moved.body['start']));
    clinic.clock.ahead = start + 60_000 - Date.now();
    done(await clinic.staff('POST', `Appointment/${idOf(moved)}/$no-show`, params()));
    expect(await isDue(order)).toBe(true);
    clinic.clock.ahead = 0;
  });

  test('the last of several', async () => {
    const order = await ordered();
    const [one, two] = await Promise.all([booked(basedOn(order)), booked(basedOn(order))]);
    expect(await isDue(order)).toBe(false);
    done(await clinic.staff('POST', `Appointment/${String(one['id'])}/$cancel`, params()));
    expect(await isDue(order)).toBe(false);
    done(await clinic.staff('POST', `Appointment/${String(two['id'])}/$cancel`, params()));
    expect(await isDue(order)).toBe(true);
  });

  test('also when both come and go at the same moment', async () => {
    const order = await ordered();
    for (let round = 0; round < 6; round++) {
      const both = await Promise.all([booked(basedOn(order)), booked(basedOn(order))]);
      expect(await isDue(order)).toBe(false);
      const gone = both.map((a) => clinic.staff('POST', `Appointment/${String(a['id'])}/$cancel`, params()));
      for (const answer of await Promise.all(gone)) done(answer);
      expect(await isDue(order)).toBe(true);
    }
  });
});

const visitOf = (patient: string): unknown =>
  (visit({ start: next(), patient }) as Record<string, unknown>)['participant'];

describe('what is not done with one visit', () => {
  test('an order that is no follow-up, or that was revoked, stays as it is', async () => {
    const plain = {
      resourceType: 'ServiceRequest',
      status: 'active',
      intent: 'order',
      code: { text: 'Physiotherapy, ten times' },
      subject: { reference: 'Patient/ann' },
    };
    const series = done(await clinic.staff('POST', 'ServiceRequest', plain)).body;
    await booked(basedOn(series));
    expect((await clinic.staff('GET', `ServiceRequest/${String(series['id'])}`)).body['status']).toBe('active');
    const order = await ordered();
    done(await clinic.staff('PUT', `ServiceRequest/${String(order['id'])}`, { ...order, status: 'revoked' }));
    const stands = await booked(basedOn(order));
    done(await clinic.staff('POST', `Appointment/${String(stands['id'])}/$cancel`, params()));
    expect((await clinic.staff('GET', `ServiceRequest/${String(order['id'])}`)).body['status']).toBe('revoked');
  });

  test('the follow-up of somebody else is refused', async () => {
    const order = await ordered();
    const answer = await clinic.staff('POST', 'Appointment', visit({ start: next(), patient: 'bob' }, basedOn(order)));
    expect([answer.status, answer.body['issue']?.[0]?.['expression']?.[0]]).toEqual([422, 'Appointment.basedOn']);
    expect(
      (await clinic.bob('POST', 'Appointment', visit({ start: next(), patient: 'bob' }, basedOn(order)))).status,
    ).toBe(422);
    expect(await isDue(order)).toBe(true);
  });
});

describe('$find with the order', () => {
  test('asks for its service, its practitioner and its patient, and says when it is due', async () => {
    const order = await ordered();
    const id = String(order['id']);
    const answer = done(await find(clinic.staff, `${span()}&based-on=ServiceRequest/${id}`));
    const [proposal] = found(answer);
    const who = ((proposal?.['participant'] ?? []) as unknown as { actor: { reference: string } }[]).map(
      (p) => p.actor.reference,
    );
    expect(who).toEqual(['Practitioner/grey', 'Location/site', 'HealthcareService/visit', 'Patient/ann']);
    expect(proposal?.['basedOn']).toEqual([reference(order)]);
    const { start, end } = order['occurrencePeriod'] as unknown as { start: string; end: string };
    expect(JSON.stringify(ofMode(answer, 'outcome'))).toContain(`due from ${start} to ${end}`);
    const other = found(
      done(await find(clinic.staff, `${span()}&based-on=ServiceRequest/${id}&practitioner=Practitioner/house`)),
    )[0];
    expect(JSON.stringify(other?.['participant'])).toContain('Practitioner/house');
  });

  test('by the identifier of the referral, in the words of ITI-115', async () => {
    const order = await ordered();
    const identifier = [{ system: 'urn:referrals', value: 'R1' }];
    done(await clinic.staff('PUT', `ServiceRequest/${String(order['id'])}`, { ...order, identifier }));
    const referred = (send: Send): Promise<Answer> =>
      send(
        'POST',
        'Appointment/$find',
        params(
          { name: 'start', valueDateTime: workday(20) },
          { name: 'end', valueDateTime: workday(25) },
          { name: '_count', valueUnsignedInt: 1 },
          { name: 'referral-identifier', valueIdentifier: identifier[0] },
          referring('practitioner', 'Practitioner/grey'),
        ),
      );
    expect(found(done(await referred(clinic.staff)))[0]?.['basedOn']).toEqual([reference(order)]);
    const unknown = done(await referred(clinic.nobody));
    expect([found(unknown).length, found(unknown)[0]?.['basedOn']]).toEqual([1, undefined]);
    expect(JSON.stringify(ofMode(unknown, 'outcome'))).toContain('referral-identifier was not used');
  });

  test('whose order it is, nobody else learns', async () => {
    const order = await ordered();
    for (const who of ['bob', 'nobody'] as const) {
      const answer = await find(clinic[who], `${span()}&based-on=ServiceRequest/${String(order['id'])}`);
      const none = await find(clinic[who], `${span()}&based-on=ServiceRequest/none`);
      expect([answer.status, answer.text]).toEqual([400, none.text]);
    }
    const mine = await find(clinic.ann, `${span()}&based-on=ServiceRequest/${String(order['id'])}`);
    expect(mine.status).toBe(200);
  });
});

test('a visit for an order is for its patient, where nobody is named', async () => {
  const order = await ordered();
  const [proposal] = found(done(await find(clinic.staff, `${span()}&practitioner=Practitioner/house`)));
  const answer = done(
    await bookProposal(clinic.staff, String(proposal?.['id']), { name: 'based-on', valueReference: reference(order) }),
  );
  expect(JSON.stringify(found(answer)[0]?.['participant'])).toContain('Patient/ann');
});
