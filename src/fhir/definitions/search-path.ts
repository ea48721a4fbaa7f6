/**
 * The FHIRPath of a SearchParameter as plain walks over a resource, with the datatype and cardinality of what they yield,
 * so that columns can take their shape from it and extraction costs microseconds. The build compiles them (search-path-compile.ts).
 * @see https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
 */
import type { ElementDef } from './model.ts';

/** One step into a property; `where` keeps only children whose property `name` equals `value`. */
export interface PathStep {
  readonly property: string;
  readonly many: boolean;
  readonly where?: { readonly property: string; readonly value: string | boolean };
}

/** A walk from the root to values of one datatype. */
export interface SearchPath {
  readonly steps: readonly PathStep[];
  /** FHIR type of the values: a datatype, or a backbone path. */
  readonly type: string;
  /** More than one value is possible. */
  readonly many: boolean;
  /** From `resolve() is T`: keep only references to this resource type. */
  readonly target?: string;
  /** Element at the end: its binding tells the implicit system of codes. */
  readonly element?: ElementDef;
  /** Not a walk: the value is this FHIRPath's result (one boolean). */
  readonly compute?: string;
  /** Evaluates `compute`. */
  readonly evaluate?: (resource: unknown) => unknown[];
}

/** A value found by a walk, with its FHIR datatype. */
export interface TypedValue {
  readonly type: string;
  readonly value: unknown;
  readonly path: SearchPath;
}

const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);

/** Property name in JSON of a choice element with this type: `value` + `Quantity`. */
export const choiceProperty = (name: string, type: string): string => name + capital(type);

function collect(value: unknown, steps: readonly PathStep[], index: number, out: unknown[]): void {
  if (value === undefined || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) collect(item, steps, index, out);
    return;
  }
  const previous = steps[index - 1];
  if (previous?.where && (value as Record<string, unknown>)[previous.where.property] !== previous.where.value) return;
  const step = steps[index];
  if (!step) {
    out.push(value);
    return;
  }
  if (typeof value === 'object') collect((value as Record<string, unknown>)[step.property], steps, index + 1, out);
}

/** Values at the end of a walk, in document order. `resolve() is T` is left to the caller (see `target`). */
export function walkPath(root: unknown, path: SearchPath): unknown[] {
  const out: unknown[] = [];
  collect(root, path.steps, 0, out);
  return out;
}
