/** What operations are called with: references, codes and lists, by query and by Parameters. @see https://hl7.org/fhir/R4/operations.html#request */
import type { ParametersParameter } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import type { RequestContext } from '../../src/fhir/context.ts';
import type { Engine } from '../../src/fhir/engine.ts';
import { defineOperation, type OperationInput } from '../../src/fhir/operation-parameters.ts';
import { FhirError } from '../../src/fhir/outcome.ts';
import { definitions, terminology, validator } from '../support/definitions.ts';

const engine = { definitions, terminology, validator, baseUrl: 'https://kairos.test/fhir/R4' } as Engine;
const OWN = 'https://kairos.example/fhir/OperationDefinition/';
const PERIOD = [
  ['start', '2026-11-27'],
  ['end', '2026-11-28'],
] as const;

/** What the operation sees. */
async function inputOf(
  url: string,
  query: readonly (readonly [string, string])[],
  parameter: readonly ParametersParameter[] = [],
): Promise<OperationInput> {
  let seen: OperationInput | undefined;
  const operation = defineOperation({
    code: 'test',
    url,
    system: false,
    type: true,
    instance: false,
    needs: [],
    affectsState: false,
    handle: (_engine, _ctx, _request, input) => {
      seen = input;
      return Promise.resolve({ status: 200, body: '{}' });
    },
  });
  await operation.handle(engine, {} as RequestContext, {
    parameters: { resourceType: 'Parameters', parameter: [...parameter] },
    query,
  });
  if (seen === undefined) throw new Error('not called');
  return seen;
}

const find = (query: readonly (readonly [string, string])[], parameter: readonly ParametersParameter[] = []) =>
  inputOf(`${OWN}appointment-find`, [...PERIOD, ...query], parameter);
const book = (...parameter: ParametersParameter[]) => inputOf(`${OWN}appointment-book`, [], parameter);

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (e: unknown) => e,
  );
  if (!(error instanceof FhirError)) throw new Error(`no FhirError: ${String(error)}`);
  const [issue] = error.issues;
  return `${error.status} ${issue?.code} ${issue?.diagnostics}`;
}

describe('references', () => {
  test('by query: Type/id, an address of ours, an id alone where one type is meant', async () => {
    const input = await find([
      ['practitioner', 'Practitioner/a'],
      ['practitioner', 'PractitionerRole/b'],
      ['practitioner', 'https://kairos.test/fhir/R4/Practitioner/c'],
      ['practitioner', 'https://elsewhere.test/Practitioner/d'],
      ['patient-reference', 'p1'],
    ]);
    expect(input.references('practitioner').map((r) => r.reference)).toEqual([
      'Practitioner/a',
      'PractitionerRole/b',
      'Practitioner/c',
      'https://elsewhere.test/Practitioner/d',
    ]);
    expect(input.reference('patient-reference')).toEqual({ reference: 'Patient/p1' });
    expect(input.references('organization')).toEqual([]);
    expect(input.reference('organization')).toBeUndefined();
  });

  test.each([
    [{ valueReference: { reference: 'Appointment/a', display: 'x' } }, { reference: 'Appointment/a', display: 'x' }],
    [{ valueUri: 'Appointment/a' }, { reference: 'Appointment/a' }],
    [{ valueUrl: 'https://kairos.test/fhir/R4/Appointment/a' }, { reference: 'Appointment/a' }],
    [{ valueCanonical: 'Appointment/a' }, { reference: 'Appointment/a' }],
    [{ valueString: 'Appointment/a' }, { reference: 'Appointment/a' }],
    [{ valueId: 'a' }, { reference: 'Appointment/a' }],
    [
      { valueReference: { identifier: { system: 'urn:s', value: '1' } } },
      { identifier: { system: 'urn:s', value: '1' } },
    ],
    [
      { valueReference: { type: 'Appointment', identifier: { value: '1' } } },
      { type: 'Appointment', identifier: { value: '1' } },
    ],
  ])('by Parameters: %j', async (sent, expected) => {
    expect(
      (await book({ name: 'appointment-reference', ...(sent as object) })).reference('appointment-reference'),
    ).toEqual(expected);
  });

  test.each([
    [{ valueReference: { reference: 'Patient/1' } }, 'must refer to Appointment, not to Patient'],
    [{ valueString: 'Patient/1' }, 'must refer to Appointment, not to Patient'],
    [{ valueReference: { type: 'Patient', identifier: { value: '1' } } }, 'not to Patient'],
    [{ valueReference: { display: 'the one at nine' } }, 'names nothing: it needs a reference or an identifier'],
    [{ valueString: '#a' }, 'must be Appointment/id, or a URL that ends so'],
    [{ valueReference: { reference: 'urn:uuid:5b2ac0b0-0000-4000-8000-000000000000' } }, 'must be Appointment/id'],
    [{ valueReference: { reference: 'a' } }, 'is no reference'],
    [{ valueString: 'urn:uuid:5b2ac0b0-0000-4000-8000-000000000000' }, 'must be Appointment/id'],
    [{ valueString: 'Appointment/a/b' }, 'must be Appointment/id'],
    [{ valueBoolean: true }, 'send valueReference'],
    [{ valueReference: { reference: 1 } }, ''],
  ])('refused: %j', async (sent, words) => {
    const refused = await refusal(book({ name: 'appointment-reference', ...(sent as object) }));
    expect(refused).toMatch(/^400 /);
    expect(refused).toContain(words);
  });

  test('refused by query: another type, no text, an id where several types could be meant', async () => {
    expect(await refusal(find([['practitioner', 'Patient/1']]))).toContain(
      'must refer to Practitioner or PractitionerRole, not to Patient',
    );
    expect(await refusal(find([['practitioner', '']]))).toContain('must be Practitioner/id');
    expect(await refusal(find([['practitioner', 'a']]))).toContain('must be Practitioner/id');
  });
});

