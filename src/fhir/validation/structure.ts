/**
 * Runs the compiled JSON Schema of a type and puts its findings into words.
 * @see https://hl7.org/fhir/R4/validation.html
 */
import { createRequire } from 'node:module';
import type { Definitions } from '../definitions/registry.ts';
import { errorIssue, type Issue } from '../outcome.ts';
import { FORMATS, FORMAT_HINTS } from './formats.ts';
import { isPrimitive } from './schema.ts';

/** What ajv reports. */
interface Finding {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly schemaPath: string;
}

/** A function as ajv makes it: false when there are `errors`. */
export interface StructureCheck {
  (value: unknown): boolean;
  errors?: readonly Finding[] | null;
}

export type Structures = (type: string) => StructureCheck | undefined;

/** Reads `.build/structure.cjs` when a type is first checked. */
export function loadStructures(file: URL = new URL('../../../.build/structure.cjs', import.meta.url)): Structures {
  let all: Readonly<Record<string, StructureCheck>> | undefined;
  return (type) => {
    all ??= (
      createRequire(import.meta.url)(file.pathname) as (
        formats: typeof FORMATS,
      ) => Readonly<Record<string, StructureCheck>>
    )(FORMATS);
    return Object.hasOwn(all, type) ? all[type] : undefined;
  };
}

interface Place {
  /** FHIRPath from the resource on. */
  readonly expression: string;
  readonly value: unknown;
  /** FHIR type of the value at the place. */
  readonly type: string;
  readonly property: string;
  /** The place is an item of an array. */
  readonly item: boolean;
}

/** Follows a JSON pointer through the value and the definitions. */
function locate(definitions: Definitions, root: string, resource: unknown, pointer: string): Place {
  let place: Place = { expression: '', value: resource, type: root, property: root, item: false };
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    const value = (place.value as Record<string, unknown> | undefined)?.[name];
    if (Array.isArray(place.value)) {
      place = { ...place, value, expression: `${place.expression}[${name}]`, item: true };
      continue;
    }
    const plain = name.startsWith('_') ? name.slice(1) : name;
    const element = definitions.element(place.type, plain);
    const type = name.startsWith('_') ? 'Element' : (element?.type ?? '');
    place = {
      expression: `${place.expression}.${element?.def.name ?? plain}`,
      value,
      type,
      property: name,
      item: false,
    };
  }
  return place;
}

/** A value of the sender, short. */
export function shownValue(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function word(
  finding: Finding,
  place: Place,
): { readonly code: 'structure' | 'value' | 'required'; readonly text: string } {
  const { keyword, params } = finding;
  const found = shownValue(place.value);
  switch (keyword) {
    case 'required':
      return { code: 'required', text: `${String(params['missingProperty'])} is required here: add it` };
    case 'minItems':
      return Array.isArray(place.value) && place.value.length === 0
        ? {
            code: 'structure',
            text: `${place.property} is an empty array: give at least one value, or leave the property out`,
          }
        : { code: 'required', text: `${place.property} needs at least ${String(params['limit'])} values` };
    case 'maxItems':
      return { code: 'structure', text: `${place.property} may have at most ${String(params['limit'])} values` };
    case 'format':
    case 'minimum':
    case 'maximum':
      return {
        code: 'value',
        text:
          place.value === ''
            ? `${place.property} is empty: give a value, or leave it out`
            : `${found} is no ${place.type}: it must be ${FORMAT_HINTS[place.type] ?? 'valid'}`,
      };
    default: {
      const wanted = [params['type']].flat();
      if (wanted.includes('array'))
        return {
          code: 'structure',
          text: `${place.property} may repeat, so it must be an array: write [ ] around ${found}`,
        };
      if (Array.isArray(place.value))
        return {
          code: 'structure',
          text: `${place.property} does not repeat${place.item ? ' within its array' : ''}: give one value instead of an array`,
        };
      if (place.value === null)
        return { code: 'structure', text: `${place.property} is null: give a value, or leave the property out` };
      if (isPrimitive(place.type))
        return {
          code: keyword === 'type' && typeof place.value !== 'object' ? 'value' : 'structure',
          text: `${found} is no ${place.type}: it must be ${wanted.includes('string') ? 'a string in double quotes, ' : ''}${FORMAT_HINTS[place.type] ?? ''}`,
        };
      return { code: 'structure', text: `${found} stands where an object (${place.type}) is expected` };
    }
  }
}

/** Every finding of the schema as an issue. @param base FHIRPath of the resource */
export function structureIssues(
  definitions: Definitions,
  check: StructureCheck,
  type: string,
  resource: unknown,
  base: string,
  limit: number,
): Issue[] {
  if (check(resource)) return [];
  const issues: Issue[] = [];
  // Inside of anyOf (null or an Element) a null is a finding of one branch only.
  for (const finding of check.errors ?? []) {
    if (issues.length >= limit) break;
    const place = locate(definitions, type, resource, finding.instancePath);
    if (finding.schemaPath.includes('/anyOf') && (finding.keyword === 'anyOf' || finding.params['type'] === 'null'))
      continue;
    const { code, text } = word(finding, place);
    const missing = finding.keyword === 'required' ? `.${String(finding.params['missingProperty'])}` : '';
    issues.push(errorIssue(code, `${text}.`, `${base}${place.expression}${missing}`));
  }
  return issues;
}
