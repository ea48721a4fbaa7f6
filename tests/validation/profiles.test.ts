/** Profiles: our shapes, in the name of US Core 7.0.0 or in our own. @see https://hl7.org/fhir/R4/profiling.html */
import { describe, expect, test } from 'vitest';
import { matchesPattern } from '../../src/fhir/validation/profile.ts';
import { validator } from '../support/definitions.ts';

const US = 'http://hl7.org/fhir/us/core/StructureDefinition/';
const OWN = 'https://kairos.example/fhir/StructureDefinition/';

const patient = (rest: object, profile: string = `${US}us-core-patient`): object => ({
  resourceType: 'Patient',
  meta: { profile: [profile] },
  identifier: [{ system: 'http://x.example/mrn', value: '1' }],
  name: [{ family: 'Shaw' }],
  gender: 'female',
  ...rest,
});
const found = (resource: unknown, profiles: readonly string[] = []): string[] =>
  validator.validate(resource, { profiles }).map((i) => `${i.severity} ${i.code} ${i.expression?.[0] ?? ''}`);

describe('which profile is meant', () => {
  const shapeless = { identifier: undefined, gender: undefined };
  const missing = ['error required Patient.identifier', 'error required Patient.gender'];
  test.each([`${US}us-core-patient`, `${US}us-core-patient|7.0.0`, `${OWN}patient`, `${OWN}patient|0.1.0`])(
    '%s in meta.profile',
    (profile) => {
      expect(found(patient({}, profile))).toEqual([]);
      expect(found(patient(shapeless, profile))).toEqual(missing);
    },
  );
  test('an unknown one, or an unknown version, in meta.profile is a warning', () => {
    for (const profile of ['http://x.example/profile', `${US}us-core-patient|3.1.1`]) {
      expect(found(patient(shapeless, profile))).toEqual(['warning not-supported Patient.meta.profile']);
    }
  });
  test('the definition of the type itself is always met', () => {
    expect(found(patient(shapeless, 'http://hl7.org/fhir/StructureDefinition/Patient'))).toEqual([]);
  });
  test('one that is asked for ($validate) is checked; an unknown one is an error', () => {
    expect(found(patient(shapeless, 'http://hl7.org/fhir/StructureDefinition/Patient'), [`${OWN}patient`])).toEqual(
      missing,
    );
    expect(found(patient({}), ['http://x.example/profile'])).toEqual(['error not-supported Patient.meta.profile']);
  });
  test('one of another type is an error', () => {
    expect(found(patient({}, `${US}us-core-location`))).toEqual(['error value Patient.meta.profile']);
  });
});

describe('Patient', () => {
  test('a name has a part, or says why not', () => {
    expect(found(patient({ name: [{ text: 'x' }] }))).toEqual(['error invariant Patient.name[0]']);
    const reason = {
      extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason', valueCode: 'unknown' }],
    };
    expect(found(patient({ name: [reason] }))).toEqual([]);
  });
  test('a telecom, where there is one, has system and value', () => {
    expect(found(patient({ telecom: [{ system: 'phone' }] }))).toEqual(['error required Patient.telecom[0].value']);
  });

  const race = (...parts: object[]): object => patient({ extension: [{ url: `${US}us-core-race`, extension: parts }] });
  const CDC = 'urn:oid:2.16.840.1.113883.6.238';
  const NULL_FLAVOR = 'http://terminology.hl7.org/CodeSystem/v3-NullFlavor';
  const category = (code: string, system: string = CDC): object => ({
    url: 'ombCategory',
    valueCoding: { system, code },
  });
  const text = { url: 'text', valueString: 'x' };
  test.each<[string, object, string[]]>([
    ['a category and a text', race(category('2106-3'), text), []],
    ['no text', race(category('2106-3')), ['error required Patient.extension[0].extension']],
    ['two texts', race(text, text), ['error structure Patient.extension[0].extension']],
    [
      'a category that is none',
      race(category('9999-9'), text),
      ['error code-invalid Patient.extension[0].extension[0].value'],
    ],
    [
      'a category that is text',
      race({ url: 'ombCategory', valueString: 'White' }, text),
      ['error value Patient.extension[0].extension[0].value'],
    ],
    ['unknown, alone', race(category('UNK', NULL_FLAVOR), text), []],
    [
      'unknown, and a category',
      race(category('UNK', NULL_FLAVOR), category('2106-3'), text),
      ['error invariant Patient.extension[0]'],
    ],
    ['another part', race({ url: 'other', valueString: 'x' }, text), []],
    [
      'a value of its own',
      patient({ extension: [{ url: `${US}us-core-race`, valueString: 'x' }] }),
      [
        'error required Patient.extension[0].extension',
        'error required Patient.extension[0].extension',
        'error structure Patient.extension[0].value',
      ],
    ],
    [
      'race twice',
      patient({ extension: [1, 2].map(() => ({ url: `${US}us-core-race`, extension: [text] })) }),
      ['error structure Patient.extension'],
    ],
    [
      'birth sex of another code',
      patient({ extension: [{ url: `${US}us-core-birthsex`, valueCode: 'X' }] }),
      ['error code-invalid Patient.extension[0].value'],
    ],
    ['an extension of nobody', patient({ extension: [{ url: 'http://x.example/e', valueCode: 'X' }] }), []],
  ])('race: %s', (_, resource, expected) => {
    expect(found(resource)).toEqual(expected);
  });
});

