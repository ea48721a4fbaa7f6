/** Definition of value sets. @see https://hl7.org/fhir/R4/valueset.html#composition */
import type { CodeSystem, ValueSet } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { readCodeSystem } from '../../src/fhir/terminology/code-system.ts';
import { compose } from '../../src/fhir/terminology/compose.ts';

const animals: CodeSystem = {
  resourceType: 'CodeSystem',
  url: 'urn:animals',
  status: 'active',
  content: 'complete',
  concept: [
    {
      code: 'mammal',
      property: [{ code: 'notSelectable', valueBoolean: true }],
      concept: [{ code: 'cat', display: 'Cat', property: [{ code: 'legs', valueInteger: 4 }] }, { code: 'whale' }],
    },
    { code: 'pet', property: [{ code: 'child', valueCode: 'cat' }] },
    { code: 'fish' },
  ],
};

type Compose = NonNullable<ValueSet['compose']>;

const library = new Map<string, ValueSet>();

function valueSet(url: string, definition: Compose): ValueSet {
  const made: ValueSet = { resourceType: 'ValueSet', url, status: 'active', compose: definition };
  library.set(url, made);
  return made;
}

const graph = readCodeSystem(animals);

const evaluate = (definition: Compose) =>
  compose(valueSet('urn:under-test', definition), {
    system: (url) => (url === 'urn:animals' ? graph : undefined),
    valueSet: (url) => library.get(url),
  });

const codesOf = (definition: Compose): string[] => [...(evaluate(definition).get('urn:animals')?.codes.keys() ?? [])];

const filtered = (property: string, op: string, value: string): Compose => ({
  include: [{ system: 'urn:animals', filter: [{ property, op: op as 'is-a', value }] }],
});

describe('include (valueset.html#include)', () => {
  test('a system alone is all its codes, nested ones in document order', () => {
    expect(codesOf({ include: [{ system: 'urn:animals' }] })).toEqual(['mammal', 'cat', 'whale', 'pet', 'fish']);
  });

  test('listed concepts keep the display that the value set gives', () => {
    const selection = evaluate({ include: [{ system: 'urn:animals', concept: [{ code: 'cat', display: 'Puss' }] }] });
    expect([...(selection.get('urn:animals')?.codes ?? [])]).toEqual([['cat', 'Puss']]);
  });

  test('an unknown system without a list is open', () => {
    expect(evaluate({ include: [{ system: 'http://snomed.info/sct' }] }).get('http://snomed.info/sct')).toMatchObject({
      open: true,
    });
  });
});

describe('filters (valueset-filter-operator.html)', () => {
  const cases: readonly (readonly [string, string, string, readonly string[]])[] = [
    ['concept', 'is-a', 'mammal', ['mammal', 'cat', 'whale']],
    ['concept', 'descendent-of', 'mammal', ['cat', 'whale']],
    ['concept', 'is-a', 'pet', ['cat', 'pet']],
    ['concept', 'is-not-a', 'mammal', ['pet', 'fish']],
    ['concept', 'generalizes', 'cat', ['mammal', 'cat', 'pet']],
    ['concept', 'in', 'cat,fish', ['cat', 'fish']],
    ['code', 'regex', '.*sh', ['fish']],
    ['legs', '=', '4', ['cat']],
    ['legs', 'exists', 'false', ['mammal', 'whale', 'pet', 'fish']],
  ];
  test.each(cases)('%s %s %s', (property, op, value, expected) => {
    expect(codesOf(filtered(property, op, value))).toEqual(expected);
  });

  test('several filters all hold', () => {
    const both: Compose = {
      include: [
        {
          system: 'urn:animals',
          filter: [
            { property: 'concept', op: 'is-a', value: 'mammal' },
            { property: 'concept', op: 'is-a', value: 'pet' },
          ],
        },
      ],
    };
    expect(codesOf(both)).toEqual(['cat']);
  });

  test('a property that the system does not tell leaves the value set open', () => {
    expect(evaluate(filtered('colour', '=', 'red')).get('urn:animals')).toMatchObject({ open: true });
  });
});

describe('imports and exclusions', () => {
  test('import: all the codes of the value set', () => {
    valueSet('urn:pets', { include: [{ system: 'urn:animals', concept: [{ code: 'cat' }] }] });
    expect(codesOf({ include: [{ valueSet: ['urn:pets'] }] })).toEqual(['cat']);
  });

  test('system and import: only codes of both', () => {
    valueSet('urn:pets', { include: [{ system: 'urn:animals', concept: [{ code: 'cat' }, { code: 'fish' }] }] });
    expect(
      codesOf({ include: [{ ...filtered('concept', 'is-a', 'mammal').include?.[0], valueSet: ['urn:pets'] }] }),
    ).toEqual(['cat']);
  });

  test('exclude takes away', () => {
    const definition: Compose = {
      include: [{ system: 'urn:animals' }],
      exclude: [{ system: 'urn:animals', filter: [{ property: 'concept', op: 'is-a', value: 'mammal' }] }],
    };
    expect(codesOf(definition)).toEqual(['pet', 'fish']);
  });

  test('imports in a circle end, and are open', () => {
    valueSet('urn:a', { include: [{ valueSet: ['urn:b'] }] });
    valueSet('urn:b', { include: [{ valueSet: ['urn:a'] }] });
    expect(evaluate({ include: [{ valueSet: ['urn:a'] }] }).get('*')).toMatchObject({ open: true });
  });
});
