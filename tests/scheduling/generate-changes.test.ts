/** After each kind of change the Slots of the Schedules that it concerns, and of no others, follow. https://hl7.org/fhir/R4/schedule.html */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startWorker } from '../../src/compose-worker.ts';
import { generateAfterChange } from '../../src/scheduling/generate-after-change.ts';
import { generateSlots } from '../../src/scheduling/generate.ts';
import type { TestKairos } from '../support/kairos.ts';
import {
  availability,
  bookProposal,
  find,
  found,
  lunch,
  minutes,
  openClinic,
  parameters,
  put,
  schedule,
  service,
  weekly,
  workday,
  type Clinic,
} from './clinic.ts';
import { generateAsAsked, mismatch, partsOf, rowsOf, storedIds, untrue, wantedIds } from './slots.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';
const TIMEZONE = 'http://hl7.org/fhir/StructureDefinition/timezone';
let clinic: Clinic;
let kairos: TestKairos;

const organization = (zone: string, ...more: object[]): object => ({
  resourceType: 'Organization',
  id: 'org',
  name: 'Org',
  extension: [{ url: TIMEZONE, valueCode: zone }, ...more],
});
const branch = (...more: object[]): object => ({
  resourceType: 'Location',
  id: 'branch',
  name: 'Branch',
  managingOrganization: { reference: 'Organization/org' },
  physicalType: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'si' }] },
  ...(more.length > 0 ? { extension: more } : {}),
});
const role = (practitioner: string): object => ({
  resourceType: 'PractitionerRole',
  id: 'role',
  practitioner: { reference: `Practitioner/${practitioner}` },
});
const atBranch = (more: object = {}): object =>
  schedule('branch', 'house', {
    actor: [
      { reference: 'PractitionerRole/role' },
      { reference: 'Location/branch' },
      { reference: 'HealthcareService/care' },
    ],
    ...more,
  });
const holiday = (date: string): object => ({
  url: `${OWN}/holiday`,
  extension: [
    { url: 'date', valueDate: date },
    { url: 'name', valueString: 'Founders’ day' },
  ],
});

beforeAll(async () => {
  clinic = await openClinic();
  ({ kairos } = clinic.server);
  await put(clinic.system, organization('Europe/Berlin'));
  await put(clinic.system, branch());
  await put(clinic.system, role('house'));
  await put(clinic.system, service('care'));
  await put(clinic.system, atBranch());
  await generateSlots(partsOf(kairos));
  await generateAsAsked(kairos);
});
afterAll(() => clinic.close());

/** Schedules with the hash of all their Slots. */
async function hashes(): Promise<Map<string, string>> {
  const rows = await rowsOf(
    kairos,
    `select schedule, md5(string_agg(id || version || content, '' order by id)) from slot group by 1`,
  );
  return new Map(rows.map(([name = '', hash = '']) => [name, hash]));
}

