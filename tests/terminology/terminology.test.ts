/** What the build's value sets and code systems answer. @see https://hl7.org/fhir/R4/terminologies.html */
import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadDefinitions } from '../../src/fhir/definitions/registry.ts';
import { loadTerminology } from '../../src/fhir/terminology/terminology.ts';

const terminology = loadTerminology();
const R4 = 'http://hl7.org/fhir/ValueSet/';
const ROLE = 'http://terminology.hl7.org/CodeSystem/v3-RoleCode';

describe('bindings (terminologies.html#binding)', () => {
  test('every value set that a served type is bound to is known', () => {
    const definitions = loadDefinitions();
    const served = readdirSync(new URL('../../src/resources/', import.meta.url)).map((n) => n.replace(/\.ts$/, ''));
    const seen = new Set(served);
    const unknown = new Set<string>();
    for (const name of seen) {
      for (const element of definitions.elements(name)) {
        if (element.backbone) seen.add(element.backbone);
        for (const t of element.types) seen.add(t.code);
        if (element.binding && !terminology.valueSet(element.binding.valueSet)) unknown.add(element.binding.valueSet);
      }
    }
    expect([...unknown]).toEqual([]);
  });

  test('a required binding tells its codes apart from others', () => {
    expect(terminology.contains(`${R4}appointmentstatus`, undefined, 'booked')).toBe(true);
    expect(terminology.contains(`${R4}appointmentstatus|4.0.1`, undefined, 'no-show')).toBe(false);
    expect(terminology.contains(`${R4}appointmentstatus`, 'urn:other', 'booked')).toBe(false);
    expect(terminology.systemOf(`${R4}appointmentstatus`)).toBe('http://hl7.org/fhir/appointmentstatus');
  });

  test('currencies are enumerated, past ones and funds too', () => {
    for (const code of ['EUR', 'USD', 'DEM', 'CHE', 'XXX', 'XAU'])
      expect(terminology.contains(`${R4}currencies`, undefined, code)).toBe(true);
    expect(terminology.contains(`${R4}currencies`, 'urn:iso:std:iso:4217', 'EURO')).toBe(false);
  });
});

describe('what cannot be enumerated cannot be told', () => {
  test.each([
    ['mimetypes', 'urn:ietf:bcp:13', 'text/plain'],
    ['all-languages', 'urn:ietf:bcp:47', 'en'],
    ['body-site', 'http://snomed.info/sct', '1'],
    ['observation-codes', 'http://loinc.org', '1-8'],
  ])('%s', (name, system, code) => {
    expect(terminology.expand(R4 + name)).toBeUndefined();
    expect(terminology.contains(R4 + name, system, code)).toBeUndefined();
    expect(terminology.lookup(system, code)).toBeUndefined();
    expect(terminology.subsumed(system, code, 'below')).toBeUndefined();
    expect(terminology.codeSystem(system)).toBe('opaque');
  });

  test('but a listed part of such a system can', () => {
    expect(terminology.contains(`${R4}c80-practice-codes`, 'http://snomed.info/sct', '408467006')).toBe(true);
    expect(terminology.contains(`${R4}c80-practice-codes`, 'http://snomed.info/sct', '1')).toBe(false);
  });

  test('an example code system does not rule out other codes', () => {
    expect(terminology.contains(`${R4}service-type`, undefined, '57')).toBe(true);
    expect(terminology.contains(`${R4}service-type`, undefined, 'x-own')).toBeUndefined();
    expect(terminology.expand(`${R4}service-type`)?.length).toBeGreaterThan(500);
  });

  test('unknown names', () => {
    expect(terminology.expand('urn:nothing')).toBeUndefined();
    expect(terminology.codeSystem('__proto__')).toBeUndefined();
    expect(terminology.valueSet('constructor')).toBeUndefined();
  });
});

describe('hierarchy (codesystem.html#hierarchy)', () => {
  test('below: the code and its descendants', () => {
    expect(terminology.subsumed(ROLE, 'TWIN', 'below')).toEqual(expect.arrayContaining(['TWIN', 'FTWIN', 'ITWINBRO']));
  });

  test('above: the code and its ancestors', () => {
    expect(terminology.subsumed(ROLE, 'TWIN', 'above')).toEqual([
      'TWIN',
      'NSIB',
      'SIB',
      'FAMMEMB',
      '_PersonalRelationshipRoleType',
    ]);
  });

  test('exclusion of the published definition: ActEncounterCode without its abstract head', () => {
    const codes = terminology.expand('http://terminology.hl7.org/ValueSet/v3-ActEncounterCode')?.map((c) => c.code);
    expect(codes).toContain('AMB');
    expect(codes).not.toContain('_ActEncounterCode');
  });

  test('lookup: abstract codes are marked, unknown ones are null', () => {
    expect(terminology.lookup(ROLE, '_PersonalRelationshipRoleType')).toMatchObject({ abstract: true });
    expect(terminology.lookup(ROLE, 'nothing')).toBeNull();
  });
});
