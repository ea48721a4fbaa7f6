/** What is printed of a search means the same search. @see https://hl7.org/fhir/R4/search.html#conformance */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readdir } from 'node:fs/promises';
import { loadDefinitions, type SearchParam } from '../../src/fhir/definitions/registry.ts';
import { parseQuery } from '../../src/fhir/http/url.ts';
import { declareResources, type ResourceModule } from '../../src/operation-context.ts';
import type { ResourceDeclaration } from '../../src/fhir/resource.ts';
import { createBlind } from '../../src/fhir/search/blind/blind.ts';
import { escape, splitEscaped, unescape } from '../../src/fhir/search/escape.ts';
import type { Meaning } from '../../src/fhir/search/kind.ts';
import { kindOf } from '../../src/fhir/search/kinds.ts';
import { parseSearch } from '../../src/fhir/search/parse.ts';
import { encodePairs, printSearch, withPage } from '../../src/fhir/search/print.ts';
import { loadTerminology } from '../../src/fhir/terminology/terminology.ts';
import { BASE, LIMITS, NOW } from './support.ts';

const definitions = loadDefinitions();
const folder = new URL('../../src/resources/', import.meta.url);
const resources = new Map<string, ResourceDeclaration>();
for (const name of await readdir(folder)) {
  const { default: declaration } = (await import(new URL(name, folder).href)) as { default: ResourceModule };
  for (const declared of declareResources([declaration])) resources.set(declared.type, declared);
}
const blind = createBlind([], () => ({ derive: () => new Uint8Array(32) }));
const meaning: Meaning = { definitions, blind, terminology: loadTerminology(), baseUrl: BASE, nowMs: NOW, kindOf };
const engine = { definitions, resources, limits: LIMITS };

const parse = (type: string, query: string) =>
  parseSearch(engine, meaning, [type], parseQuery(query), { strict: true, typeFilter: false });

const text = fc
  .string({
    unit: fc.constantFrom('a', 'B', 'é', ' ', ',', '|', '$', '\\', '+', '&', '=', '%', '"', '/', ':', '😀', '1'),
    minLength: 1,
    maxLength: 8,
  })
  .filter((t) => t.trim() !== '');
const word = fc.constantFrom('a', 'b-1', 'c.2', 'Zz');
const prefix = fc.constantFrom('', 'eq', 'ne', 'gt', 'lt', 'ge', 'le', 'sa', 'eb', 'ap');
const date = fc.constantFrom(
  '2026',
  '2026-02',
  '2026-02-28',
  '2026-02-28T10:00',
  '2026-02-28T10:00:00Z',
  '2026-02-28T10:00:00.123+05:30',
  '2026-02-28T10:00:00 05:30',
);
const number = fc.constantFrom('1', '-1', '1.00', '5.4e-3', '100', '0');

function valueOf(param: SearchParam): fc.Arbitrary<string> {
  switch (param.type) {
    case 'string':
    case 'uri':
      return text.map(escape);
    case 'token':
      if (param.datatypes.size === 1 && param.datatypes.has('boolean'))
        return fc.constantFrom('true', 'false', '|true', 'http://terminology.hl7.org/CodeSystem/special-values|false');
      return fc.oneof(
        text.map(escape),
        fc.tuple(text, text).map(([s, c]) => `${escape(s)}|${escape(c)}`),
        text.map((c) => `|${escape(c)}`),
        text.map((s) => `${escape(s)}|`),
      );
    case 'date':
      return fc.tuple(prefix, date).map(([p, d]) => p + d);
    case 'number':
      return fc.tuple(prefix, number).map(([p, n]) => p + n);
    case 'quantity':
      return fc
        .tuple(prefix, number, fc.option(fc.tuple(text, text)))
        .map(([p, n, unit]) => p + n + (unit ? `|${escape(unit[0])}|${escape(unit[1])}` : ''));
    case 'reference':
      return fc.oneof(
        word,
        word.map((i) => `Patient/${i}`),
        word.map((i) => `${BASE}/Location/${i}`),
        word.map((i) => `http://other.example/Patient/${i}`),
        word.map((i) => `Group/${i}/_history/2`),
      );
    case 'special':
      return fc
        .tuple(fc.integer({ min: -90, max: 90 }), fc.integer({ min: -180, max: 180 }), fc.nat(500))
        .map(([a, o, d]) => `${a}|${o}|${d}|km`);
    case 'composite':
      return fc.tuple(...param.components.map((c) => valueOf(c.param))).map((parts) => parts.join('$'));
    default:
      return param.type satisfies never;
  }
}

