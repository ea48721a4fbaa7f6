/** Errors that validation finds, each with its element. @see https://hl7.org/fhir/R4/validation.html */
import { describe, expect, test } from 'vitest';
import { parseJson } from '../../src/fhir/json.ts';
import type { Issue } from '../../src/fhir/outcome.ts';
import { createValidator } from '../../src/fhir/validation/validate.ts';
import { definitions, terminology, validator } from '../support/definitions.ts';

const patient = (rest: object): object => ({ resourceType: 'Patient', ...rest });
const appointment = (rest: object): object => ({
  resourceType: 'Appointment',
  status: 'booked',
  start: '2026-03-09T09:00:00Z',
  end: '2026-03-09T09:30:00Z',
  participant: [{ actor: { reference: 'Patient/1' }, status: 'accepted' }],
  ...rest,
});
const errors = (resource: unknown): readonly Issue[] =>
  validator.validate(resource).filter((i) => i.severity === 'error');
const found = (resource: unknown): string[] => errors(resource).map((i) => `${i.code} ${i.expression?.[0] ?? ''}`);

test('valid resources have no issues', () => {
  expect(
    validator.validate(patient({ name: [{ family: 'Chalmers', given: ['Peter'] }], birthDate: '1974-12-25' })),
  ).toEqual([]);
  expect(validator.validate(appointment({}))).toEqual([]);
});

test('all errors are reported at once, each with its element (operationoutcome.html#expression)', () => {
  const issues = errors(
    appointment({
      status: 'no-show',
      start: '2026-02-30T09:00:00Z',
      minutesDuration: 0,
      colour: 'red',
      participant: [{ status: 'accepted' }, { actor: { reference: 'Medication/1' }, status: 'maybe' }],
    }),
  );
  expect(issues.map((i) => `${i.code} ${i.expression?.[0]}`).sort()).toEqual([
    'code-invalid Appointment.participant[1].status',
    'code-invalid Appointment.status',
    'invariant Appointment.participant[0]',
    'structure Appointment.colour',
    'value Appointment.minutesDuration',
    'value Appointment.participant[1].actor.reference',
    'value Appointment.start',
  ]);
  expect(issues.find((i) => i.expression?.[0] === 'Appointment.status')?.diagnostics).toContain('noshow');
});

describe('shape (json.html)', () => {
  test.each<[string, unknown, string[]]>([
    ['a resource that is no object', 'Patient', ['structure ']],
    ['null', null, ['structure ']],
    ['no resourceType', {}, ['required Resource.resourceType']],
    ['an unknown resourceType', { resourceType: 'Patiant' }, ['value Resource.resourceType']],
    ['a type that is not served', { resourceType: 'Observation' }, ['not-supported resourceType']],
    ['an unknown property', patient({ nmae: [] }), ['structure Patient.nmae']],
    [
      'a property of a later version',
      patient({ name: [{ familyName: 'x' }] }),
      ['structure Patient.name[0].familyName'],
    ],
    ['an object for an array', patient({ name: { family: 'x' } }), ['structure Patient.name']],
    ['an array for a value', patient({ birthDate: ['1974'] }), ['structure Patient.birthDate']],
    ['an array in an array', patient({ name: [[{ family: 'x' }]] }), ['structure Patient.name[0]']],
    ['an empty array', patient({ name: [] }), ['structure Patient.name']],
    ['an empty object', patient({ name: [{}] }), ['invariant Patient.name[0]']],
    ['an object with an id only (ele-1)', patient({ name: [{ id: 'a' }] }), ['invariant Patient.name[0]']],
    ['an empty string', patient({ name: [{ family: '' }] }), ['value Patient.name[0].family']],
    ['null for a value', patient({ birthDate: null }), ['structure Patient.birthDate']],
    ['a string for a boolean', patient({ active: 'true' }), ['value Patient.active']],
    ['a number for a string', patient({ name: [{ family: 1 }] }), ['value Patient.name[0].family']],
    [
      'two values of a choice',
      patient({ deceasedBoolean: true, deceasedDateTime: '2020' }),
      ['structure Patient.deceased'],
    ],
    ['a choice of a type that it has not', patient({ deceasedString: 'x' }), ['structure Patient.deceasedString']],
    [
      'a required element that is missing',
      appointment({ status: undefined, participant: undefined }),
      ['required Appointment.participant', 'required Appointment.status'],
    ],
    ['an id that is none', patient({ id: 'a b' }), ['value Patient.id']],
    ['an id that no URL can name', patient({ id: '..' }), ['value Patient.id']],
    [
      'the id of a contained resource',
      patient({ contained: [{ resourceType: 'Organization', id: 'bad id!', name: 'x' }] }),
      ['invariant Patient', 'value Patient.contained[0].id'],
    ],
    ['a control character', patient({ name: [{ family: 'a\u0001' }] }), ['value Patient.name[0].family']],
  ])('%s', (_, resource, expected) => {
    expect(found(resource).sort()).toEqual([...expected].sort());
  });

  test('an integer with a decimal point is none', () => {
    const resource = parseJson('{"resourceType":"Patient","multipleBirthInteger":1.0}', { maxDepth: 64 }).value;
    expect(found(resource)).toEqual(['value Patient.multipleBirthInteger']);
  });
});