describe('slices', () => {
  const practitioner = (identifier: object): object => ({
    resourceType: 'Practitioner',
    meta: { profile: [`${US}us-core-practitioner`] },
    identifier: [identifier],
    name: [{ family: 'x' }],
  });
  test('identifiers by pattern: a National Provider Identifier has ten digits and a right check digit', () => {
    const npi = (value: string): string[] => found(practitioner({ system: 'http://hl7.org/fhir/sid/us-npi', value }));
    expect(npi('1234567893')).toEqual([]);
    expect(npi('1234567890')).toEqual(['error invariant Practitioner.identifier[0]']);
    expect(npi('123')).toEqual(['error invariant Practitioner.identifier[0]']);
    expect(found(practitioner({ system: 'http://x.example/staff', value: '123' }))).toEqual([]);
    expect(found(practitioner({ value: '123' }))).toEqual(['error required Practitioner.identifier[0].system']);
  });

  const coverage = (rest: object): object => ({
    resourceType: 'Coverage',
    meta: { profile: [`${US}us-core-coverage`] },
    status: 'active',
    subscriberId: '1',
    beneficiary: { reference: 'Patient/1' },
    relationship: { text: 'self' },
    payor: [{ reference: 'Organization/1' }],
    ...rest,
  });
  const group = {
    type: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/coverage-class', code: 'group' }] },
    value: 'x',
  };
  test('classes by the pattern of their type', () => {
    expect(found(coverage({ class: [group] }))).toEqual([]);
    expect(found(coverage({ class: [group, group] }))).toEqual(['error structure Coverage.class']);
    expect(found(coverage({ class: [{ type: { text: 'other' }, value: 'x' }] }))).toEqual([]);
  });
  test('a member is named, and one payor', () => {
    expect(found(coverage({ subscriberId: undefined }))).toEqual(['error invariant Coverage']);
    expect(found(coverage({ payor: [{ reference: 'Organization/1' }, { reference: 'Patient/1' }] }))).toEqual([
      'error structure Coverage.payor',
    ]);
  });
});

test('references are narrowed', () => {
  const encounter = (subject: string): object => ({
    resourceType: 'Encounter',
    meta: { profile: [`${US}us-core-encounter`] },
    status: 'planned',
    class: { code: 'AMB' },
    type: [{ text: 'x' }],
    subject: { reference: 'Patient/1' },
    participant: [{ individual: { reference: subject } }],
  });
  expect(found(encounter('Practitioner/1'))).toEqual([]);
  const location = {
    resourceType: 'Location',
    meta: { profile: [`${US}us-core-location`] },
    name: 'x',
    managingOrganization: { reference: 'Organization/1' },
  };
  expect(found(location)).toEqual([]);
  const request = (requester: string): object => ({
    resourceType: 'Provenance',
    meta: { profile: [`${US}us-core-provenance`] },
    target: [{ reference: 'Patient/1' }],
    recorded: '2026-01-01T00:00:00Z',
    agent: [{ who: { reference: requester } }],
  });
  expect(found(request('Organization/1'))).toEqual([]);
  expect(found(request('Practitioner/1'))).toEqual(['error invariant Provenance.agent[0]']);
});

test('a pattern is contained in a value (elementdefinition-definitions.html#ElementDefinition.pattern_x_)', () => {
  expect(
    matchesPattern(
      { coding: [{ code: 'x' }, { system: 's', code: 'MB', display: 'd' }] },
      { coding: [{ system: 's', code: 'MB' }] },
    ),
  ).toBe(true);
  expect(matchesPattern({ coding: [{ system: 's' }, { code: 'MB' }] }, { coding: [{ system: 's', code: 'MB' }] })).toBe(
    false,
  );
  expect(matchesPattern(undefined, { system: 's' })).toBe(false);
});
