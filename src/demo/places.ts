/** The demo clinic's organizations, sites, services and prices. */
import type { ChargeItemDefinition, Endpoint, HealthcareService, Location, Organization } from '@medplum/fhirtypes';
import { CHICAGO, NEW_YORK, type Town } from './names.ts';
import { holidaysOf, parametersOf, type Booking, type Holiday } from './rules.ts';
import { TIMEZONE_EXTENSION, concept, dollars, hl7, identifier, meta, phone, reference, snomed } from './terms.ts';

/** A place where patients are seen. */
export interface Site {
  readonly location: Location;
  readonly zone: string;
  readonly towns: readonly [Town, ...Town[]];
}

/** What can be booked: a service with its length and its price. */
export interface Offer {
  readonly key: string;
  readonly service: HealthcareService;
  readonly definition: ChargeItemDefinition;
  readonly minutes: number;
  readonly price: number;
  /** Who is seen: children, adults, or women only. */
  readonly patients: 'children' | 'adults' | 'women';
  /** Comes with a referral. */
  readonly referred: boolean;
  readonly reasons: readonly [Reason, ...Reason[]];
}

type Reason = readonly [snomed: string, display: string];
type Pair = readonly [code: string, display: string];

interface OfferRow {
  readonly key: string;
  readonly name: string;
  readonly booking: Booking;
  readonly price: number;
  readonly patients: Offer['patients'];
  readonly referred: boolean;
  readonly category: Pair;
  readonly type: Pair;
  readonly specialty: Pair;
  readonly reasons: Offer['reasons'];
}

