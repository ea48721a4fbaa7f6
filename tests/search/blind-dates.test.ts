/** The tags of dates stand for the intervals that they were made of. @see https://hl7.org/fhir/R4/search.html#date */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadDefinitions } from '../../src/fhir/definitions/registry.ts';
import { createBlind } from '../../src/fhir/search/blind/blind.ts';
import { hiddenDateColumns, hiddenDateKind } from '../../src/fhir/search/blind/date.ts';
import { columnsFor } from '../../src/fhir/search/sql.ts';
import type { Meaning } from '../../src/fhir/search/kind.ts';
import { compile } from '../../src/platform/database/sql.ts';
import { NOW } from './support.ts';

const definitions = loadDefinitions();
const sealed = (type: string) => ({ type, sealed: { plain: [] }, storage: 'ordinary' as const });
const blind = createBlind([sealed('Patient'), sealed('Account'), sealed('Provenance')], () => ({
  derive: () => new Uint8Array(32),
}));
const meaning = { nowMs: NOW } as Meaning;

const paramOf = (type: string, code: string) => {
  const param = definitions.searchParams(type).get(code);
  if (!param) throw new Error(`${type} has no ${code}`);
  return param;
};

const two = (n: number): string => String(n).padStart(2, '0');
const year = fc.oneof(
  fc.integer({ min: 1848, max: 1852 }),
  fc.integer({ min: 1999, max: 2001 }),
  fc.constantFrom(2150, 2151),
);
const day = fc
  .tuple(year, fc.constantFrom(1, 2, 12), fc.constantFrom(1, 2, 28))
  .map(([y, m, d]) => `${y}-${two(m)}-${two(d)}`);
const dates = fc.oneof(
  year.map(String),
  day.map((d) => d.slice(0, 7)),
  day,
);
const times = fc
  .tuple(day, fc.constantFrom('00:00:00', '12:30:00', '23:59:59.999'), fc.constantFrom('Z', '+02:00', '-05:00'))
  .map(([d, t, zone]) => `${d}T${t}${zone}`);
const moments = fc.oneof(dates, times);
const periods = fc
  .record({ start: fc.option(moments, { nil: undefined }), end: fc.option(moments, { nil: undefined }) })
  .filter(({ start, end }) => start !== undefined || end !== undefined);

const KINDS = [
  ['date', paramOf('Patient', 'birthdate'), dates, (value: unknown) => ({ birthDate: value }), dates],
  ['dateTime', paramOf('Patient', 'death-date'), moments, (value: unknown) => ({ deceasedDateTime: value }), moments],
  ['instant', paramOf('Provenance', 'recorded'), times, (value: unknown) => ({ recorded: value }), moments],
  ['Period', paramOf('Account', 'period'), periods, (value: unknown) => ({ servicePeriod: value }), moments],
] as const;
const PREFIXES = fc.constantFrom('eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap');

test.each(KINDS)(
  '%s: whatever matches has one of the tags; where they are exact, nothing else has',
  (kind, param, values, make, searched) => {
    const tag = blind.tagger(param.resourceType, param.code.replaceAll('-', '_'));
    const extract = hiddenDateColumns(tag).extractor(param);
    const [type] = param.datatypes;
    const path = param.paths[0];
    if (!path || type === undefined) throw new Error(`${kind} has no path`);
    let exact = 0;
    fc.assert(
      fc.property(values as fc.Arbitrary<unknown>, PREFIXES, searched, (value, prefix, text) => {
        const out: (string | null)[] = [];
        extract(make(value), out, 0);
        const stored = new Set((out[0] ?? '{}').slice(1, -1).split(','));
        const wanted = hiddenDateKind.parse(prefix + text, param, undefined, meaning, param.code);
        const columns = columnsFor({ definitions, blind }, { type: param.resourceType, alias: 'r' }, param);
        const condition = hiddenDateKind.condition(columns, undefined, [wanted], meaning);
        const asked = compile(condition.sql).values.flat().map(String);
        const found = asked.some((t) => stored.has(t));
        const matches = hiddenDateKind.matches(param, [{ value, path }], undefined, [wanted], meaning);
        if (matches) expect(found).toBe(true);
        if (condition.exact) {
          expect(found).toBe(matches);
          exact++;
        }
        expect(asked.length).toBeLessThan(500);
      }),
      { numRuns: 3000 },
    );
    if (kind === 'date') expect(exact).toBeGreaterThan(1500);
    else expect(exact).toBeGreaterThan(20);
  },
);
