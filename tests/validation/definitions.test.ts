/** The definitions in use: R4 4.0.1 with the corrections of fhir-profiles/overrides.json. @see docs/definitions.md */
import { expect, test } from 'vitest';
import { readPublished } from '../../src/fhir/definitions/build.ts';
import { searchValues } from '../../src/fhir/definitions/registry.ts';
import { definitions, servedTypes, terminology } from '../support/definitions.ts';

const constraint = (type: string, key: string) =>
  definitions.type(type)?.constraints.find((c) => c.key === key)?.expression;

test('app-4 compares with noshow, the code that there is', () => {
  expect(constraint('Appointment', 'app-4')).toContain("'noshow'");
  const valueSet = definitions.element('Appointment', 'status')?.def.binding?.valueSet ?? '';
  expect(terminology.contains(valueSet, undefined, 'noshow')).toBe(true);
  expect(terminology.contains(valueSet, undefined, 'no-show')).toBe(false);
});

test('nothing is there that R4 has not (added by the package)', () => {
  expect(definitions.resourceTypes).not.toContain('SubscriptionStatus');
  expect(definitions.resourceTypes.filter((t) => t !== 'Resource' && t !== 'DomainResource').length).toBe(146);
  for (const name of ['project', 'author', 'onBehalfOf', 'account', 'accounts', 'compartment', 'deleted'])
    expect(definitions.element('Meta', name)).toBeUndefined();
  expect(definitions.element('Binary', 'url')).toBeUndefined();
  expect(definitions.element('HealthcareService', 'offeredIn')).toBeUndefined();
});

test('references point only to resource types of R4', () => {
  const known = new Set(definitions.resourceTypes);
  const strange: string[] = [];
  const walk = (type: string): void => {
    for (const def of definitions.elements(type)) {
      for (const t of def.types)
        if (t.code === 'Reference')
          strange.push(...(t.targets ?? []).filter((n) => !known.has(n)).map((n) => `${def.path} ${n}`));
      if (def.backbone === def.path) walk(def.backbone);
    }
  };
  for (const type of servedTypes) walk(type);
  expect(strange).toEqual([]);
});

test('no element allows more targets than the search parameter on it, which the package has not touched', async () => {
  const published = new Map(
    (await readPublished('search-parameters')).flatMap((r) =>
      r.resourceType === 'SearchParameter' ? [[r.url, new Set<string>(r.target)] as const] : [],
    ),
  );
  const beyond: string[] = [];
  for (const type of servedTypes) {
    for (const param of definitions.searchParams(type).values()) {
      const targets = param.type === 'reference' ? published.get(param.url) : undefined;
      for (const path of targets ? param.paths : []) {
        const allowed = path.element?.types.find((t) => t.code === 'Reference')?.targets ?? [];
        if (path.target === undefined && !allowed.includes('Resource'))
          beyond.push(...allowed.filter((t) => targets?.has(t) === false).map((t) => `${type}.${param.code} ${t}`));
      }
    }
  }
  expect(beyond).toEqual([]);
});

test('the Patient compartment is that of R4: Encounter by patient, no Task', () => {
  const patient = definitions.compartments.get('Patient');
  expect(patient?.resources['Encounter']).toEqual(['patient']);
  expect(patient?.resources['Task']).toBeUndefined();
  expect(patient?.resources['Appointment']).toEqual(['actor']);
});

test('parts of datatypes have no modifierExtension, parts of resources have', () => {
  expect(definitions.element('Timing.repeat', 'modifierExtension')).toBeUndefined();
  expect(definitions.element('Appointment.participant', 'modifierExtension')).toBeDefined();
});

test('ids of resources are of type id', () => {
  for (const type of servedTypes) expect(definitions.element(type, 'id')?.type).toBe('id');
  expect(definitions.element('HumanName', 'id')?.type).toBe('string');
});

test('a search parameter that is no path is computed (Patient deceased)', () => {
  const deceased = definitions.searchParams('Patient').get('deceased');
  const value = (patient: object): unknown =>
    deceased && searchValues({ resourceType: 'Patient', ...patient }, deceased)[0]?.value;
  expect(value({})).toBe(false);
  expect(value({ deceasedBoolean: false })).toBe(false);
  expect(value({ deceasedBoolean: true })).toBe(true);
  expect(value({ deceasedDateTime: '2020' })).toBe(true);
});