describe('codes to search by', () => {
  test('by query: with and without a system, alternatives, escapes', async () => {
    const input = await find([
      ['specialty', 'http://s|1,http://s|2'],
      ['specialty', 'x'],
      ['specialty', '|y'],
      ['specialty', 'http://s|'],
      ['specialty', 'a\\|b\\,c'],
    ]);
    expect(input.tokens('specialty')).toEqual([
      { system: 'http://s', code: '1' },
      { system: 'http://s', code: '2' },
      { code: 'x' },
      { system: '', code: 'y' },
      { system: 'http://s' },
      { code: 'a|b,c' },
    ]);
  });

  test('by Parameters: as text, Coding, CodeableConcept', async () => {
    const input = await find(
      [],
      [
        { name: 'visit-type', valueString: 'http://s|1' },
        { name: 'visit-type', valueUri: 'http://s|2' },
        { name: 'visit-type', valueCode: '3' },
        { name: 'visit-type', valueCoding: { system: 'http://s', code: 'a|b' } },
        { name: 'visit-type', valueCodeableConcept: { coding: [{ code: '5' }, { system: 'http://t', code: '6' }] } },
      ],
    );
    expect(input.tokens('visit-type')).toEqual([
      { system: 'http://s', code: '1' },
      { system: 'http://s', code: '2' },
      { code: '3' },
      { system: 'http://s', code: 'a|b' },
      { code: '5' },
      { system: 'http://t', code: '6' },
    ]);
  });

  test('refused: no code, another type', async () => {
    expect(await refusal(find([], [{ name: 'reason', valueCodeableConcept: { text: 'pain' } }]))).toContain(
      'has no code: send system|code',
    );
    expect(await refusal(find([], [{ name: 'reason', valueBoolean: true }]))).toContain('send valueString');
    expect(await refusal(find([['reason', '']]))).toContain('is not a string');
  });
});

test('complex values, lists and resources', async () => {
  const input = await find(
    [['_count', '5']],
    [
      { name: 'referral-identifier', valueIdentifier: { system: 'urn:s', value: '1' } },
      { name: 'timing', valueTiming: { repeat: { dayOfWeek: ['mon'] } } },
      { name: 'patient-resource', resource: { resourceType: 'Patient', id: '1' } },
      { name: 'patient-resource', resource: { resourceType: 'Patient', id: '2' } },
    ],
  );
  expect(input.identifier('referral-identifier')).toEqual({ system: 'urn:s', value: '1' });
  expect(input.timing('timing')).toEqual({ repeat: { dayOfWeek: ['mon'] } });
  expect(input.resources('patient-resource').map((p) => p.id)).toEqual(['1', '2']);
  expect(input.resource('patient-resource')?.id).toBe('1');
  expect(input.integer('_count')).toBe(5);
  const after = { value: 6, unit: 'weeks', system: 'http://unitsofmeasure.org', code: 'wk' };
  const followUp = await inputOf(
    `${OWN}appointment-follow-up`,
    [],
    [
      { name: 'after', valueDuration: after },
      { name: 'reason', valueCoding: { code: 'x' } },
    ],
  );
  expect(followUp.duration('after')).toEqual(after);
  expect(followUp.codeableConcept('reason')).toEqual({ coding: [{ code: 'x' }] });
  const reasons = await book(
    { name: 'reason', valueCodeableConcept: { text: 'a' } },
    { name: 'reason', valueCoding: { code: 'b' } },
  );
  expect(reasons.codeableConcepts('reason')).toEqual([{ text: 'a' }, { coding: [{ code: 'b' }] }]);
});

test.each([
  ['appointment-reschedule', { name: 'mode', valueCode: 'swap' }, 'must be one of same, replace'],
  ['appointment-check-in', { name: 'status', valueCode: 'booked' }, 'must be one of arrived, checked-in'],
  ['schedule-block', { name: 'scope', valueCode: 'none' }, 'must be one of all, location, service'],
  ['appointment-hold', { name: 'minutes', valuePositiveInt: 0 }, 'is not a positiveInt'],
  ['appointment-book', { name: 'appt-resource', resource: { resourceType: 'Slot' } }, 'must be a Appointment'],
])('$%s refuses %j', async (operation, parameter, words) => {
  const required = operation === 'schedule-block' ? PERIOD : [];
  expect(await refusal(inputOf(OWN + operation, required, [parameter as ParametersParameter]))).toContain(words);
});