describe('siblings of primitives (json.html#primitive)', () => {
  const extension = { extension: [{ url: 'http://x.example/e', valueCode: 'unknown' }] };
  test.each<[string, object, string[]]>([
    ['an extension without a value', { _birthDate: extension }, []],
    ['an extension beside a value', { birthDate: '1974', _birthDate: extension }, []],
    ['arrays aligned by null', { name: [{ given: ['a', null], _given: [null, extension] }] }, []],
    ['an array of siblings alone', { name: [{ _given: [extension] }] }, []],
    [
      'arrays of different length',
      { name: [{ given: ['a', 'b'], _given: [extension] }] },
      ['structure Patient.name[0].given'],
    ],
    [
      'null in both arrays',
      { name: [{ given: ['a', null], _given: [extension, null] }] },
      ['structure Patient.name[0].given[1]'],
    ],
    ['null without siblings', { name: [{ given: [null] }] }, ['structure Patient.name[0].given[0]']],
    ['an id alone', { _birthDate: { id: 'a' } }, ['invariant Patient.birthDate']],
    ['an id beside a value', { birthDate: '1974', _birthDate: { id: 'a' } }, []],
    ['an empty sibling', { birthDate: '1974', _birthDate: {} }, ['structure Patient.birthDate']],
    [
      'an unknown property of a sibling',
      { birthDate: '1974', _birthDate: { a: 1 } },
      ['structure Patient.birthDate.a'],
    ],
    ['a sibling of something complex', { _name: [extension] }, ['structure Patient._name']],
    [
      'an invalid extension in a sibling',
      { _birthDate: { extension: [{ url: 'http://x.example/e' }] } },
      ['invariant Patient.birthDate.extension[0]'],
    ],
  ])('%s', (_, rest, expected) => {
    expect(found(patient(rest))).toEqual(expected);
  });

  test('a required primitive may be there by its extension alone', () => {
    expect(found(appointment({ status: undefined, _status: extension, start: undefined, end: undefined }))).toEqual([
      'invariant Appointment',
    ]);
    expect(found(appointment({ status: undefined, _status: extension }))).toEqual([]);
  });
});

