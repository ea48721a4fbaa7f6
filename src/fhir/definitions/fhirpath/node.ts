/**
 * Values of a resource as FHIRPath sees them: with their FHIR type, and primitives together with their `_sibling`.
 * @see https://hl7.org/fhir/R4/fhirpath.html#types
 */
import type { ElementDef, TypeDef } from '../model.ts';

/** What the evaluator asks of the definitions. */
export interface Model {
  type(name: string): TypeDef | undefined;
  element(type: string, property: string): { readonly def: ElementDef; readonly type: string } | undefined;
  elements(type: string): readonly ElementDef[];
}

export interface Node {
  /** undefined: a primitive that has only a sibling (extensions). */
  readonly value: unknown;
  /** FHIR type; '' when unknown. */
  readonly type: string;
  readonly sibling: unknown;
}

export const node = (value: unknown, type: string, sibling?: unknown): Node => ({ value, type, sibling });

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const ABSTRACT = new Set(['Resource', 'DomainResource']);

/** Type of a value in an element of a type: resources say their own. */
function actualType(type: string, value: unknown): string {
  if (!ABSTRACT.has(type) || !isObject(value)) return type;
  const own = value['resourceType'];
  return typeof own === 'string' ? own : type;
}

function add(out: Node[], value: unknown, sibling: unknown, type: string): void {
  if (Array.isArray(value) || Array.isArray(sibling)) {
    const values: readonly unknown[] = Array.isArray(value) ? value : [];
    const siblings: readonly unknown[] = Array.isArray(sibling) ? sibling : [];
    for (let i = 0; i < Math.max(values.length, siblings.length); i++) add(out, values[i], siblings[i], type);
    return;
  }
  if ((value === undefined || value === null) && !isObject(sibling)) return;
  out.push({ value: value ?? undefined, type: actualType(type, value), sibling: sibling ?? undefined });
}

interface Step {
  readonly property: string;
  readonly type: string;
}

export interface Navigator {
  readonly model: Model;
  /** Adds the children of a node by element name to `out`; a choice by the name before `[x]`. */
  child(from: Node, name: string, out: Node[]): void;
  /** Adds all children. */
  children(from: Node, out: Node[]): void;
  /** Whether the type is the other or derives from it. */
  derives(type: string, from: string): boolean;
  /** Properties in JSON of an element; more than one for a choice. */
  steps(type: string, name: string): readonly Step[];
}

const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);

export function createNavigator(model: Model): Navigator {
  const cache = new Map<string, Map<string, readonly Step[]>>();

  const find = (type: string, name: string): readonly Step[] => {
    const known = model.element(type, name);
    if (known !== undefined && !known.def.choice) return [{ property: name, type: known.type }];
    const choice = model.elements(type).find((e) => e.choice && e.name === name);
    if (choice) return choice.types.map((t) => ({ property: name + capital(t.code), type: t.code }));
    // A type without definition (a contained resource of a type not served): properties as written.
    return model.type(type) === undefined ? [{ property: name, type: '' }] : [];
  };

  const steps = (type: string, name: string): readonly Step[] => {
    let byName = cache.get(type);
    if (!byName) cache.set(type, (byName = new Map()));
    let found = byName.get(name);
    if (!found) {
      found = find(type, name);
      // Names come from expressions, types from definitions and input: only the latter could fill memory.
      if (model.type(type) !== undefined) byName.set(name, found);
    }
    return found;
  };

  return {
    model,
    steps,
    child(from, name, out) {
      if (isObject(from.value)) {
        for (const { property, type } of steps(from.type, name))
          add(out, from.value[property], from.value[`_${property}`], type);
      } else if (isObject(from.sibling)) {
        for (const { property, type } of steps('Element', name))
          add(out, from.sibling[property], from.sibling[`_${property}`], type);
      }
    },
    children(from, out) {
      const { value, type } = isObject(from.value)
        ? { value: from.value, type: from.type }
        : { value: from.sibling, type: 'Element' };
      if (!isObject(value)) return;
      for (const key of Object.keys(value)) {
        if (key === 'resourceType') continue;
        const property = key.startsWith('_') ? key.slice(1) : key;
        if (property !== key && value[property] !== undefined) continue;
        add(out, value[property], value[`_${property}`], model.element(type, property)?.type ?? '');
      }
    },
    derives(type, from) {
      for (let t: string | undefined = type; t !== undefined; t = model.type(t)?.base) if (t === from) return true;
      return false;
    },
  };
}
