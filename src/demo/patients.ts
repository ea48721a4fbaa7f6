/** The demo clinic's patients, those who care for them, and who pays for them. */
import type { Coverage, Patient, RelatedPerson } from '@medplum/fhirtypes';
import { CHICAGO, FAMILY, FEMALE, MALE, NEW_YORK, STREETS } from './names.ts';
import type { Places } from './places.ts';
import { seeded, type Random } from './random.ts';
import { ascii, hl7, identifier, meta, phone, reference, twoDigits } from './terms.ts';

/** A patient with what belongs to them. */
export interface Person {
  readonly key: string;
  readonly patient: Patient;
  readonly name: string;
  readonly child: boolean;
  readonly female: boolean;
  /** Lives near the site in Chicago, not near those in New York. */
  readonly chicago: boolean;
  readonly related: RelatedPerson | undefined;
  readonly coverage: Coverage;
}

/** Ages are counted to here, not to today, so that a birth date stays what it is. */
const AGES_IN_YEAR = 2026;
const CHILD_SHARE = 0.22;
const CHICAGO_SHARE = 0.35;
const COPAY_DOLLARS = 25;

const SPANISH = { coding: [{ system: 'urn:ietf:bcp:47', code: 'es', display: 'Spanish' }], text: 'Spanish' };
const ENGLISH = {
  coding: [{ system: 'urn:ietf:bcp:47', code: 'en-US', display: 'English (United States)' }],
  text: 'English',
};

function familyName(chance: Random): string {
  const one = chance.pick(FAMILY);
  return chance.chance(0.12) && !/[ -]/.test(one) ? `${one}-${chance.pick(FAMILY)}` : one;
}

function relatedTo(
  prefix: string,
  key: string,
  patient: Patient,
  family: string,
  child: boolean,
  chance: Random,
): RelatedPerson {
  const female = chance.chance(0.6);
  const given = chance.pick(female ? FEMALE : MALE);
  const relationship = child
    ? female
      ? hl7('v3-RoleCode', 'MTH', 'mother')
      : hl7('v3-RoleCode', 'FTH', 'father')
    : hl7('v3-RoleCode', 'SPS', 'spouse');
  return {
    resourceType: 'RelatedPerson',
    id: `${prefix}-related-${key}`,
    meta: meta('relatedperson'),
    active: true,
    patient: reference(patient),
    relationship: [relationship],
    name: [{ use: 'official', family, given: [given] }],
    telecom: patient.telecom?.slice(0, 1) ?? [],
    gender: female ? 'female' : 'male',
    address: patient.address ?? [],
  };
}

function coverageOf(
  prefix: string,
  key: string,
  patient: Patient,
  related: RelatedPerson | undefined,
  child: boolean,
  places: Places,
  chance: Random,
): Coverage {
  const selfPay = chance.chance(0.06);
  const payer = chance.pick(places.payers);
  const member = `M${chance.int(100_000_000, 999_999_999)}`;
  const shared = {
    resourceType: 'Coverage' as const,
    id: `${prefix}-coverage-${key}`,
    meta: meta('coverage'),
    status: 'active' as const,
    beneficiary: reference(patient),
    subscriberId: member,
  };
  if (selfPay) {
    return {
      ...shared,
      type: hl7('coverage-selfpay', 'pay', 'Pay'),
      relationship: hl7('subscriber-relationship', 'self', 'Self'),
      payor: [related && child ? reference(related) : reference(patient)],
    };
  }
  const memberType = {
    coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v2-0203', code: 'MB', display: 'Member Number' }],
  };
  return {
    ...shared,
    identifier: [identifier(`member/${payer.id ?? ''}`, member, memberType)],
    type: payer.name?.startsWith('Civic')
      ? hl7('v3-ActCode', 'PUBLICPOL', 'public healthcare')
      : hl7('v3-ActCode', 'EHCPOL', 'extended healthcare'),
    subscriber: related && child ? reference(related) : reference(patient),
    relationship: hl7('subscriber-relationship', child ? 'child' : 'self', child ? 'Child' : 'Self'),
    period: { start: '2026-01-01' },
    payor: [reference(payer, payer.name)],
    class: [
      { type: hl7('coverage-class', 'group', 'Group'), value: `G-${chance.int(1000, 9999)}`, name: 'Employee group' },
      {
        type: hl7('coverage-class', 'plan', 'Plan'),
        value: chance.pick(['BASIC', 'PLUS', 'COMPLETE']),
        name: 'Benefit plan',
      },
    ],
    costToBeneficiary: [
      {
        type: hl7('coverage-copay-type', 'gpvisit', 'GP Office Visit'),
        valueMoney: { value: COPAY_DOLLARS, currency: 'USD' },
      },
    ],
  };
}

