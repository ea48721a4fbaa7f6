/** The grammar of SMART scopes. @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  backendScopes,
  LETTERS,
  parseScope,
  parseScopes,
  permits,
  scopeText,
  type Letter,
  type ResourceScope,
  type Scope,
} from '../../src/auth/smart/scope.ts';

const resource = (text: string): ResourceScope => {
  const scope = parseScope(text);
  if (scope?.kind !== 'resource') throw new Error(`${text} is no resource scope`);
  return scope;
};
const letters = (text: string): string => [...resource(text).letters].join('');

describe('SMART App Launch 2.2, 3.0.2: resource scopes', () => {
  test.each([
    ['patient/Patient.read', 'rs', 'v1'],
    ['patient/Patient.write', 'cud', 'v1'],
    ['user/*.*', 'cruds', 'v1'],
    ['system/Appointment.*', 'cruds', 'v1'],
    ['patient/Patient.rs', 'rs', 'v2'],
    ['patient/Patient.cruds', 'cruds', 'v2'],
    ['system/*.cud', 'cud', 'v2'],
    ['user/Slot.s', 's', 'v2'],
  ])('%s permits %s', (text, expected, form) => {
    expect(letters(text)).toBe(expected);
    expect(resource(text)).toMatchObject({ kind: 'resource', text, form, filter: [] });
  });

  test('3.0.2.3 a filter belongs to v2, is decoded, and keeps its order', () => {
    expect(
      resource('patient/Task.rs?code=http://terminology.hl7.org/CodeSystem/x|lab%2C1&status:not=a%26b').filter,
    ).toEqual([
      ['code', 'http://terminology.hl7.org/CodeSystem/x|lab,1'],
      ['status:not', 'a&b'],
    ]);
  });

  test.each([
    '',
    ' ',
    'patient',
    'patient/',
    'patient/Patient',
    'patient/Patient.',
    'patient/Patient.sr',
    'patient/Patient.rr',
    'patient/Patient.dcurs',
    'patient/Patient.x',
    'patient/Patient.Read',
    'patient/patient.rs',
    'Patient/Patient.rs',
    'patient/Patient/1.rs',
    'patient/Pat*.rs',
    'practitioner/Patient.rs',
    'patient/Patient.read?status=a',
    'patient/Patient.*?status=a',
    'patient/Patient.rs?',
    'patient/Patient.rs?status',
    'patient/Patient.rs?=a',
    'patient/Patient.rs?status=',
    'patient/Patient.rs?status=a&',
    'patient/Patient.rs?a.b=c',
    'patient/Patient.rs?status=%E0%A4%A',
    'patient/Patient.rs?status=%00',
    'patient/Patient.rs?status=a b',
    'patient/Patient.rs?status="a"',
    'patient/Patient.rs\n',
    'patient/Pätient.rs',
    'launch/practitioner',
    'OpenID',
    'user/__proto__.rs',
    'constructor',
    `patient/Patient.rs?code=${'a'.repeat(500)}`,
  ])('%j is no scope', (text) => expect(parseScope(text)).toBeUndefined());

  test('3.0.4-3.0.6 scopes of launch and identity', () => {
    const text = 'openid fhirUser profile launch launch/patient launch/encounter offline_access online_access';
    expect(scopeText(parseScopes(text))).toBe(text);
  });

  test('known ones in order, without doubles', () => {
    expect(
      scopeText(parseScopes('  patient/A.x openid  patient/Slot.rs openid patient/Slot.read patient/Slot.rs ')),
    ).toBe('openid patient/Slot.rs patient/Slot.read');
  });
});

describe('requested ∩ allowed', () => {
  test.each([
    ['patient/Patient.rs', 'patient/Patient.rs', 'patient/Patient.rs'],
    ['patient/Patient.read', 'patient/*.cruds', 'patient/Patient.read'],
    ['patient/Patient.cruds', 'patient/Patient.rs', 'patient/Patient.rs'],
    ['patient/Patient.*', 'patient/Patient.rs', 'patient/Patient.read'],
    ['patient/Patient.*', 'patient/Patient.r', 'patient/Patient.r'],
    ['patient/Patient.*', 'patient/*.read patient/Patient.write', 'patient/Patient.*'],
    ['patient/*.rs', 'patient/Slot.r patient/Patient.cruds', 'patient/Slot.r patient/Patient.rs'],
    ['patient/*.rs', 'patient/*.r patient/Patient.rs', 'patient/*.r patient/Patient.rs'],
    ['patient/Patient.rs', 'user/Patient.rs system/*.cruds', ''],
    ['patient/Slot.rs', 'patient/Slot.rs?status=free', 'patient/Slot.rs?status=free'],
    ['patient/Slot.rs?status=free', 'patient/Slot.cruds', 'patient/Slot.rs?status=free'],
    ['patient/Slot.rs?status=free', 'patient/Slot.r?status=free', 'patient/Slot.r?status=free'],
    [
      'patient/Slot.rs?status=free',
      'patient/Slot.rs?schedule=Schedule/1',
      'patient/Slot.rs?status=free&schedule=Schedule/1',
    ],
    ['patient/Task.read', 'patient/Task.rs?code=s|a%2Cb%26c', 'patient/Task.rs?code=s|a,b%26c'],
    ['openid launch offline_access', 'launch openid', 'openid launch'],
  ])('%s under %s is %s', (requested, allowed, expected) => {
    const granted = permits(parseScopes(requested), parseScopes(allowed));
    expect(scopeText(granted)).toBe(expected);
    expect(parseScopes(expected)).toEqual(granted);
  });

  const name = fc.constantFrom('Patient', 'Slot', 'Task', '*');
  const scope = fc
    .record({
      level: fc.constantFrom('patient', 'user', 'system'),
      type: name,
      action: fc.oneof(
        fc.constantFrom('read', 'write', '*'),
        fc.subarray([...LETTERS], { minLength: 1 }).map((some) => some.join('')),
      ),
      filter: fc.constantFrom('', '?status=free', '?status=a%2Cb', '?status=free&code=x|y'),
    })
    .map(({ level, type, action, filter }) => `${level}/${type}.${action}${V1_WORDS.has(action) ? '' : filter}`);
  const V1_WORDS = new Set(['read', 'write', '*']);
  /** Every single thing that a list of scopes permits on the three types; filters by their text. */
  const acts = (scopes: readonly Scope[], holds: ReadonlySet<string>): Set<string> =>
    new Set(
      scopes.flatMap((s) =>
        s.kind === 'plain' || !s.filter.every(([n, v]) => holds.has(`${n}=${v}`))
          ? []
          : (s.type === '*' ? ['Patient', 'Slot', 'Task', 'Other'] : [s.type]).flatMap((type) =>
              [...s.letters].map((letter: Letter) => `${s.level}/${type}.${letter}`),
            ),
      ),
    );

  test('a scope is read as it is written, and what is granted is exactly what both permit', () => {
    fc.assert(
      fc.property(
        fc.array(scope, { maxLength: 4 }),
        fc.array(scope, { maxLength: 4 }),
        fc.subarray(['status=free', 'status=a,b', 'code=x|y']),
        (requested, allowed, facts) => {
          const asked = parseScopes(requested.join(' '));
          expect(scopeText(asked)).toBe([...new Set(requested)].join(' '));
          const listed = parseScopes(allowed.join(' '));
          const granted = permits(asked, listed);
          expect(parseScopes(scopeText(granted))).toEqual(granted);
          const holds = new Set(facts);
          expect(acts(granted, holds)).toEqual(acts(asked, holds).intersection(acts(listed, holds)));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('any text is taken', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseScopes(text)));
    fc.assert(fc.property(fc.string(), (text) => void parseScope(`patient/Patient.rs?${text}`)));
  });
});

