/** A small clinic that the tests of single rules search in. */
import type {
  Appointment,
  Encounter,
  Invoice,
  Location,
  Organization,
  Patient,
  Practitioner,
  PractitionerRole,
  Resource,
  Schedule,
  Slot,
} from '@medplum/fhirtypes';
import { BASE } from './support.ts';

export const MRN = 'http://hospital.example/mrn';
export const SNOMED = 'http://snomed.info/sct';

const patients: Patient[] = [
  {
    resourceType: 'Patient',
    id: 'anna',
    active: true,
    gender: 'female',
    birthDate: '1980-02-03',
    identifier: [
      {
        system: MRN,
        value: 'A-1',
        type: {
          coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v2-0203', code: 'MR' }],
          text: 'Medical record',
        },
      },
      { value: 'loose' },
    ],
    name: [
      { family: 'Müller', given: ['Anna', 'Lena'], text: 'Anna Müller' },
      { use: 'maiden', family: 'O’Brien_50%' },
    ],
    telecom: [
      { system: 'phone', value: '(03) 5555-6473' },
      { system: 'email', value: 'Anna@Example.org' },
    ],
    address: [
      { line: ['1 High Street'], city: 'Boston', state: 'MA', postalCode: '02134', country: 'US', use: 'home' },
    ],
    generalPractitioner: [{ reference: 'Practitioner/house' }],
    managingOrganization: { reference: `${BASE}/Organization/north` },
    maritalStatus: { text: 'married' },
    communication: [{ language: { coding: [{ system: 'urn:ietf:bcp:47', code: 'de-CH' }], text: 'Swiss German' } }],
  },
  {
    resourceType: 'Patient',
    id: 'bert',
    active: false,
    gender: 'male',
    birthDate: '1980-02',
    deceasedDateTime: '2020-05-06',
    identifier: [{ system: MRN, value: 'a-1' }],
    name: [{ family: 'Smith', given: ['Bert'] }],
    generalPractitioner: [{ reference: 'Practitioner/wilson' }],
    managingOrganization: { reference: 'Organization/south/_history/3' },
    meta: {
      tag: [{ system: 'http://tags.example', code: 'vip' }],
      profile: ['http://profiles.example/p|1.0'],
      source: 'http://source.example/a',
      lastUpdated: '2026-01-02T03:04:05.678Z',
    },
  },
  {
    resourceType: 'Patient',
    id: 'cleo',
    deceasedBoolean: false,
    name: [{ text: 'Cleopatra' }],
    managingOrganization: { identifier: { system: 'http://orgs.example', value: 'o1' }, display: 'Somewhere' },
    link: [{ type: 'seealso', other: { reference: 'Patient/anna' } }],
    meta: {
      security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-Confidentiality', code: 'R' }],
      lastUpdated: '2026-03-01T00:00:00Z',
    },
  },
  { resourceType: 'Patient', id: 'dora', deceasedBoolean: true, birthDate: '1975', gender: 'unknown' },
];

const organizations: Organization[] = [
  { resourceType: 'Organization', id: 'north', name: 'North Clinic', alias: ['Polaris'], active: true },
  { resourceType: 'Organization', id: 'south', name: 'South Clinic', partOf: { reference: 'Organization/north' } },
];

const practitioners: Practitioner[] = [
  {
    resourceType: 'Practitioner',
    id: 'house',
    identifier: [{ system: 'http://npi.example', value: '1' }],
    name: [{ family: 'House', given: ['Gregory'] }],
  },
  { resourceType: 'Practitioner', id: 'wilson', name: [{ family: 'Wilson' }] },
];

const roles: PractitionerRole[] = [
  {
    resourceType: 'PractitionerRole',
    id: 'house-north',
    practitioner: { reference: 'Practitioner/house' },
    organization: { reference: 'Organization/north' },
    specialty: [{ coding: [{ system: SNOMED, code: '394802001', display: 'General medicine' }], text: 'Diagnostics' }],
  },
];

const locations: Location[] = [
  {
    resourceType: 'Location',
    id: 'boston',
    name: 'Boston',
    status: 'active',
    position: { latitude: 42.36, longitude: -71.06 },
    managingOrganization: { reference: 'Organization/north' },
  },
  {
    resourceType: 'Location',
    id: 'cambridge',
    name: 'Cambridge',
    status: 'active',
    position: { latitude: 42.37, longitude: -71.11 },
    partOf: { reference: 'Location/boston' },
  },
  { resourceType: 'Location', id: 'fiji', name: 'Fiji', position: { latitude: -17.7, longitude: 179.9 } },
  { resourceType: 'Location', id: 'nowhere', name: 'Nowhere' },
];

const schedules: Schedule[] = [
  {
    resourceType: 'Schedule',
    id: 's1',
    active: true,
    actor: [{ reference: 'Practitioner/house' }, { reference: 'Location/boston' }],
    planningHorizon: { start: '2026-11-01', end: '2026-11-30' },
  },
  {
    resourceType: 'Schedule',
    id: 's2',
    actor: [{ reference: 'Practitioner/wilson' }],
    planningHorizon: { start: '2026-12-01' },
  },
];