const OFFERS: readonly OfferRow[] = [
  {
    key: 'family',
    name: 'Family medicine visit',
    booking: {
      duration: 20,
      cap: { of: 'patient', per: 'day', limit: 1 },
      cancelNotice: [2, 'h'],
      selfCheckIn: 30,
      noShowAfter: 60,
    },
    price: 140,
    patients: 'adults',
    referred: false,
    category: ['17', 'General Practice'],
    type: ['124', 'General Practice'],
    specialty: ['394814009', 'General practice'],
    reasons: [
      ['38341003', 'High blood pressure'],
      ['44054006', 'Type 2 diabetes'],
      ['25064002', 'Headache'],
      ['386661006', 'Fever'],
      ['84229001', 'Fatigue'],
    ],
  },
  {
    key: 'pediatrics',
    name: 'Child and adolescent visit',
    booking: { duration: 30, selfCheckIn: 30, noShowAfter: 60 },
    price: 155,
    patients: 'children',
    referred: false,
    category: ['29', 'Specialist Paediatric'],
    type: ['200', 'Paediatric Medicine'],
    specialty: ['394537008', 'Pediatric specialty'],
    reasons: [
      ['410620009', 'Well child visit'],
      ['65363002', 'Otitis media'],
      ['195967001', 'Asthma'],
      ['386661006', 'Fever'],
    ],
  },
  {
    key: 'cardiology',
    name: 'Cardiology consultation',
    booking: { duration: 30, mode: 'pending', notice: { channel: 'patient', value: 1, unit: 'd' } },
    price: 290,
    patients: 'adults',
    referred: true,
    category: ['27', 'Specialist Medical'],
    type: ['165', 'Cardiology'],
    specialty: ['394579002', 'Cardiology'],
    reasons: [
      ['29857009', 'Chest pain'],
      ['80313002', 'Palpitations'],
      ['49436004', 'Atrial fibrillation'],
      ['38341003', 'High blood pressure'],
    ],
  },
  {
    key: 'dermatology',
    name: 'Dermatology consultation',
    booking: { duration: 20, interval: 30, bufferAfter: 10 },
    price: 210,
    patients: 'adults',
    referred: true,
    category: ['27', 'Specialist Medical'],
    type: ['168', 'Dermatology'],
    specialty: ['394582007', 'Dermatology'],
    reasons: [
      ['43116000', 'Eczema'],
      ['9014002', 'Psoriasis'],
      ['271807003', 'Rash'],
      ['400010006', 'Mole check'],
    ],
  },
  {
    key: 'gynecology',
    name: "Women's health visit",
    booking: { duration: 30, cancelNotice: [1, 'd'], lateCancel: [2, 'd'] },
    price: 230,
    patients: 'women',
    referred: false,
    category: ['28', 'Specialist Obstetrics & Gynecology'],
    type: ['186', 'Obstetrics & Gynaecology'],
    specialty: ['394585009', 'Obstetrics and gynecology'],
    reasons: [
      ['72892002', 'Pregnancy follow-up'],
      ['20110002', 'Contraception counseling'],
      ['171149006', 'Cervical cancer screening'],
    ],
  },
  {
    key: 'orthopedics',
    name: 'Orthopedic consultation',
    booking: { duration: 30, cap: { of: 'provider', per: 'day', limit: 12 }, noShowAfter: 30 },
    price: 265,
    patients: 'adults',
    referred: true,
    category: ['31', 'Specialist Surgical'],
    type: ['218', 'Orthopaedic Surgery'],
    specialty: ['394801008', 'Trauma and orthopedics'],
    reasons: [
      ['57676002', 'Joint pain'],
      ['161891005', 'Back pain'],
      ['239873007', 'Osteoarthritis of knee'],
      ['44465007', 'Sprained ankle'],
    ],
  },
  {
    key: 'psychiatry',
    name: 'Psychiatry session',
    booking: { duration: 50, interval: 60, bufferAfter: 10, staffOnly: true, noFrontDesk: true },
    price: 320,
    patients: 'adults',
    referred: true,
    category: ['22', 'Mental Health'],
    type: ['141', 'Psychiatry (Requires Referral)'],
    specialty: ['394587001', 'Psychiatry'],
    reasons: [
      ['35489007', 'Depression'],
      ['48694002', 'Anxiety'],
      ['193462001', 'Insomnia'],
    ],
  },
  {
    key: 'physiotherapy',
    name: 'Physiotherapy session',
    booking: { duration: 45, horizonDays: 45 },
    price: 110,
    patients: 'adults',
    referred: true,
    category: ['34', 'Allied Health'],
    type: ['65', 'Physiotherapy'],
    specialty: ['722138006', 'Physiotherapy'],
    reasons: [
      ['161891005', 'Back pain'],
      ['45326000', 'Shoulder pain'],
      ['72696002', 'Knee rehabilitation'],
    ],
  },
  {
    key: 'back-class',
    name: 'Back class',
    booking: { duration: 60, capacity: 8, notice: { channel: 'patient', value: 12, unit: 'h' } },
    price: 35,
    patients: 'adults',
    referred: false,
    category: ['34', 'Allied Health'],
    type: ['65', 'Physiotherapy'],
    specialty: ['722138006', 'Physiotherapy'],
    reasons: [['161891005', 'Back pain']],
  },
];

export interface Places {
  readonly clinic: Organization;
  readonly departments: readonly Organization[];
  readonly payers: readonly [Organization, ...Organization[]];
  readonly endpoints: readonly Endpoint[];
  readonly sites: readonly [Site, ...Site[]];
  readonly offers: readonly Offer[];
  /** Department of an offer, by the offer's key. */
  department(key: string): Organization;
}

const PAYERS: readonly (readonly [key: string, name: string])[] = [
  ['northstar', 'Northstar Mutual Health (fictional)'],
  ['lakeshore', 'Lakeshore Family Health Plan (fictional)'],
  ['civic', 'Civic Care Public Program (fictional)'],
  ['evergreen', 'Evergreen Employers’ Health Fund (fictional)'],
];