describe('whatever changes', () => {
  const day = workday(10);
  const cases: readonly (readonly [what: string, resource: () => object, concerned: readonly string[]])[] = [
    ['hours', () => schedule('grey', 'grey', { extension: [availability(weekly('08:00:00', '17:00:00'))] }), ['grey']],
    [
      'a lunch break',
      () =>
        schedule('grey', 'grey', {
          extension: [availability(weekly('08:00:00', '17:00:00', [lunch('12:30:00', '13:00:00')]))],
        }),
      ['grey'],
    ],
    [
      'time off',
      () =>
        schedule('grey', 'grey', {
          extension: [
            availability(weekly('08:00:00', '17:00:00'), {
              url: 'notAvailableTime',
              extension: [{ url: 'during', valuePeriod: { start: day, end: day } }],
            }),
          ],
        }),
      ['grey'],
    ],
    [
      'a day that differs',
      () =>
        schedule('grey', 'grey', {
          extension: [
            availability(weekly('08:00:00', '17:00:00'), {
              url: 'dateOverride',
              extension: [{ url: 'date', valueDate: workday(15) }],
            }),
          ],
        }),
      ['grey'],
    ],
    [
      'the capacity of hours',
      () =>
        schedule('grey', 'grey', {
          extension: [
            availability(weekly('08:00:00', '17:00:00', [{ url: 'capacity', valuePositiveInt: 3 }]), {
              url: 'dateOverride',
              extension: [{ url: 'date', valueDate: workday(15) }],
            }),
          ],
        }),
      [],
    ],
    [
      'the season',
      () =>
        schedule('grey', 'grey', {
          extension: [availability(weekly('09:00:00', '12:00:00'), { url: 'period', valuePeriod: { end: day } })],
        }),
      ['grey'],
    ],
    ['the planning horizon', () => schedule('house', 'house', { planningHorizon: { start: day } }), ['house']],
    [
      'parameters of the Schedule',
      () =>
        schedule('house', 'house', {
          extension: [availability(weekly('09:00:00', '17:00:00')), parameters({ url: 'interval', ...minutes(15) })],
        }),
      ['house'],
    ],
    ['a Schedule that is closed', () => schedule('house', 'house', { active: false }), ['house']],
    ['a Schedule that is opened', () => schedule('house', 'house'), ['house']],
    [
      'a Schedule that has no rules any more',
      () => schedule('house', 'house', { extension: [] as object[] }),
      ['house'],
    ],
    ['a new Schedule', () => schedule('second', 'grey', { active: true }), ['second']],
    [
      'the length of a service',
      () => service('visit', { url: 'bufferAfter', ...minutes(5) }, { url: 'interval', ...minutes(40) }),
      ['grey', 'second'],
    ],
    [
      'the codes of a service',
      () => ({
        ...service('care'),
        specialty: [{ coding: [{ system: 'http://snomed.info/sct', code: '394814009' }] }],
      }),
      ['branch'],
    ],
    ['a service that is not offered', () => ({ ...service('care'), active: false }), ['branch']],
    ['a service that is offered again', () => service('care'), ['branch']],
    ['the name of a service', () => ({ ...service('care'), name: 'Care, renamed' }), []],
    ['the zone of an organization', () => organization('Europe/Lisbon'), ['branch']],
    ['the zone of a place', () => branch({ url: TIMEZONE, valueCode: 'Europe/Athens' }), ['branch']],
    ['a holiday of a place', () => branch({ url: TIMEZONE, valueCode: 'Europe/Athens' }, holiday(day)), ['branch']],
    ['a holiday of an organization', () => organization('Europe/Lisbon', holiday(workday(12))), []],
    [
      'the telephone of a place',
      () => ({
        ...branch({ url: TIMEZONE, valueCode: 'Europe/Athens' }, holiday(day)),
        telecom: [{ system: 'phone', value: '1' }],
      }),
      [],
    ],
    [
      'a place without holidays: those of its organization count',
      () => branch({ url: TIMEZONE, valueCode: 'Europe/Athens' }),
      ['branch'],
    ],
    [
      'another service of a Schedule',
      () =>
        atBranch({
          actor: [
            { reference: 'PractitionerRole/role' },
            { reference: 'Location/branch' },
            { reference: 'HealthcareService/care' },
            { reference: 'HealthcareService/visit' },
          ],
        }),
      ['branch'],
    ],
    [
      'one service less',
      () =>
        atBranch({
          actor: [
            { reference: 'PractitionerRole/role' },
            { reference: 'Location/branch' },
            { reference: 'HealthcareService/visit' },
          ],
        }),
      ['branch'],
    ],
  ];
  test.each(cases)('%s', async (_, resource, concerned) => {
    const before = await hashes();
    const sent = resource() as { extension?: object[] };
    if (sent.extension?.length === 0) delete sent.extension;
    await put(clinic.system, sent);
    await generateAsAsked(kairos);
    const after = await hashes();
    const names = [...new Set([...before.keys(), ...after.keys()])];
    expect(names.filter((n) => before.get(n) !== after.get(n)).sort()).toEqual(concerned.map((c) => `Schedule/${c}`));
    expect(await mismatch(kairos)).toEqual([]);
    expect(await untrue(kairos)).toEqual([]);
  });

  test('a role that somebody else takes: their time counts', async () => {
    const free = await find(
      clinic.nobody,
      `start=${day}T00:00:00-05:00&end=${day}T23:00:00-05:00&practitioner=Practitioner/grey`,
    );
    const booked = await bookProposal(clinic.ann, String(found(free)[0]?.['id']));
    expect(booked.status, booked.text).toBe(200);
    await put(clinic.system, role('grey'));
    await generateAsAsked(kairos);
    expect(await untrue(kairos)).toEqual([]);
    const taken = await rowsOf(
      kairos,
      `select count(*) > 0 from slot where schedule = 'Schedule/branch' and status = 'busy'`,
    );
    expect(taken).toEqual([['t']]);
  });

  test('a Schedule that is deleted: its free Slots go', async () => {
    const gone = await clinic.system('DELETE', 'Schedule/branch');
    expect(gone.status, gone.text).toBeLessThan(300);
    await generateAsAsked(kairos);
    expect(
      await rowsOf(kairos, `select distinct status from slot where schedule = 'Schedule/branch' and start > now()`),
    ).toEqual([['busy']]);
    expect(
      await rowsOf(kairos, `select count(*) from scheduling_generated where schedule = 'Schedule/branch'`),
    ).toEqual([['0']]);
  });
});

test('of many changes one after another, all is looked at once', async () => {
  for (let i = 0; i < 20; i++) await put(clinic.system, { ...service('visit'), name: `Visit ${i}` });
  await put(clinic.system, service('visit', { url: 'interval', ...minutes(10) }));
  const rows = await rowsOf(
    kairos,
    `select payload::text from outbox where topic = 'generate-slots' and status = 'pending'`,
  );
  expect(rows).toHaveLength(21);
  const reports = await Promise.all(
    rows.map(() => generateAfterChange(partsOf(kairos), ['HealthcareService/visit'], [])),
  );
  expect(reports.filter((r) => r.offers > 0)).toHaveLength(1);
  expect(await mismatch(kairos)).toEqual([]);
});

test('the worker does so within five seconds of the change', async () => {
  await generateAsAsked(kairos);
  const worker = await startWorker(kairos);
  try {
    await put(clinic.system, schedule('grey', 'grey', { extension: [availability(weekly('07:00:00', '10:00:00'))] }));
    const wanted = await wantedIds(kairos);
    const since = performance.now();
    await expect.poll(() => storedIds(kairos), { timeout: 5_000, interval: 100 }).toEqual(wanted);
    expect(performance.now() - since).toBeLessThan(5_000);
  } finally {
    await worker.close();
  }
});
