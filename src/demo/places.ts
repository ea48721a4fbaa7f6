/** The demo clinic's organizations, sites, services and prices. */
import type {
  ChargeItemDefinition,
  Endpoint,
  Extension,
  HealthcareService,
  Location,
  Organization,
} from '@medplum/fhirtypes';
import { HOLIDAY, PARAMETERS } from '../scheduling/urls.ts';
import { CHICAGO, NEW_YORK, type Town } from './names.ts';
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
  /** Minutes from one start to the next that may be. */
  readonly interval: number;
  /** Minutes that stay free after a visit. */
  readonly after: number;
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
  readonly minutes: number;
  readonly price: number;
  readonly patients: Offer['patients'];
  readonly referred: boolean;
  readonly category: Pair;
  readonly type: Pair;
  readonly specialty: Pair;
  readonly reasons: Offer['reasons'];
  /** How it is booked, besides its length. */
  readonly rules?: readonly Extension[];
}

const length = (url: string, value: number, unit: 'min' | 'h' | 'd' = 'min'): Extension => ({
  url,
  valueDuration: { value, unit, system: 'http://unitsofmeasure.org', code: unit },
});
const notice = (value: number, unit: 'h' | 'd'): Extension => ({
  url: 'minimumNotice',
  extension: [{ url: 'channel', valueCode: 'patient' }, length('notice', value, unit)],
});
const cap = (of: string, per: string, limit: number): Extension => ({
  url: 'cap',
  extension: [
    { url: 'of', valueCode: of },
    { url: 'per', valueCode: per },
    { url: 'limit', valuePositiveInt: limit },
  ],
});

const OFFERS: readonly OfferRow[] = [
  {
    key: 'family',
    rules: [notice(2, 'h'), length('lateCancel', 4, 'h'), cap('patient', 'day', 1)],
    name: 'Family medicine visit',
    minutes: 20,
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
    rules: [notice(1, 'h'), length('cancelNotice', 1, 'h')],
    name: 'Child and adolescent visit',
    minutes: 30,
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
    rules: [notice(1, 'd'), length('lateCancel', 1, 'd'), { url: 'mode', valueCode: 'pending' }],
    name: 'Cardiology consultation',
    minutes: 30,
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
    rules: [notice(4, 'h'), length('bufferAfter', 10), length('interval', 10)],
    name: 'Dermatology consultation',
    minutes: 20,
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
    rules: [notice(2, 'h'), length('selfCheckIn', 30)],
    name: "Women's health visit",
    minutes: 30,
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
    rules: [notice(4, 'h'), length('noShowAfter', 24, 'h')],
    name: 'Orthopedic consultation',
    minutes: 30,
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
    rules: [{ url: 'channel', valueCode: 'staff' }, cap('new-patient', 'week', 3)],
    name: 'Psychiatry session',
    minutes: 60,
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
    rules: [notice(2, 'h'), length('interval', 15)],
    name: 'Physiotherapy session',
    minutes: 45,
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

const SITES: readonly {
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
  },
  {
    key: 'brooklyn',
    name: 'Kairos Clinic Brooklyn',
    line: '88 Linden Boulevard',
    zone: 'America/New_York',
    town: NEW_YORK[1] ?? NEW_YORK[0],
    towns: NEW_YORK,
    position: [-73.9902, 40.6933],
  },
  {
    key: 'chicago',
    name: 'Kairos Clinic Chicago',
    line: '1200 North Harbor Road',
    zone: 'America/Chicago',
    town: CHICAGO[0],
    towns: CHICAGO,
    position: [-87.6278, 41.8827],
  },
];

const DEPARTMENTS: readonly (readonly [key: string, name: string, offers: readonly string[]])[] = [
  ['primary-care', 'Department of Primary Care', ['family', 'pediatrics', 'gynecology']],
  ['specialty', 'Department of Specialty Medicine', ['cardiology', 'dermatology', 'psychiatry']],
  ['motion', 'Department of Orthopedics and Rehabilitation', ['orthopedics', 'physiotherapy']],
];

/** Days on which every site is closed. */
const HOLIDAYS: readonly (readonly [date: string, name: string])[] = [
  ['2026-01-01', "New Year's Day"],
  ['2026-07-04', 'Independence Day'],
  ['2026-12-25', 'Christmas Day'],
];

const holiday = ([valueDate, valueString]: (typeof HOLIDAYS)[number]): Extension => ({
  url: HOLIDAY,
  extension: [
    { url: 'date', valueDate },
    { url: 'name', valueString },
    { url: 'yearly', valueBoolean: true },
  ],
});

const organizationType = (code: string, display: string) => [hl7('organization-type', code, display)];

function siteOf(prefix: string, clinic: Organization, row: (typeof SITES)[number], n: number): Site {
  const location: Location = {
    resourceType: 'Location',
    id: `${prefix}-site-${row.key}`,
    meta: meta('location'),
    extension: [{ url: TIMEZONE_EXTENSION, valueCode: row.zone }, ...HOLIDAYS.map(holiday)],
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
    extension: [{ url: PARAMETERS, extension: [length('duration', row.minutes), ...(row.rules ?? [])] }],
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
    title: `${row.name}, ${row.minutes} minutes`,
    status: 'active',
    code: concept('https://kairos.example/fhir/CodeSystem/charge', row.key, row.name),
    propertyGroup: [{ priceComponent: [{ type: 'base', amount: dollars(row.price) }] }],
  };
  const { key, minutes, price, patients, referred, reasons } = row;
  const said = (url: string): number | undefined => row.rules?.find((e) => e.url === url)?.valueDuration?.value;
  const interval = said('interval') ?? minutes;
  const after = said('bufferAfter') ?? 0;
  return { key, service, definition, minutes, interval, after, price, patients, referred, reasons };
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