const yearly = (day: string, name: string): Holiday => ({ date: `2026-${day}`, name, yearly: true });
const HOLIDAYS: readonly Holiday[] = [
  yearly('01-01', "New Year's Day"),
  yearly('07-04', 'Independence Day'),
  yearly('12-25', 'Christmas Day'),
  { date: '2026-11-26', name: 'Thanksgiving Day', yearly: false },
  { date: '2027-05-31', name: 'Memorial Day', yearly: false },
  { date: '2027-09-06', name: 'Labor Day', yearly: false },
  { date: '2027-11-25', name: 'Thanksgiving Day', yearly: false },
];

const SITES: readonly {
  readonly holidays: readonly Holiday[];
  readonly key: string;
  readonly name: string;
  readonly line: string;
  readonly zone: string;
  readonly town: Town;
  readonly towns: Site['towns'];
  readonly position: readonly [longitude: number, latitude: number];
}[] = [
  {
    key: 'midtown',
    name: 'Kairos Clinic Midtown',
    line: '415 Sycamore Avenue',
    zone: 'America/New_York',
    town: NEW_YORK[0],
    towns: NEW_YORK,
    position: [-73.9851, 40.7549],
    holidays: HOLIDAYS,
  },
  {
    key: 'brooklyn',
    name: 'Kairos Clinic Brooklyn',
    line: '88 Linden Boulevard',
    zone: 'America/New_York',
    town: NEW_YORK[1] ?? NEW_YORK[0],
    towns: NEW_YORK,
    position: [-73.9902, 40.6933],
    holidays: HOLIDAYS,
  },
  {
    key: 'chicago',
    name: 'Kairos Clinic Chicago',
    line: '1200 North Harbor Road',
    zone: 'America/Chicago',
    town: CHICAGO[0],
    towns: CHICAGO,
    position: [-87.6278, 41.8827],
    holidays: [...HOLIDAYS, yearly('02-12', "Lincoln's Birthday")],
  },
];

const DEPARTMENTS: readonly (readonly [key: string, name: string, offers: readonly string[]])[] = [
  ['primary-care', 'Department of Primary Care', ['family', 'pediatrics', 'gynecology']],
  ['specialty', 'Department of Specialty Medicine', ['cardiology', 'dermatology', 'psychiatry']],
  ['motion', 'Department of Orthopedics and Rehabilitation', ['orthopedics', 'physiotherapy', 'back-class']],
];

const organizationType = (code: string, display: string) => [hl7('organization-type', code, display)];

function siteOf(prefix: string, clinic: Organization, row: (typeof SITES)[number], n: number): Site {
  const location: Location = {
    resourceType: 'Location',
    id: `${prefix}-site-${row.key}`,
    meta: meta('location'),
    extension: [{ url: TIMEZONE_EXTENSION, valueCode: row.zone }, ...holidaysOf(row.holidays)],
    identifier: [identifier('site', row.key.toUpperCase())],
    status: 'active',
    name: row.name,
    mode: 'instance',
    type: [hl7('v3-RoleCode', 'OF', 'Outpatient facility')],
    telecom: [phone(row.town.areaCode, n, 'work')],
    address: {
      use: 'work',
      line: [row.line],
      city: row.town.city,
      state: row.town.state,
      postalCode: row.town.postalCodes[0],
      country: 'US',
    },
    physicalType: hl7('location-physical-type', 'si', 'Site'),
    position: { longitude: row.position[0], latitude: row.position[1] },
    managingOrganization: reference(clinic),
    hoursOfOperation: [
      { daysOfWeek: ['mon', 'tue', 'wed', 'thu', 'fri'], openingTime: '08:00:00', closingTime: '18:00:00' },
    ],
  };
  return { location, zone: row.zone, towns: row.towns };
}

