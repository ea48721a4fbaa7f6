/** The examples in the pages on working hours and booking rules are what the server takes. @see docs/availability.md */
import { readFileSync } from 'node:fs';
import type { ElementDefinition, Resource, StructureDefinition } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { declareResources } from '../../src/operation-context.ts';
import type { ResourceDeclaration } from '../../src/fhir/resource.ts';
import healthcareService from '../../src/resources/HealthcareService.ts';
import location from '../../src/resources/Location.ts';
import schedule from '../../src/resources/Schedule.ts';
import slot from '../../src/resources/Slot.ts';
import { validator } from '../support/definitions.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition/';

interface Part {
  readonly url: string;
  readonly extension?: readonly Part[];
}

const root = new URL('../../', import.meta.url);
const elementsOf = (code: string): readonly ElementDefinition[] => {
  const text = readFileSync(new URL(`fhir-profiles/StructureDefinition-kairos-${code}.json`, root), 'utf8');
  return (JSON.parse(text) as StructureDefinition).differential?.element ?? [];
};

/** `availableTime.break.start` of every part. */
const partsOf = (code: string): readonly string[] =>
  elementsOf(code).flatMap(({ id = '', sliceName }) =>
    sliceName === undefined ? [] : [id.replaceAll('Extension.', '').replaceAll('extension:', '')],
  );

const PAGES = [
  {
    page: 'availability',
    extension: 'schedule-availability',
    base: { resourceType: 'Schedule', actor: [{ display: 'x' }] },
  },
  { page: 'booking-rules', extension: 'scheduling-parameters', base: { resourceType: 'HealthcareService' } },
] as const;

/** A whole resource, or one in which the parts stand. */
function resourceOf(block: unknown, { extension, base }: (typeof PAGES)[number]): object {
  if (typeof block === 'object' && block !== null && 'resourceType' in block) return block;
  return { ...base, extension: [{ url: OWN + extension, extension: Array.isArray(block) ? block : [block] }] };
}

const DECLARED: readonly ResourceDeclaration[] = declareResources([schedule, healthcareService, location, slot]);

/** By the validator, and by the rules of the type's own. */
const errors = (resource: object): readonly string[] =>
  [
    ...validator.validate(resource),
    ...DECLARED.filter((d) => 'resourceType' in resource && d.type === resource.resourceType).flatMap(
      (d) => d.check?.(resource as Resource) ?? [],
    ),
  ]
    .filter((i) => i.severity === 'error')
    .map((i) => `${i.expression?.[0] ?? ''}: ${i.diagnostics ?? ''}`);

/** Paths of the parts that an example has. */
const pathsIn = (parts: readonly Part[], above = ''): readonly string[] =>
  parts.flatMap(({ url, extension = [] }) => [above + url, ...pathsIn(extension, `${above}${url}.`)]);

function partsIn(resource: object, url: string): readonly Part[] {
  const { extension = [] } = resource as { extension?: readonly Part[] };
  return extension.filter((e) => e.url === url).flatMap((e) => e.extension ?? []);
}

/** The same, with one of its parts misspelt: every way to do so. */
function* misspelt(value: unknown): Generator<unknown> {
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) for (const other of misspelt(item)) yield value.with(i, other);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      if (key === 'url' && typeof item === 'string' && (!item.includes('/') || item.startsWith(OWN)))
        yield { ...value, url: `${item}s` };
      if (key.startsWith('value') || key === 'resourceType') continue;
      for (const other of misspelt(item)) yield { ...value, [key]: other };
    }
  }
}

describe.each(PAGES.map((page) => [page.page, page] as const))('docs/%s.md', (_page, page) => {
  const text = readFileSync(new URL(`docs/${page.page}.md`, root), 'utf8');
  const blocks = [...text.matchAll(/^```json\n(.*?)^```$/gms)].map(({ index, 1: json = '' }) => ({
    line: text.slice(0, index).split('\n').length,
    resource: resourceOf(JSON.parse(json) as unknown, page),
  }));
  const resources = blocks.map(({ resource }) => resource);

  test.each(blocks)('the example in line $line', ({ resource }) => {
    expect(errors(resource)).toEqual([]);
  });

  test('an example that is wrong would be noticed', () => {
    let tried = 0;
    for (const resource of resources) {
      for (const wrong of misspelt(resource)) {
        tried++;
        expect(errors(wrong as object), JSON.stringify(wrong)).not.toEqual([]);
      }
    }
    expect(tried).toBeGreaterThan(50);
  });

  test('there is an example of every part, and a word on it', () => {
    const shown = new Set(resources.flatMap((r) => pathsIn(partsIn(r, OWN + page.extension))));
    const parts = partsOf(page.extension);
    expect(parts.length).toBeGreaterThan(20);
    expect(parts.filter((part) => !shown.has(part))).toEqual([]);
    const prose = text.replaceAll(/^```json\n.*?^```$/gms, '');
    const top = parts.filter((part) => !part.includes('.'));
    expect(top.filter((part) => !prose.includes(`\`${part}\``))).toEqual([]);
  });
});