const slots: Slot[] = [
  {
    resourceType: 'Slot',
    id: 'slot1',
    schedule: { reference: 'Schedule/s1' },
    status: 'free',
    start: '2026-11-23T09:00:00+01:00',
    end: '2026-11-23T09:30:00+01:00',
  },
  {
    resourceType: 'Slot',
    id: 'slot2',
    schedule: { reference: 'Schedule/s1' },
    status: 'busy',
    start: '2026-11-23T09:30:00+01:00',
    end: '2026-11-23T10:00:00+01:00',
  },
  {
    resourceType: 'Slot',
    id: 'slot3',
    schedule: { reference: 'Schedule/s2' },
    status: 'free',
    start: '2026-12-01T08:00:00Z',
    end: '2026-12-01T08:30:00Z',
    serviceType: [{ coding: [{ system: SNOMED, code: '11429006' }] }],
  },
];

const appointments: Appointment[] = [
  {
    resourceType: 'Appointment',
    id: 'ap1',
    status: 'booked',
    start: '2026-11-23T08:00:00Z',
    end: '2026-11-23T08:30:00Z',
    slot: [{ reference: 'Slot/slot1' }],
    participant: [
      { actor: { reference: 'Patient/anna' }, status: 'accepted' },
      { actor: { reference: 'Practitioner/house' }, status: 'accepted' },
      { actor: { reference: 'Location/boston' }, status: 'accepted' },
    ],
    appointmentType: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v2-0276', code: 'ROUTINE' }] },
  },
  {
    resourceType: 'Appointment',
    id: 'ap2',
    status: 'proposed',
    participant: [
      { actor: { reference: 'Patient/bert' }, status: 'needs-action' },
      {
        actor: { identifier: { system: 'http://npi.example', value: '9' }, type: 'Practitioner' },
        status: 'tentative',
      },
    ],
  },
];

const encounters: Encounter[] = [
  {
    resourceType: 'Encounter',
    id: 'e1',
    status: 'finished',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'IMP' },
    subject: { reference: 'Patient/anna' },
    period: { start: '2026-11-20T10:00:00Z', end: '2026-11-21T10:00:00Z' },
    length: { value: 1, unit: 'day', system: 'http://unitsofmeasure.org', code: 'd' },
    location: [
      {
        location: { reference: 'Location/cambridge' },
        period: { start: '2026-11-20T10:00:00Z', end: '2026-11-20T12:00:00Z' },
      },
    ],
  },
  {
    resourceType: 'Encounter',
    id: 'e2',
    status: 'in-progress',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
    subject: { reference: 'Patient/bert' },
    period: { start: '2026-11-22' },
    length: { value: 24.0, unit: 'h', system: 'http://unitsofmeasure.org', code: 'h' },
    partOf: { reference: 'Encounter/e1' },
  },
  { resourceType: 'Encounter', id: 'e3', status: 'planned', class: { code: 'AMB' }, subject: { reference: 'Group/g' } },
];

const invoices: Invoice[] = [
  {
    resourceType: 'Invoice',
    id: 'i1',
    status: 'issued',
    totalGross: { value: 100.5, currency: 'USD' },
    subject: { reference: 'Patient/anna' },
  },
  {
    resourceType: 'Invoice',
    id: 'i2',
    status: 'draft',
    totalGross: { value: 100.45, currency: 'EUR' },
    date: '2026-11-01',
  },
];

const others: Resource[] = [
  {
    resourceType: 'Provenance',
    id: 'pr1',
    recorded: '2026-11-01T00:00:00Z',
    target: [{ reference: 'Patient/anna' }],
    agent: [{ who: { reference: 'Practitioner/house' } }],
  },
  {
    resourceType: 'ChargeItemDefinition',
    id: 'cid',
    url: 'http://kairos.example/charges/visit',
    status: 'active',
    useContext: [
      {
        code: { system: 'http://uc.example', code: 'age' },
        valueQuantity: { value: 18, system: 'http://unitsofmeasure.org', code: 'a' },
      },
      {
        code: { system: 'http://uc.example', code: 'gender' },
        valueCodeableConcept: { coding: [{ system: 'http://hl7.org/fhir/administrative-gender', code: 'female' }] },
      },
      {
        code: { system: 'http://uc.example', code: 'range' },
        valueRange: { low: { value: 5, code: 'a' }, high: { value: 10, code: 'a' } },
      },
    ],
  },
  {
    resourceType: 'ChargeItem',
    id: 'ci',
    status: 'billable',
    code: { text: 'visit' },
    subject: { reference: 'Patient/anna' },
    factorOverride: 0.8,
    occurrenceTiming: { event: ['2026-11-01', '2026-11-05'] },
  },
  {
    resourceType: 'Group',
    id: 'g',
    type: 'person',
    actual: true,
    member: [{ entity: { reference: 'Patient/anna' } }],
    characteristic: [
      { code: { coding: [{ system: 'http://c.example', code: 'c1' }] }, valueBoolean: true, exclude: false },
      {
        code: { coding: [{ system: 'http://c.example', code: 'c2' }] },
        valueCodeableConcept: { coding: [{ code: 'v2' }] },
        exclude: true,
      },
    ],
  },
];

export const clinic: Resource[] = [
  ...patients,
  ...organizations,
  ...practitioners,
  ...roles,
  ...locations,
  ...schedules,
  ...slots,
  ...appointments,
  ...encounters,
  ...invoices,
  ...others,
];