describe('primitive formats (datatypes.html#primitive)', () => {
  const slot = (start: string): object => ({
    resourceType: 'Slot',
    schedule: { reference: 'Schedule/1' },
    status: 'free',
    start,
    end: '2026-03-09T09:00:00Z',
  });
  test.each(['1974', '1974-12', '1974-12-25', '2000-02-29', '2024-02-29'])('date %s is right', (date) => {
    expect(found(patient({ birthDate: date }))).toEqual([]);
  });
  test.each([
    '1973-02-30',
    '1900-02-29',
    '2023-02-29',
    '1974-13',
    '1974-00-01',
    '1974-04-31',
    '0000',
    '74',
    '1974-1-1',
    '1974-12-25T10:00:00Z',
    ' 1974',
    '25.12.1974',
  ])('date %s is wrong', (date) => {
    expect(found(patient({ birthDate: date }))).toEqual(['value Patient.birthDate']);
  });
  test.each(['2026-03-08T09:00:00Z', '2026-03-08T09:00:00.123456+14:00', '2026-03-08T23:59:60Z'])(
    'instant %s is right',
    (instant) => {
      expect(found(slot(instant))).toEqual([]);
    },
  );
  test.each([
    '2026-03-08',
    '2026-03-08T09:00:00',
    '2026-03-08T09:00Z',
    '2026-03-08T24:00:00Z',
    '2026-03-08T09:00:00+15:00',
    '2026-02-30T09:00:00Z',
    '2026-03-08 09:00:00Z',
    '2026-03-08T09:00:00z',
  ])('instant %s is wrong', (instant) => {
    expect(found(slot(instant))).toEqual(['value Slot.start']);
  });
  test('codes, ids, URIs and base64', () => {
    expect(found(patient({ language: ' de' }))).toEqual(['value Patient.language']);
    expect(found(patient({ implicitRules: 'a b' }))).toEqual(['value Patient.implicitRules']);
    expect(found({ resourceType: 'Binary', contentType: 'text/plain', data: 'aGk' })).toEqual(['value Binary.data']);
    expect(found({ resourceType: 'Binary', contentType: 'text/plain', data: 'aGk=' })).toEqual([]);
  });
});

describe('extensions (extensibility.html)', () => {
  test.each<[object, string[]]>([
    [{ url: 'http://x.example/e', valueString: 'a' }, []],
    [{ url: 'http://x.example/e' }, ['invariant Patient.extension[0]']],
    [
      { url: 'http://x.example/e', valueString: 'a', extension: [{ url: 'b', valueString: 'a' }] },
      ['invariant Patient.extension[0]'],
    ],
    [{ valueString: 'a' }, ['required Patient.extension[0].url']],
    [{ url: 'http://x.example/e', valueString: 'a', valueCode: 'b' }, ['structure Patient.extension[0].value']],
    [
      { url: 'http://x.example/e', valueReference: { reference: 'Foo/1' } },
      ['value Patient.extension[0].value.reference'],
    ],
  ])('ext-1 and the shape of %j', (extension, expected) => {
    expect(found(patient({ extension: [extension] }))).toEqual(expected);
  });
});

describe('bindings (terminologies.html#strength)', () => {
  test('a required binding holds for code, Coding and CodeableConcept', () => {
    expect(found(patient({ gender: 'f' }))).toEqual(['code-invalid Patient.gender']);
    const encounter = (rest: object): object => ({
      resourceType: 'Encounter',
      status: 'planned',
      class: { code: 'AMB' },
      ...rest,
    });
    expect(found(encounter({}))).toEqual([]);
    expect(found(encounter({ status: 'open' }))).toEqual(['code-invalid Encounter.status']);
  });
  test('an extensible binding is advice', () => {
    const resource = patient({
      maritalStatus: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-MaritalStatus', code: 'XYZ' }] },
    });
    expect(validator.validate(resource)).toEqual([]);
    const advice = validator.validate(resource, { advice: true });
    expect(advice.filter((i) => i.code === 'code-invalid').map((i) => [i.severity, i.expression?.[0]])).toEqual([
      ['warning', 'Patient.maritalStatus'],
    ]);
    expect(advice.some((i) => i.diagnostics.startsWith('dom-6'))).toBe(true);
  });
});

