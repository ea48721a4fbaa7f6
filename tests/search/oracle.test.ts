/**
 * Random searches on random resources find the same ids in the same order as a plain filter written from the specification.
 * @see https://hl7.org/fhir/R4/search.html
 */
import type { Appointment, Encounter, Invoice, Patient, Resource, Slot } from '@medplum/fhirtypes';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseQuery } from '../../src/fhir/http/url.ts';
import type { ParamCondition } from '../../src/fhir/search/criteria.ts';
import { parseSearch } from '../../src/fhir/search/parse.ts';
import { meetsAll } from '../../src/fhir/search/recheck.ts';
import { meaningOf } from '../../src/fhir/search/run.ts';
import { meets, sorted } from './oracle.ts';
import { NOW, openSearch, type SearchServer } from './support.ts';

const NAMES = ['Anna', 'ANNA', 'Änna', 'Ann', 'Bo', 'Böhm', 'van der Berg', 'O’Neil', 'Zoë  Ann', '50% Off', 'a_b'];
const DATES = ['2026', '2026-03', '2026-03-08', '2026-03-09', '2027-01-01', '1999-12'];
const TIMES = [
  '2026-03-08T00:00:00Z',
  '2026-03-08T10:00:00+02:00',
  '2026-03-08T08:00:00.5Z',
  '2026-03-08T08:00:00.500Z',
  '2026-03-08T23:59:59-05:00',
  '2026-12-01T12:30:00Z',
  '2026-03-08T08:00:00.123Z',
];
const SYSTEMS = ['http://a.example', 'http://b.example', undefined];
const CODES = ['x', 'X', 'y', 'long-code'];
const UNITS = [
  { system: 'http://unitsofmeasure.org', code: 'h', unit: 'hours' },
  { system: 'http://unitsofmeasure.org', code: 'd' },
  { unit: 'hours' },
];

const ids = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);
const of = <T>(list: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...list);
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
const few = <T>(arbitrary: fc.Arbitrary<T>, max = 2): fc.Arbitrary<T[] | undefined> =>
  maybe(fc.array(arbitrary, { minLength: 1, maxLength: max }));

const token = fc.record({ system: of(SYSTEMS), code: of(CODES), display: maybe(of(NAMES)) });
const identifier = fc.record({ system: of(SYSTEMS), value: of(CODES) });
const reference = (type: string, count: number): fc.Arbitrary<{ reference: string }> =>
  of(ids(type === 'Practitioner' ? 'd' : 'p', count)).map((id) => ({ reference: `${type}/${id}` }));
const logical = identifier.map((i) => ({ identifier: i }));
const period = fc
  .record({ start: maybe(of([...DATES, ...TIMES])), end: maybe(of(['2027-06', '2028-01-01T00:00:00Z'])) })
  .filter((p) => p.start !== undefined || p.end !== undefined);
const meta = fc.record({
  lastUpdated: of(['2026-01-01T00:00:00.000Z', '2026-03-08T08:00:00.123Z', '2026-11-01T00:00:00.000Z']),
  tag: maybe(fc.array(token, { minLength: 1, maxLength: 1 })),
});

