/**
 * Equality, membership and order of nodes.
 * @see https://hl7.org/fhirpath/N1/#equality
 */
import type { Node } from './node.ts';
import { compareMoments } from './temporal.ts';

/** Operands that the operator does not take: the expression has no answer. */
export class UnsupportedValue extends Error {}

const MOMENTS = new Set(['date', 'dateTime', 'instant', 'time']);

function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every(
      (k) => Object.hasOwn(b, k) && sameValue((a as Record<string, unknown>)[k], (b as Record<string, unknown>)[k]),
    )
  );
}

function sameNode(a: Node, b: Node): boolean | undefined {
  if (typeof a.value === 'string' && typeof b.value === 'string' && MOMENTS.has(a.type) && MOMENTS.has(b.type)) {
    const difference = compareMoments(a.value, b.value);
    return difference === undefined ? undefined : difference === 0;
  }
  if (a.value === undefined || b.value === undefined) return a.value === b.value && sameValue(a.sibling, b.sibling);
  return sameValue(a.value, b.value);
}

/** `=`: undefined when one side is empty. */
export function equal(left: readonly Node[], right: readonly Node[]): boolean | undefined {
  if (left.length === 0 || right.length === 0) return undefined;
  if (left.length !== right.length) return false;
  let result: boolean | undefined = true;
  for (const [i, l] of left.entries()) {
    const r = right[i];
    const same = r === undefined ? false : sameNode(l, r);
    if (same === false) return false;
    if (same === undefined) result = undefined;
  }
  return result;
}

/** Values of a collection as a set. */
export type ValuesOf = (nodes: readonly Node[]) => ReadonlySet<unknown>;

/** Sets are kept with their collections: the same long one may be asked many times. */
export function createValuesOf(): ValuesOf {
  const known = new WeakMap<readonly Node[], ReadonlySet<unknown>>();
  return (nodes) => {
    let values = known.get(nodes);
    if (values === undefined) known.set(nodes, (values = new Set(nodes.map((n) => n.value))));
    return values;
  };
}

/** `in`: the only node of `left` is among `right`; undefined when `left` is empty. */
export function isSubset(left: readonly Node[], right: readonly Node[], valuesOf: ValuesOf): boolean | undefined {
  const [only] = left;
  if (only === undefined) return undefined;
  if (left.length > 1) throw new UnsupportedValue('one value is expected');
  if (right.length > 16 && typeof only.value === 'string' && !MOMENTS.has(only.type))
    return valuesOf(right).has(only.value);
  return right.some((r) => sameNode(only, r) === true);
}

/** Distinct nodes of a collection, in order: by a key for primitives, so that a long list stays cheap. */
export function distinct(nodes: readonly Node[]): readonly Node[] {
  const seen = new Set<unknown>();
  const complex: Node[] = [];
  return nodes.filter((n) => {
    if (typeof n.value !== 'object' && n.value !== undefined) {
      if (seen.has(n.value)) return false;
      seen.add(n.value);
      return true;
    }
    if (complex.some((c) => sameNode(c, n) === true)) return false;
    complex.push(n);
    return true;
  });
}

export const union = (left: readonly Node[], right: readonly Node[]): readonly Node[] => distinct([...left, ...right]);

/** Sign of `a - b`; undefined when it cannot be told (precision, units). */
export function comparable(a: Node, b: Node): number | undefined {
  if (typeof a.value === 'number' && typeof b.value === 'number') return a.value - b.value;
  if (typeof a.value === 'string' && typeof b.value === 'string') {
    if (MOMENTS.has(a.type) || MOMENTS.has(b.type)) return compareMoments(a.value, b.value);
    return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
  }
  const left = quantity(a);
  const right = quantity(b);
  return left !== undefined && right !== undefined && left.unit === right.unit ? left.value - right.value : undefined;
}

function quantity(n: Node): { readonly value: number; readonly unit: string } | undefined {
  if (typeof n.value !== 'object' || n.value === null) return undefined;
  const { value, system, code, unit } = n.value as Record<string, unknown>;
  if (typeof value !== 'number') return undefined;
  return { value, unit: JSON.stringify([system, code ?? unit]) };
}