describe('references (references.html)', () => {
  test.each<[object, string[]]>([
    [{ reference: 'Organization/1' }, []],
    [{ reference: 'Organization/1/_history/2' }, []],
    [{ reference: 'https://x.example/fhir/Organization/1' }, []],
    [{ reference: 'urn:uuid:c757873d-ec9a-4326-a141-556f43239520' }, []],
    [{ reference: 'Organization?identifier=a' }, []],
    [{ display: 'The clinic' }, []],
    [{ identifier: { value: '1' } }, []],
    [{ reference: 'Patient/1' }, ['value Patient.managingOrganization.reference']],
    [{ reference: 'https://x.example/fhir/Patient/1' }, ['value Patient.managingOrganization.reference']],
    [{ reference: 'Organisation/1' }, ['value Patient.managingOrganization.reference']],
    [{ reference: 'Organization/a b' }, ['value Patient.managingOrganization.reference']],
    [{ reference: 'nonsense' }, ['value Patient.managingOrganization.reference']],
    [{ reference: '#o' }, ['invariant Patient.managingOrganization']],
    [{ type: 'Patient', identifier: { value: '1' } }, ['value Patient.managingOrganization.type']],
    [{ type: 'Patient', reference: 'Organization/1' }, ['value Patient.managingOrganization.type']],
  ])('%j', (managingOrganization, expected) => {
    expect(found(patient({ managingOrganization }))).toEqual(expected);
  });
});

describe('contained resources (references.html#contained)', () => {
  const organization = { resourceType: 'Organization', id: 'o', name: 'Clinic' };
  const containing = (contained: object[], rest: object = { managingOrganization: { reference: '#o' } }): object =>
    patient({ contained, ...rest });
  test('are checked as what they are', () => {
    expect(found(containing([organization]))).toEqual([]);
    expect(found(containing([{ ...organization, name: undefined, active: 'x' }]))).toEqual([
      'value Patient.contained[0].active',
      'invariant Patient.contained[0]',
    ]);
    expect(found(containing([{ id: 'o' }]))).toEqual(['required Patient.contained[0].resourceType']);
  });
  test('dom-2, dom-3, dom-4, dom-5', () => {
    expect(
      errors(containing([{ ...organization, contained: [{ ...organization, id: 'p' }] }])).map((i) =>
        i.diagnostics.slice(0, 5),
      ),
    ).toContain('dom-2');
    expect(errors(containing([organization], {})).map((i) => i.diagnostics.slice(0, 5))).toEqual(['dom-3']);
    expect(
      errors(containing([{ ...organization, meta: { versionId: '1' } }])).map((i) => i.diagnostics.slice(0, 5)),
    ).toEqual(['dom-4']);
    expect(
      errors(containing([{ ...organization, meta: { security: [{ code: 'R' }] } }])).map((i) =>
        i.diagnostics.slice(0, 5),
      ),
    ).toEqual(['dom-5']);
  });
  test('of a type that is not served have their basic shape checked', () => {
    const extension = [{ url: 'http://x.example/e', valueReference: { reference: '#m' } }];
    expect(found(containing([{ resourceType: 'Medication', id: 'm', code: { text: 'x' } }], { extension }))).toEqual(
      [],
    );
    expect(found(containing([{ resourceType: 'Medication', id: 'm', code: {} }], { extension }))).toEqual([
      'structure Patient.contained[0].code',
    ]);
  });
});

describe('invariants (conformance-rules.html#constraints)', () => {
  test.each<[string, object, string]>([
    ['app-2', appointment({ status: 'proposed', end: undefined }), 'Appointment'],
    ['app-3', appointment({ start: undefined, end: undefined }), 'Appointment'],
    ['app-4', appointment({ cancelationReason: { text: 'ill' } }), 'Appointment'],
    [
      'per-1',
      patient({ name: [{ family: 'x', period: { start: '2020-02', end: '2020-01' } }] }),
      'Patient.name[0].period',
    ],
    ['cpt-2', patient({ telecom: [{ value: '1' }] }), 'Patient.telecom[0]'],
    ['pat-1', patient({ contact: [{ gender: 'male' }] }), 'Patient.contact[0]'],
    [
      'org-2',
      { resourceType: 'Organization', name: 'x', address: [{ use: 'home', city: 'a' }] },
      'Organization.address[0]',
    ],
    ['att-1', patient({ photo: [{ data: 'aGk=' }] }), 'Patient.photo[0]'],
    [
      'bdl-7',
      {
        resourceType: 'Bundle',
        type: 'collection',
        entry: [1, 2].map(() => ({
          fullUrl: 'urn:uuid:c757873d-ec9a-4326-a141-556f43239520',
          resource: { resourceType: 'Basic', code: { text: 'x' } },
        })),
      },
      'Bundle',
    ],
  ])('%s', (key, resource, expression) => {
    expect(errors(resource).map((i) => [i.code, i.diagnostics.split(':')[0], i.expression?.[0]])).toEqual([
      ['invariant', key, expression],
    ]);
  });
  test('app-4 as corrected: noshow has a reason', () => {
    expect(found(appointment({ status: 'noshow', cancelationReason: { text: 'ill' } }))).toEqual([]);
  });
  test('a comparison that cannot be told is no error', () => {
    expect(found(patient({ name: [{ family: 'x', period: { start: '2020', end: '2020-01' } }] }))).toEqual([]);
  });
});