/** @param n from 1 */
function makePerson(prefix: string, seed: number, n: number, places: Places): Person {
  const chance = seeded(seed, 'patient', n);
  const key = String(n).padStart(3, '0');
  const child = chance.chance(CHILD_SHARE);
  const female = chance.chance(0.52);
  const chicago = chance.chance(CHICAGO_SHARE);
  const given = chance.pick(female ? FEMALE : MALE);
  const middle = chance.chance(0.3) ? [chance.pick(female ? FEMALE : MALE)] : [];
  const family = familyName(chance);
  const born = AGES_IN_YEAR - (child ? chance.int(1, 15) : chance.int(18, 91));
  const town = chance.pick(chicago ? CHICAGO : NEW_YORK);
  const apartment = chance.chance(0.4) ? [`Apt ${chance.int(1, 30)}${chance.pick(['A', 'B', 'C', 'D'])}`] : [];
  const email = `${ascii(given)}.${ascii(family)}${n}@example.com`;
  const married = !child && chance.chance(0.5);
  const patient: Patient = {
    resourceType: 'Patient',
    id: `${prefix}-patient-${key}`,
    meta: meta('patient'),
    identifier: [identifier('mrn', `KC${String(n).padStart(6, '0')}`, hl7('v2-0203', 'MR', 'Medical record number'))],
    active: true,
    name: [
      { use: 'official', family, given: [given, ...middle] },
      ...(chance.chance(0.1) ? [{ use: 'nickname' as const, given: [given.slice(0, 3)] }] : []),
    ],
    telecom: [
      phone(town.areaCode, n, 'mobile'),
      ...(child ? [] : [{ system: 'email' as const, value: email, use: 'home' as const }]),
    ],
    gender: female ? 'female' : 'male',
    birthDate: `${born}-${twoDigits(chance.int(1, 12))}-${twoDigits(chance.int(1, 28))}`,
    address: [
      {
        use: 'home',
        type: 'both',
        line: [`${chance.int(2, 2400)} ${chance.pick(STREETS)}`, ...apartment],
        city: town.city,
        state: town.state,
        postalCode: chance.pick(town.postalCodes),
        country: 'US',
      },
    ],
    ...(child
      ? {}
      : {
          maritalStatus: married
            ? hl7('v3-MaritalStatus', 'M', 'Married')
            : hl7('v3-MaritalStatus', 'S', 'Never Married'),
        }),
    communication: [{ language: chance.chance(0.18) ? SPANISH : ENGLISH, preferred: true }],
    managingOrganization: reference(places.clinic, places.clinic.name),
  };
  const related =
    child || (married && chance.chance(0.4)) ? relatedTo(prefix, key, patient, family, child, chance) : undefined;
  const coverage = coverageOf(prefix, key, patient, related, child, places, chance);
  return { key, patient, name: `${given} ${family}`, child, female, chicago, related, coverage };
}

export const makePatients = (prefix: string, seed: number, count: number, places: Places): readonly Person[] =>
  Array.from({ length: count }, (_, i) => makePerson(prefix, seed, i + 1, places));
