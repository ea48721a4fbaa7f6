/**
 * The functions of FHIRPath that the evaluator has.
 * @see https://hl7.org/fhirpath/N1/#functions
 */
import { node, type Navigator, type Node } from './node.ts';
import { referencedType } from '../reference.ts';
import { distinct, union, UnsupportedValue } from './values.ts';
import { isNarrative } from './xhtml.ts';

type Nodes = readonly Node[];
type Plain = (input: Nodes, args: readonly Nodes[], navigator: Navigator) => Nodes;
type Lambda = (input: Nodes, body: (item: Node) => Nodes) => Nodes;

const bool = (value: boolean): Nodes => [node(value, 'boolean')];
const integer = (value: number): Nodes => [node(value, 'integer')];

const isTrue = (nodes: Nodes): boolean => nodes.length === 1 && nodes[0]?.value === true;

function only(nodes: Nodes): Node | undefined {
  if (nodes.length > 1) throw new UnsupportedValue('one value is expected');
  return nodes[0];
}

function stringOf(nodes: Nodes | undefined): string | undefined {
  const value = only(nodes ?? [])?.value;
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw new UnsupportedValue('a string is expected');
  return value;
}

/** A function of a string and one string argument; empty when either is. */
const ofStrings =
  (apply: (text: string, argument: string) => Nodes): Plain =>
  (input, [argument]) => {
    const text = stringOf(input);
    const other = stringOf(argument);
    return text === undefined || other === undefined ? [] : apply(text, other);
  };

/** Every node below, in document order. */
function descendants(input: Nodes, navigator: Navigator): Nodes {
  const out: Node[] = [];
  let level = [...input];
  while (level.length > 0) {
    const next: Node[] = [];
    for (const n of level) navigator.children(n, next);
    for (const n of next) out.push(n);
    level = next;
  }
  return out;
}

export const FUNCTIONS: Readonly<Record<string, Plain>> = {
  exists: (input) => bool(input.length > 0),
  empty: (input) => bool(input.length === 0),
  not: (input) => {
    const value = only(input)?.value;
    return input.length === 0 ? [] : bool(value === false);
  },
  count: (input) => integer(input.length),
  first: (input) => input.slice(0, 1),
  last: (input) => input.slice(-1),
  tail: (input) => input.slice(1),
  single: (input) => {
    only(input);
    return input;
  },
  hasValue: (input) => bool(input.length === 1 && input[0]?.value !== undefined && typeof input[0].value !== 'object'),
  distinct: (input) => distinct(input),
  isDistinct: (input) => bool(distinct(input).length === input.length),
  combine: (input, [other = []]) => [...input, ...other],
  union: (input, [other = []]) => union(input, other),
  allTrue: (input) => bool(input.every((n) => n.value === true)),
  allFalse: (input) => bool(input.every((n) => n.value === false)),
  anyTrue: (input) => bool(input.some((n) => n.value === true)),
  anyFalse: (input) => bool(input.some((n) => n.value === false)),
  children: (input, _, navigator) => {
    const out: Node[] = [];
    for (const n of input) navigator.children(n, out);
    return out;
  },
  descendants: (input, _, navigator) => descendants(input, navigator),
  extension: (input, [url], navigator) => {
    const wanted = stringOf(url);
    const out: Node[] = [];
    for (const n of input) navigator.child(n, 'extension', out);
    return out.filter((e) => (e.value as { url?: unknown }).url === wanted);
  },
  // Nothing is fetched: what the reference says of its target is all that is known of it.
  resolve: (input) =>
    input.flatMap((n) => {
      const type = referencedType(n.value);
      return type === undefined ? [] : [node({ resourceType: type }, type)];
    }),
  startsWith: ofStrings((text, start) => bool(text.startsWith(start))),
  endsWith: ofStrings((text, end) => bool(text.endsWith(end))),
  contains: ofStrings((text, part) => bool(text.includes(part))),
  matches: ofStrings((text, pattern) => bool(regex(pattern, '').test(text))),
  replaceMatches: (input, [pattern, replacement]) => {
    const text = stringOf(input);
    const by = stringOf(replacement);
    const what = stringOf(pattern);
    return text === undefined || by === undefined || what === undefined
      ? []
      : [node(text.replace(regex(what, 'g'), by), 'string')];
  },
  length: (input) => {
    const text = stringOf(input);
    return text === undefined ? [] : integer(text.length);
  },
  substring: (input, [start, length]) => {
    const text = stringOf(input);
    const from = only(start ?? [])?.value;
    const count = only(length ?? [])?.value;
    if (text === undefined || typeof from !== 'number' || from < 0 || from >= text.length) return [];
    return [node(typeof count === 'number' ? text.slice(from, from + Math.max(count, 0)) : text.slice(from), 'string')];
  },
  toString: (input: Nodes): Nodes => {
    const value = only(input)?.value;
    return value === undefined || typeof value === 'object' ? [] : [node(String(value), 'string')];
  },
  toInteger: (input) => {
    const value = only(input)?.value;
    if (typeof value === 'boolean') return integer(value ? 1 : 0);
    if (typeof value === 'number') return Number.isInteger(value) ? integer(value) : [];
    return typeof value === 'string' && /^[+-]?\d{1,15}$/.test(value) ? integer(Number(value)) : [];
  },
  htmlChecks: (input) => bool(input.every((n) => typeof n.value !== 'string' || isNarrative(n.value))),
};

export const LAMBDAS: Readonly<Record<string, Lambda>> = {
  where: (input, body) => input.filter((n) => isTrue(body(n))),
  select: (input, body) => input.flatMap((n) => body(n)),
  exists: (input, body) => bool(input.some((n) => isTrue(body(n)))),
  all: (input, body) => bool(input.every((n) => isTrue(body(n)))),
};

/** Patterns come from definitions only, never from clients. */
function regex(pattern: string, flags: string): RegExp {
  try {
    return new RegExp(pattern, `${flags}su`);
  } catch {
    return new RegExp(pattern, `${flags}s`);
  }
}