describe('carriers', () => {
  test('resources of a Bundle are checked where they stand', () => {
    const bundle = { resourceType: 'Bundle', type: 'collection', entry: [{ resource: patient({ gender: 'x' }) }] };
    expect(found(bundle)).toEqual(['code-invalid Bundle.entry[0].resource.gender']);
  });
  test('Parameters: one value each (inv-1), resources and parts', () => {
    expect(
      found({
        resourceType: 'Parameters',
        parameter: [
          { name: 'a', valueDate: '2026-02-29' },
          { name: 'b' },
          { name: 'c', resource: patient({ active: 1 }) },
        ],
      }).sort(),
    ).toEqual([
      'invariant Parameters.parameter[1]',
      'value Parameters.parameter[0].value',
      'value Parameters.parameter[2].resource.active',
    ]);
  });
});

describe('hostile input', () => {
  test('many errors end in at most 100 issues, and soon', () => {
    expect(validator.validate(patient({ name: Array.from({ length: 200_000 }, () => ({})) })).length).toBe(100);
    expect(validator.validate(patient({ name: [{ given: Array.from({ length: 200_000 }, () => 1) }] })).length).toBe(
      100,
    );
    expect(
      validator.validate(patient(Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`x${i}`, 1])))).length,
    ).toBe(100);
  });
  test('references to contained resources cost no quadratic time (dom-3, ref-1)', () => {
    const many = Array.from({ length: 20_000 }, (_, i) => i);
    const contained = many.slice(0, 1000).map((i) => ({ resourceType: 'Organization', id: `o${i}`, name: 'x' }));
    const extension = many.map((i) => ({ url: 'u', valueReference: { reference: `#o${i % 1000}` } }));
    expect(found(patient({ contained, extension }))).toEqual([]);
    expect(found(patient({ contained }))).toEqual(['invariant Patient']);
    const more = [...contained, { resourceType: 'Organization', id: 'more', name: 'x' }];
    expect(found(patient({ contained: more }))).toEqual(['too-costly Patient.contained']);
  });
  test('strings of a megabyte cost linear time in every format', () => {
    for (const c of ['a', ' ', '9', '-', '.', '<', '&', 'A.']) {
      const text = c.repeat(1_000_000 / c.length);
      validator.validate(
        patient({
          birthDate: text,
          language: text,
          implicitRules: text,
          id: text,
          name: [{ family: text }],
          photo: [{ contentType: 'x', data: text }],
          text: { status: 'generated', div: text },
        }),
      );
      validator.validate({
        resourceType: 'StructureDefinition',
        name: text,
        url: text,
        differential: { element: [{ path: text, sliceName: text }] },
      });
    }
  });
  test('property names of Object.prototype are unknown properties', () => {
    expect(found(patient({ toString: 'x', hasOwnProperty: 'y' }))).toEqual([
      'structure Patient.toString',
      'structure Patient.hasOwnProperty',
    ]);
    expect(found({ resourceType: 'toString' })).toEqual(['value Resource.resourceType']);
  });
});

test('a type that the build did not know is compiled when it is first checked', () => {
  const other = createValidator(definitions, terminology, { types: ['Observation'] });
  const observation = { resourceType: 'Observation', status: 'final', code: { text: 'x' } };
  expect(other.validate(observation)).toEqual([]);
  expect(other.validate({ ...observation, valueQuantity: { value: '1' } }).map((i) => i.expression?.[0])).toEqual([
    'Observation.value.value',
  ]);
});
