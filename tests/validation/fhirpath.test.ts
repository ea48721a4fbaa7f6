/** Our evaluator against fhirpath.js on every invariant of the types served. @see https://hl7.org/fhirpath/N1/ */
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createCompiler, UnsupportedExpression } from '../../src/fhir/definitions/fhirpath/compile.ts';
import { node } from '../../src/fhir/definitions/fhirpath/node.ts';
import { compareMoments } from '../../src/fhir/definitions/fhirpath/temporal.ts';
import { parseFhirPath } from '../../src/fhir/definitions/fhirpath/parse.ts';
import { EXCHANGE_TYPES } from '../../src/fhir/validation/schema.ts';
import { definitions, servedTypes } from '../support/definitions.ts';
import { randomFrom, randomValue } from '../support/random-resource.ts';

interface FhirPathJs {
  evaluate(
    value: unknown,
    path: string | { base: string; expression: string },
    variables: object,
    model: unknown,
  ): unknown[];
}
const require = createRequire(import.meta.url);
const fhirpath = require('fhirpath') as FhirPathJs;
const r4: unknown = require('fhirpath/fhir-context/r4');

interface Place {
  readonly type: string;
  readonly key: string;
  readonly expression: string;
}

/** Every invariant that can be met in a served resource, with the type of the value that it is asked of. */
function invariants(): Place[] {
  const found = new Map<string, Place>();
  const seen = new Set<string>();
  const pending = [...servedTypes, ...EXCHANGE_TYPES];
  for (let type = pending.pop(); type !== undefined; type = pending.pop()) {
    if (seen.has(type)) continue;
    seen.add(type);
    const add = (at: string, c: { key: string; expression: string }): void => {
      found.set(`${at} ${c.key} ${c.expression}`, { type: at, key: c.key, expression: c.expression });
    };
    for (const c of definitions.type(type)?.constraints ?? []) add(type, c);
    for (const def of definitions.elements(type)) {
      const code = def.backbone ?? def.types[0]?.code ?? '';
      for (const c of def.constraints)
        if (definitions.type(code)?.kind !== 'primitive' && code !== 'xhtml') add(code, c);
      pending.push(...(def.backbone ? [def.backbone] : def.types.map((t) => t.code)));
    }
  }
  return [...found.values()];
}

const all = invariants();
const compiler = createCompiler(definitions.navigator);

/** Result as text; a thrown error is a result as well. */
function outcome(work: () => readonly unknown[]): string {
  try {
    return JSON.stringify(work());
  } catch {
    return 'error';
  }
}

function ours(place: Place, value: unknown, resource: Record<string, unknown>): string {
  const root = node(resource, String(resource['resourceType']));
  const evaluate = compiler.compile(definitions.expression(place.expression));
  return outcome(() => evaluate({ resource: root, rootResource: root }, [node(value, place.type)]).map((n) => n.value));
}

// Without the traces that some invariants ask for.
const theirs = (place: Place, value: unknown, resource: Record<string, unknown>): string =>
  outcome(() =>
    fhirpath.evaluate(
      value,
      { base: place.type, expression: place.expression.replace(/\.trace\('\w+'(, id)?\)/g, '') },
      { resource, rootResource: resource },
      r4,
    ),
  );

describe('FHIRPath', () => {
  test('every invariant is compiled by our own evaluator', () => {
    const missing = all.filter((p) => {
      try {
        compiler.compile(definitions.expression(p.expression));
        return false;
      } catch (error) {
        if (error instanceof UnsupportedExpression) return true;
        throw error;
      }
    });
    expect(missing).toEqual([]);
    expect(all.length).toBeGreaterThan(200);
  });

  test('agrees with fhirpath.js on random values of every type that has invariants', () => {
    // htmlChecks() is a real check here, and always true there; the order of quantities has a table of its own.
    const places = all.filter((p) => !p.expression.includes('htmlChecks') && p.key !== 'rng-2');
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const random = randomFrom(seed);
        const place = places[seed % places.length];
        if (!place) return;
        const value = randomValue(definitions, place.type, { random, density: 0.15 + random() * 0.6, depth: 3 });
        const isResource = definitions.type(place.type)?.kind === 'resource';
        const resource = isResource
          ? value
          : { resourceType: 'Basic', contained: [{ resourceType: 'Patient', id: 'c1' }] };
        const expected = theirs(place, value, resource);
        const got = ours(place, value, resource);
        if (expected === 'error') return;
        if (got !== expected) expect.fail(`${place.key}: ${got} instead of ${expected} for ${JSON.stringify(value)}`);
      }),
      { numRuns: 4000 },
    );
  });

  // fhirpath.js orders only what has a unit of UCUM; of anything else it compares the words "[object Object]".
  const kg = { system: 'http://unitsofmeasure.org', code: 'kg' };
  test.each([
    [{ value: 1, ...kg }, { value: 2, ...kg }, true],
    [{ value: 2, ...kg }, { value: 2, ...kg }, true],
    [{ value: 10, ...kg }, { value: 9, ...kg }, false],
    [{ value: 9 }, { value: 10 }, true],
    [{ value: 10 }, { value: 9 }, false],
    [{ value: 9, unit: 'boxes' }, { value: 10, unit: 'boxes' }, true],
    [{ value: 10, unit: 'boxes' }, { value: 9, unit: 'boxes' }, false],
    [{ value: 9, unit: 'boxes' }, { value: 10, unit: 'cans' }, undefined],
    [{ value: 9, ...kg }, { value: 10, system: kg.system, code: 'm' }, undefined],
    [{ value: 9 }, { unit: 'boxes' }, undefined],
  ])('rng-2: %j up to %j', (low, high, expected) => {
    const place = all.find((p) => p.key === 'rng-2');
    if (!place) return expect.fail('no type has rng-2');
    const range = { low, high };
    const resource = { resourceType: 'Basic' };
    expect(ours(place, range, resource)).toBe(JSON.stringify(expected === undefined ? [] : [expected]));
    if (expected !== undefined && 'code' in low && 'code' in high)
      expect(theirs(place, range, resource)).toBe(JSON.stringify([expected]));
  });

  test.each([
    ['2012-01-01', '2012-01-02', -1],
    ['2012', '2012-05', undefined],
    ['2012', '2013-05', -1],
    ['2012-01-01T10:00:00Z', '2012-01-01T11:00:00+02:00', 1],
    ['2012-01-01T10:00:00.500Z', '2012-01-01T10:00:00Z', 1],
    ['0050-01-01T00:00:00Z', '1950-01-01T00:00:00Z', -1],
    ['2012-01-01', '2012-01-01T10:00:00Z', undefined],
    ['10:00:00', '09:59:59', 1],
  ])('order of %s and %s is told as far as precision allows', (a, b, sign) => {
    const difference = compareMoments(a, b);
    expect(difference === undefined ? undefined : Math.sign(difference)).toBe(sign);
  });

  test('resolve() knows of the target what the reference says', () => {
    const evaluate = compiler.compile(parseFhirPath('subject.where(resolve() is Patient).exists()'));
    const encounter = (reference: string) => node({ resourceType: 'Encounter', subject: { reference } }, 'Encounter');
    const run = (reference: string) =>
      evaluate({ resource: encounter(reference), rootResource: encounter(reference) }, [encounter(reference)])[0]
        ?.value;
    expect(run('Patient/1')).toBe(true);
    expect(run('http://x.example/Patient/1/_history/2')).toBe(true);
    expect(run('Group/1')).toBe(false);
  });
});