describe('smart.md 4.1: backend services', () => {
  const everything = parseScopes('system/*.cruds');
  test.each([
    '',
    'launch fhirUser',
    'patient/Patient.rs user/*.read',
    'system/Patient.sr',
    'system/Patient.unknown',
    'system/Patient.write',
    'system/Patient.c',
    'system/Patient.cu',
    'system/Patient.cud',
    'system/Patient.u',
    'system/Patient.d',
  ])('a bulk client gets nothing for %j', (text) => expect(backendScopes(text, everything, true)).toEqual([]));

  test.each([
    ['system/*.read', 'system/*.read'],
    ['system/*.rs', 'system/*.rs'],
    ['system/*.*', 'system/*.read'],
    ['system/*.cruds', 'system/*.rs'],
    ['system/Patient.read system/Slot.rs openid', 'system/Patient.read system/Slot.rs'],
    ['system/Patient.write system/Slot.rs', 'system/Slot.rs'],
    ['system/*.* system/*.read', 'system/*.read'],
  ])('of %s a bulk client gets %s', (text, expected) =>
    expect(scopeText(backendScopes(text, everything, true))).toBe(expected),
  );

  test('a client that is registered for writes gets them, but no more than it is registered for', () => {
    expect(scopeText(backendScopes('system/*.cruds openid', everything, false))).toBe('system/*.cruds');
    expect(scopeText(backendScopes('system/*.*', parseScopes('system/Slot.cruds'), false))).toBe('system/Slot.*');
    expect(backendScopes('system/Patient.rs', parseScopes('system/Slot.cruds user/*.cruds'), false)).toEqual([]);
  });
});
