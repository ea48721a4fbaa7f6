/**
 * Walks a resource for the values of a search parameter, without building lists: the form that extraction on every write needs.
 * @see https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
 */
import { referencedType } from '../definitions/reference.ts';
import { searchValues, type SearchParam } from '../definitions/registry.ts';
import type { PathStep, SearchPath } from '../definitions/search-path.ts';

export type Visit = (value: unknown, path: SearchPath) => void;

/** A JSON object, or undefined. */
export const asObject = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;

export const asString = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

const EMPTY: readonly unknown[] = [];
export const asArray = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : EMPTY);

function walk(value: unknown, steps: readonly PathStep[], index: number, path: SearchPath, visit: Visit): void {
  if (value === undefined || value === null) return;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) walk(value[i], steps, index, path, visit);
    return;
  }
  const where = index === 0 ? undefined : steps[index - 1]?.where;
  if (where && (value as Record<string, unknown>)[where.property] !== where.value) return;
  const step = steps[index];
  if (step === undefined) {
    if (path.target === undefined || referencedType(value) === path.target) visit(value, path);
  } else if (typeof value === 'object') {
    walk((value as Record<string, unknown>)[step.property], steps, index + 1, path, visit);
  }
}

/** `X.a.exists() and X.a != false` (Patient.deceased), by far the only computed expression of our types: no FHIRPath engine on the write path. */
const EXISTS_AND_NOT_FALSE = /^\w+\.(\w+)\.exists\(\) and \w+\.\1 != false$/;

function computed(root: unknown, param: SearchParam, path: SearchPath, visit: Visit): void {
  const element = EXISTS_AND_NOT_FALSE.exec(path.compute ?? '')?.[1];
  const object = asObject(root);
  if (element === undefined || object === undefined) {
    for (const found of searchValues(root, { ...param, paths: [path] })) visit(found.value, path);
    return;
  }
  let exists = false;
  for (const property in object) {
    if (property.startsWith(element) && object[property] !== false) exists = true;
  }
  visit(exists, path);
}

/** Calls `visit` for every value of the parameter, path by path, in document order. */
export function eachValue(root: unknown, param: SearchParam, visit: Visit): void {
  for (const path of param.paths) {
    if (path.compute !== undefined) computed(root, param, path, visit);
    else walk(root, path.steps, 0, path, visit);
  }
}

/** All values of a parameter as a list. */
export function listValues(
  root: unknown,
  param: SearchParam,
): { readonly value: unknown; readonly path: SearchPath }[] {
  const out: { value: unknown; path: SearchPath }[] = [];
  eachValue(root, param, (value, path) => out.push({ value, path }));
  return out;
}

const prefixOf = (path: SearchPath): string =>
  path.steps
    .slice(0, -1)
    .map((s) => s.property)
    .join('.');

/** At most one value in a resource: one walk, or the types of one choice element. */
export function isScalar(param: SearchParam): boolean {
  const first = param.paths[0];
  if (first === undefined) return false;
  return param.paths.every(
    (p) =>
      !p.many &&
      (p === first ||
        (p.element !== undefined &&
          p.element === first.element &&
          p.element.choice &&
          prefixOf(p) === prefixOf(first))),
  );
}