function offerOf(prefix: string, department: Organization, sites: readonly Site[], row: OfferRow): Offer {
  const service: HealthcareService = {
    resourceType: 'HealthcareService',
    id: `${prefix}-service-${row.key}`,
    meta: meta(),
    extension: [parametersOf(row.booking)],
    identifier: [identifier('service', row.key)],
    active: true,
    providedBy: reference(department, department.name),
    category: [hl7('service-category', ...row.category)],
    type: [hl7('service-type', ...row.type)],
    specialty: [snomed(...row.specialty)],
    location: sites.map((s) => reference(s.location, s.location.name)),
    name: row.name,
    serviceProvisionCode: [hl7('service-provision-conditions', 'cost', 'Fees apply')],
    appointmentRequired: true,
    availableTime: [
      { daysOfWeek: ['mon', 'tue', 'wed', 'thu', 'fri'], availableStartTime: '08:00:00', availableEndTime: '18:00:00' },
    ],
  };
  const definition: ChargeItemDefinition = {
    resourceType: 'ChargeItemDefinition',
    id: `${prefix}-charge-${row.key}`,
    meta: meta(),
    url: `https://kairos.example/fhir/ChargeItemDefinition/${prefix}-${row.key}`,
    version: '1',
    title: `${row.name}, ${row.booking.duration} minutes`,
    status: 'active',
    code: concept('https://kairos.example/fhir/CodeSystem/charge', row.key, row.name),
    propertyGroup: [{ priceComponent: [{ type: 'base', amount: dollars(row.price) }] }],
  };
  const { key, price, patients, referred, reasons } = row;
  return { key, service, definition, minutes: row.booking.duration, price, patients, referred, reasons };
}

/** @param prefix start of every id */
export function makePlaces(prefix: string): Places {
  const endpoint: Endpoint = {
    resourceType: 'Endpoint',
    id: `${prefix}-endpoint-fhir`,
    meta: meta(),
    status: 'active',
    connectionType: {
      system: 'http://terminology.hl7.org/CodeSystem/endpoint-connection-type',
      code: 'hl7-fhir-rest',
      display: 'HL7 FHIR',
    },
    name: 'Kairos Clinic FHIR R4',
    payloadType: [hl7('endpoint-payload-type', 'any', 'Any')],
    payloadMimeType: ['application/fhir+json'],
    address: 'https://clinic.kairos.example/fhir/R4',
  };
  const clinic: Organization = {
    resourceType: 'Organization',
    id: `${prefix}-clinic`,
    meta: meta('organization'),
    identifier: [identifier('organization', 'KAIROS')],
    active: true,
    type: organizationType('prov', 'Healthcare Provider'),
    name: 'Kairos Clinic (demo)',
    alias: ['Kairos'],
    telecom: [phone('212', 0, 'work'), { system: 'email', value: 'office@clinic.example.com', use: 'work' }],
    address: [
      { use: 'work', line: ['415 Sycamore Avenue'], city: 'New York', state: 'NY', postalCode: '10001', country: 'US' },
    ],
    endpoint: [reference(endpoint)],
  };
  const [first = fail(), ...rest] = SITES.map((row, i) => siteOf(prefix, clinic, row, i + 1));
  const sites: Places['sites'] = [first, ...rest];
  const departments = DEPARTMENTS.map(([key, name]): Organization => ({
    resourceType: 'Organization',
    id: `${prefix}-dept-${key}`,
    meta: meta('organization'),
    active: true,
    type: organizationType('dept', 'Hospital Department'),
    name,
    partOf: reference(clinic, clinic.name),
  }));
  const department = (key: string): Organization =>
    departments[DEPARTMENTS.findIndex(([, , offers]) => offers.includes(key))] ?? clinic;
  const [payer = fail(), ...payers] = PAYERS.map(([key, name], i): Organization => ({
    resourceType: 'Organization',
    id: `${prefix}-payer-${key}`,
    meta: meta('organization'),
    identifier: [identifier('payer', key.toUpperCase())],
    active: true,
    type: organizationType('pay', 'Payer'),
    name,
    telecom: [phone('800', 20 + i, 'work')],
  }));
  return {
    clinic,
    departments,
    payers: [payer, ...payers],
    endpoints: [endpoint],
    sites,
    offers: OFFERS.map((row) => offerOf(prefix, department(row.key), sites, row)),
    department,
  };
}

function fail(): never {
  throw new Error('an empty table in the demo clinic');
}