const patients = fc.record({
  meta,
  active: maybe(fc.boolean()),
  gender: maybe(of(['male', 'female', 'other'] as const)),
  birthDate: maybe(of(DATES)),
  deceasedDateTime: maybe(of([...DATES, ...TIMES])),
  name: few(fc.record({ family: maybe(of(NAMES)), given: few(of(NAMES)), text: maybe(of(NAMES)) })),
  identifier: few(identifier),
  generalPractitioner: few(reference('Practitioner', 3)),
  managingOrganization: maybe(fc.oneof(logical, of([{ reference: 'Organization/o1' }]))),
});
const appointments = fc.record({
  meta,
  status: of(['booked', 'proposed', 'cancelled'] as const),
  start: maybe(of(TIMES)),
  participant: fc.array(
    fc.record({
      status: of(['accepted', 'declined', 'tentative'] as const),
      actor: maybe(fc.oneof(reference('Patient', 12), reference('Practitioner', 3), logical)),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  serviceType: few(fc.record({ coding: few(token), text: maybe(of(NAMES)) })),
});
const encounters = fc.record({
  meta,
  status: of(['planned', 'finished'] as const),
  class: token,
  subject: maybe(fc.oneof(reference('Patient', 12), of([{ reference: 'Group/g' }]), logical)),
  period: maybe(period),
  length: maybe(fc.tuple(of([1, 1.5, 24, 24.04, -3]), of(UNITS)).map(([value, unit]) => ({ value, ...unit }))),
  location: few(fc.record({ location: of([{ reference: 'Location/l' }]), period: maybe(period) })),
});
const slots = fc.record({
  meta,
  status: of(['free', 'busy'] as const),
  schedule: of(['s1', 's2']).map((s) => ({ reference: `Schedule/${s}` })),
  start: of(TIMES),
  end: of(TIMES),
});
const invoices = fc.record({
  meta,
  status: of(['issued', 'draft'] as const),
  date: maybe(of([...DATES, ...TIMES])),
  subject: maybe(reference('Patient', 12)),
  totalGross: maybe(fc.record({ value: of([0, 10, 10.04, 10.05, 99.95, -1]), currency: of(['USD', 'EUR'] as const) })),
});

/** Undefined members are no members. */
const clean = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
const many = <T extends object>(
  arbitrary: fc.Arbitrary<T>,
  resourceType: string,
  prefix: string,
  count: number,
): fc.Arbitrary<Resource[]> =>
  fc
    .array(arbitrary, { minLength: count, maxLength: count })
    .map((list) =>
      list.map(
        (r, i) =>
          clean({ resourceType, id: `${prefix}${i}`, ...r }) as unknown as
            Patient | Appointment | Encounter | Slot | Invoice,
      ),
    );

const world = fc
  .tuple(
    many(patients, 'Patient', 'p', 25),
    many(appointments, 'Appointment', 'a', 25),
    many(encounters, 'Encounter', 'e', 25),
    many(slots, 'Slot', 's', 20),
    many(invoices, 'Invoice', 'i', 15),
  )
  .map((all) => all.flat());

interface Criterion {
  readonly name: string;
  readonly value: string;
}
type Row = readonly [
  kind: 'string' | 'token' | 'code' | 'date' | 'reference' | 'quantity',
  name: string,
  values?: readonly string[],
];

const PARAMETERS: Readonly<Record<string, readonly Row[]>> = {
  Patient: [
    ['string', 'name'],
    ['string', 'family'],
    ['string', 'given'],
    [
      'code',
      'gender',
      [
        'male',
        'female',
        'Male',
        'http://hl7.org/fhir/administrative-gender|male',
        'http://hl7.org/fhir/administrative-gender|',
        'http://a.example|male',
        '|male',
      ],
    ],
    ['code', 'active', ['true', 'false']],
    ['token', 'identifier'],
    ['date', 'birthdate'],
    ['date', 'death-date'],
    ['reference', 'general-practitioner', ['d0', 'Practitioner/d1', 'Practitioner/nobody']],
    ['reference', 'organization', ['o1', 'Organization/o1']],
    ['token', '_tag'],
    ['date', '_lastUpdated'],
    ['code', '_id', ['p1', 'p2', 'nobody']],
  ],
  Appointment: [
    ['code', 'status', ['booked', 'proposed', 'BOOKED', 'http://hl7.org/fhir/appointmentstatus|cancelled']],
    [
      'code',
      'part-status',
      [
        'accepted',
        'http://hl7.org/fhir/participationstatus|declined',
        'nothing',
        'http://hl7.org/fhir/participationstatus|',
      ],
    ],
    ['date', 'date'],
    ['reference', 'actor', ['p1', 'Patient/p2', 'd1', 'Practitioner/d0']],
    ['reference', 'patient', ['p1', 'Patient/p3', 'Practitioner/d0']],
    ['reference', 'practitioner', ['d0', 'Practitioner/d1']],
    ['token', 'service-type'],
    ['token', '_tag'],
  ],
  Encounter: [
    ['date', 'date'],
    ['date', 'location-period'],
    ['token', 'class'],
    ['reference', 'subject', ['p1', 'Patient/p2', 'g', 'Group/g']],
    ['reference', 'patient', ['p1', 'Patient/p2', 'Group/g']],
    [
      'quantity',
      'length',
      [
        '1',
        '1.5',
        '1.50',
        '24',
        '24.0',
        '-3',
        '24||h',
        '24||hours',
        '1.5|http://unitsofmeasure.org|d',
        '1|http://other.example|h',
      ],
    ],
  ],
  Slot: [
    ['code', 'status', ['free', 'busy', 'entered-in-error', 'FREE']],
    ['date', 'start'],
    ['date', 'end'],
    ['reference', 'schedule', ['s1', 'Schedule/s2', 'Schedule/none']],
  ],
  Invoice: [
    ['date', 'date'],
    ['quantity', 'totalgross', ['10', '10.0', '10.05', '100', '0', '10||USD', '10.0|urn:iso:std:iso:4217|EUR']],
    ['reference', 'subject', ['p1', 'Patient/p4']],
  ],
};

const PREFIXES = ['', 'eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap'];
const oneOrTwo = (values: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.array(values, { minLength: 1, maxLength: 2 }).map((v) => v.join(','));
const tokens = of([...CODES, 'http://a.example|x', 'http://a.example|', '|y', 'http://b.example|X', 'nothing']);

function plain([kind, name, values = []]: Row): fc.Arbitrary<Criterion> {
  const named = (suffixes: readonly string[], arbitrary: fc.Arbitrary<string>): fc.Arbitrary<Criterion> =>
    fc.tuple(of(suffixes), arbitrary).map(([suffix, value]) => ({ name: name + suffix, value }));
  const missing = fc.boolean().map((m) => ({ name: `${name}:missing`, value: String(m) }));
  const prefixed = (list: readonly string[]): fc.Arbitrary<string> =>
    oneOrTwo(fc.tuple(of(PREFIXES), of(list)).map(([p, v]) => p + v));
  switch (kind) {
    case 'string':
      return fc.oneof(
        {
          arbitrary: named(
            ['', ':exact', ':contains'],
            oneOrTwo(of([...NAMES, 'a', 'an', 'BER', 'n', '%', '_', 'zoe ann'])),
          ),
          weight: 5,
        },
        missing,
      );
    case 'token':
      return fc.oneof(
        { arbitrary: named(['', '', ':not'], oneOrTwo(tokens)), weight: 4 },
        { arbitrary: named([':text'], of(['an', 'Bo', 'b'])), weight: name === 'identifier' ? 0 : 1 },
        missing,
      );
    case 'code':
      return fc.oneof({ arbitrary: named(['', '', ':not'], oneOrTwo(of(values))), weight: 5 }, missing);
    case 'date':
      return fc.oneof(
        { arbitrary: named([''], prefixed([...DATES, ...TIMES, '2026-03-08T08:00Z'])), weight: 6 },
        missing,
      );
    case 'quantity':
      return fc.oneof({ arbitrary: named([''], prefixed(values)), weight: 6 }, missing);
    case 'reference':
      return fc.oneof(
        { arbitrary: named([''], oneOrTwo(of(values))), weight: 4 },
        { arbitrary: named([':identifier'], oneOrTwo(tokens)), weight: 1 },
        missing,
      );
    default:
      return kind satisfies never;
  }
}

const own = (type: string): fc.Arbitrary<Criterion> => of(PARAMETERS[type] ?? []).chain(plain);
const prefixName = (prefix: string, arbitrary: fc.Arbitrary<Criterion>): fc.Arbitrary<Criterion> =>
  arbitrary.map(({ name, value }) => ({ name: prefix + name, value }));

const CHAINS: Readonly<Record<string, readonly fc.Arbitrary<Criterion>[]>> = {
  Patient: [
    prefixName('_has:Appointment:patient:', own('Appointment')),
    prefixName('_has:Encounter:patient:', own('Encounter')),
    prefixName('_has:Encounter:subject:', own('Encounter')),
    prefixName('_has:Invoice:subject:', own('Invoice')),
  ],
  Appointment: [
    prefixName('patient.', own('Patient')),
    prefixName('actor:Patient.', own('Patient')),
    prefixName('patient._has:Encounter:patient:', own('Encounter')),
  ],
  Encounter: [prefixName('subject:Patient.', own('Patient')), prefixName('patient.', own('Patient'))],
  Slot: [own('Slot')],
  Invoice: [
    prefixName('subject:Patient.', own('Patient')),
    prefixName('subject:Patient._has:Appointment:actor:', own('Appointment')),
  ],
};

const SORTS: Readonly<Record<string, readonly string[]>> = {
  Patient: ['name', 'birthdate', 'gender', 'identifier', '_lastUpdated', 'general-practitioner', 'active', '_tag'],
  Appointment: ['date', 'status', 'part-status', 'patient', 'service-type'],
  Encounter: ['date', 'length', 'class', 'subject', 'location-period'],
  Slot: ['start', 'end', 'status', 'schedule'],
  Invoice: ['date', 'totalgross'],
};
const DEFAULT_SORT: Readonly<Record<string, readonly string[]>> = { Appointment: ['date'], Slot: ['start'] };

const search = of(Object.keys(PARAMETERS)).chain((type) =>
  fc.record({
    type: fc.constant(type),
    criteria: fc.array(
      fc.oneof(
        { arbitrary: own(type), weight: 4 },
        ...(CHAINS[type] ?? []).map((arbitrary) => ({ arbitrary, weight: 1 })),
      ),
      { maxLength: 3 },
    ),
    sort: fc
      .array(
        fc.tuple(of(['', '-']), of(SORTS[type] ?? [])).map(([sign, key]) => sign + key),
        { maxLength: 2 },
      )
      .map((keys) => keys.filter((k, i) => keys.findIndex((o) => o.replace(/^-/, '') === k.replace(/^-/, '')) === i)),
    count: of([3, 7, 1000]),
  }),
);

const [resources = []] = fc.sample(world, 1);
let server: SearchServer;
let hidden: SearchServer;
beforeAll(async () => {
  server = await openSearch();
  hidden = await openSearch({}, { hidden: Object.keys(PARAMETERS) });
  await Promise.all([server, hidden].map((s) => s.put(...resources)));
});
afterAll(() => Promise.all([server, hidden].map((s) => s.close())));

test.each([
  ['as declared', () => server],
  ['with no parameter in the plain', () => hidden],
])('searches find what the specification says, in order, over all pages: %s', async (_title, serverOf) => {
  let found = 0;
  await fc.assert(
    fc.asyncProperty(search, async ({ type, criteria, sort, count }) => {
      const expected = sorted(
        resources.filter(
          (r) => r.resourceType === type && criteria.every(({ name, value }) => meets(r, name, value, resources, NOW)),
        ),
        sort.length > 0 ? sort : (DEFAULT_SORT[type] ?? []),
      );
      const query = [
        ...criteria.map(({ name, value }) => `${name}=${encodeURIComponent(value)}`),
        ...(sort.length > 0 ? [`_sort=${sort.join(',')}`] : []),
        `_count=${count}`,
        '_total=accurate',
      ].join('&');
      const met: string[] = [];
      for (let next: string | undefined = `${type}?${query}`; next !== undefined;) {
        const page = await serverOf().ask(next, { strict: true });
        expect(page.bundle.total).toBe(expected.length);
        met.push(...page.matches.map((m) => m.slice(m.indexOf('/') + 1)));
        next = page.next;
      }
      expect(met).toEqual(expected);
      if (met.length > 0) found++;
    }),
    { numRuns: Number(process.env['ORACLE_RUNS'] ?? 500) },
  );
  // Most searches should find something, or the comparison says little.
  expect(found).toBeGreaterThan(150);
});

test('the re-check on resources alone comes to the same result', () => {
  const meaning = meaningOf(server.engine, NOW);
  const criterion = of(Object.keys(PARAMETERS)).chain((type) => own(type).map((c) => ({ type, ...c })));
  fc.assert(
    fc.property(criterion, ({ type, name, value }) => {
      const parsed = parseSearch(server.engine, meaning, [type], parseQuery(`${name}=${encodeURIComponent(value)}`), {
        strict: true,
        typeFilter: false,
      });
      const conditions = (parsed.types[0]?.conditions ?? []).filter((c): c is ParamCondition => c.kind === 'param');
      for (const resource of resources.filter((r) => r.resourceType === type)) {
        expect(meetsAll(meaning, conditions, resource), resource.id).toBe(meets(resource, name, value, resources, NOW));
      }
    }),
    { numRuns: 2000 },
  );
});