interface Criterion {
  readonly name: string;
  readonly value: string;
}

function criterionOf(type: string, depth: number): fc.Arbitrary<Criterion> {
  const params = [...definitions.searchParams(type).values()];
  const plain = fc.constantFrom(...params).chain((param): fc.Arbitrary<Criterion> => {
    const values = fc.array(valueOf(param), { minLength: 1, maxLength: 3 }).map((v) => v.join(','));
    const modifiers = kindOf(param)
      .modifiers(param)
      .filter((m) => m === 'exact' || m === 'contains' || m === 'not' || (m === 'below' && param.type === 'uri'));
    return fc.oneof(
      values.map((value) => ({ name: param.code, value })),
      fc.boolean().map((missing) => ({ name: `${param.code}:missing`, value: String(missing) })),
      ...modifiers.map((m) => values.map((value) => ({ name: `${param.code}:${m}`, value }))),
    );
  });
  if (depth === 0) return plain;
  const references = params.filter((p) => p.type === 'reference');
  const chains = references.flatMap((param) =>
    param.targets
      .filter((t) => resources.has(t))
      .slice(0, 2)
      .map((target) =>
        criterionOf(target, depth - 1).map((c) => ({ name: `${param.code}:${target}.${c.name}`, value: c.value })),
      ),
  );
  const reverse = ['Appointment', 'Encounter', 'Schedule'].flatMap((source) =>
    [...definitions.searchParams(source).values()]
      .filter((p) => p.type === 'reference' && p.targets.includes(type))
      .slice(0, 2)
      .map((param) =>
        criterionOf(source, depth - 1).map((c) => ({ name: `_has:${source}:${param.code}:${c.name}`, value: c.value })),
      ),
  );
  return fc.oneof(
    { arbitrary: plain, weight: 3 },
    ...chains.slice(0, 4).map((arbitrary) => ({ arbitrary, weight: 1 })),
    ...reverse.map((arbitrary) => ({ arbitrary, weight: 1 })),
  );
}

const results = fc.record({
  sort: fc.option(fc.constantFrom('_id', '-_lastUpdated', '_lastUpdated,-_id')),
  count: fc.option(fc.nat(2000)),
  include: fc.option(
    fc.constantFrom('_include=*', '_include:iterate=Appointment:patient', '_revinclude=Provenance:target'),
  ),
  summary: fc.option(fc.constantFrom('true', 'data', 'count', 'false')),
  total: fc.option(fc.constantFrom('accurate', 'none')),
});

test('parse(print(parse(query))) is parse(query), for every parameter of every type', () => {
  const searches = fc.constantFrom(...resources.keys()).chain((type) =>
    fc.record({
      type: fc.constant(type),
      criteria: fc.array(criterionOf(type, 2), { maxLength: 4 }),
      result: results,
    }),
  );
  fc.assert(
    fc.property(searches, ({ type, criteria, result }) => {
      const query = [
        ...criteria.map(({ name, value }) => `${name}=${encodeURIComponent(value)}`),
        ...(result.sort ? [`_sort=${result.sort}`] : []),
        ...(result.count === null ? [] : [`_count=${result.count}`]),
        ...(result.include ? [result.include] : []),
        ...(result.summary ? [`_summary=${result.summary}`] : []),
        ...(result.total ? [`_total=${result.total}`] : []),
      ].join('&');
      const parsed = parse(type, query);
      const print = (search: typeof parsed): string =>
        withPage(encodePairs(printSearch(search)), search.result.count, undefined).slice(1);
      const printed = print(parsed);
      expect(printed).not.toContain('+');
      const again = parse(type, printed);
      expect(again).toEqual(parsed);
      expect(print(again)).toBe(printed);
    }),
    { numRuns: 1500 },
  );
});

test('R4 3.1.1.4.4 escapes: any text survives, separators split only where they stand bare', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom('a', ',', '|', '$', '\\', 'é') }), { minLength: 1, maxLength: 4 }),
      (parts) => {
        for (const separator of [',', '|', '$'] as const) {
          expect(splitEscaped(parts.map(escape).join(separator), separator).map(unescape)).toEqual(parts);
        }
      },
    ),
  );
});
