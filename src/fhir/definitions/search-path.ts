/**
 * Compiles the FHIRPath of a SearchParameter into plain walks over a resource, with the datatype and cardinality of what they yield,
 * so that columns can take their shape from it and extraction costs microseconds.
 * @see https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
 */
import fhirpath from 'fhirpath';
import type { ElementDef, TypeDef } from './model.ts';

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
}

/** A value found by a walk, with its FHIR datatype. */
export interface TypedValue {
  readonly type: string;
  readonly value: unknown;
  readonly path: SearchPath;
}

interface Node {
  readonly type: string;
  readonly text?: string;
  readonly children?: readonly Node[];
}

export type TypeLookup = (name: string) => TypeDef | undefined;

const parse = (expression: string): Node => fhirpath.parse(expression) as unknown as Node;

class Unsupported extends Error {}

interface State extends SearchPath {
  /** A choice element not yet narrowed to a type. */
  readonly choice?: ElementDef;
}

const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);

/** Property name in JSON of a choice element with this type: `value` + `Quantity`. */
export const choiceProperty = (name: string, type: string): string => name + capital(type);

function identifier(node: Node | undefined): string {
  if (!node) throw new Unsupported();
  if (node.type === 'Identifier' && node.text) return node.text.replaceAll('`', '');
  return identifier(node.children?.[0]);
}

function stringOf(node: Node): string | boolean {
  if (node.type === 'StringLiteral' && node.text) return node.text.slice(1, -1);
  if (node.type === 'BooleanLiteral') return node.text === 'true';
  const child = node.children?.[0];
  if (!child) throw new Unsupported();
  return stringOf(child);
}

class Compiler {
  readonly root: string;
  readonly lookup: TypeLookup;
  constructor(root: string, lookup: TypeLookup) {
    this.root = root;
    this.lookup = lookup;
  }

  findElement(typeName: string, name: string): ElementDef | undefined {
    for (let type = this.lookup(typeName); type; type = type.base ? this.lookup(type.base) : undefined) {
      const found = type.elements.find((e) => e.name === name);
      if (found) return found;
    }
    return undefined;
  }

  child(state: State, name: string): State[] {
    const from = state.choice ? this.expand(state) : [state];
    return from.flatMap((s) => {
      const element = this.findElement(s.type, name);
      if (!element) return [];
      if (element.choice) return [{ ...s, choice: element }];
      return [this.step(s, element, element.name, element.backbone ?? element.types[0]?.code ?? '')];
    });
  }

  step(state: State, element: ElementDef, property: string, type: string): State {
    const many = element.max > 1;
    return { steps: [...state.steps, { property, many }], type, many: state.many || many, element };
  }

  /** All types of a pending choice, each with its own property. */
  expand(state: State): State[] {
    const choice = state.choice;
    if (!choice) return [state];
    const { choice: _, ...rest } = state;
    return choice.types.map((t) => this.step(rest, choice, choiceProperty(choice.name, t.code), t.code));
  }

  ofType(states: State[], type: string): State[] {
    const wanted = type.toLowerCase();
    return states.flatMap((s) => this.expand(s)).filter((s) => s.type.toLowerCase() === wanted);
  }

  walk(node: Node, from: State[]): State[] {
    const [first, second] = node.children ?? [];
    switch (node.type) {
      case 'EntireExpression':
      case 'TermExpression':
      case 'InvocationTerm':
      case 'ParenthesizedTerm':
        if (!first) throw new Unsupported();
        return this.walk(first, from);
      case 'UnionExpression':
        if (!first || !second) throw new Unsupported();
        return [...this.walk(first, from), ...this.walk(second, from)];
      case 'InvocationExpression':
        if (!first || !second) throw new Unsupported();
        return this.walk(second, this.walk(first, from));
      case 'TypeExpression':
        if (!first || !second || node.text !== 'as') throw new Unsupported();
        return this.ofType(this.walk(first, from), identifier(second));
      case 'MemberInvocation': {
        const name = identifier(node);
        const atRoot = from.length === 1 && from[0]?.steps.length === 0;
        if (atRoot && /^[A-Z]/.test(name)) {
          return name === this.root || name === 'Resource' || name === 'DomainResource' ? from : [];
        }
        return from.flatMap((s) => this.child(s, name));
      }
      case 'FunctionInvocation':
        return this.call(node, from);
      default:
        throw new Unsupported();
    }
  }

  call(node: Node, from: State[]): State[] {
    const functn = node.children?.[0];
    const name = identifier(functn);
    const argument = functn?.children?.[1]?.children?.[0];
    if ((name === 'as' || name === 'ofType') && argument) return this.ofType(from, identifier(argument));
    if (name === 'where' && argument) return from.flatMap((s) => this.expand(s)).map((s) => this.where(s, argument));
    throw new Unsupported();
  }

  where(state: State, condition: Node): State {
    const [left, right] = condition.children ?? [];
    if (condition.type === 'TypeExpression' && condition.text === 'is' && left && right && identifier(left) === 'resolve') {
      return { ...state, target: identifier(right) };
    }
    if (condition.type === 'EqualityExpression' && condition.text === '=' && left && right) {
      const last = state.steps.at(-1);
      if (!last) throw new Unsupported();
      const where = { property: identifier(left), value: stringOf(right) };
      return { ...state, steps: [...state.steps.slice(0, -1), { ...last, where }] };
    }
    throw new Unsupported();
  }
}

/**
 * @param root type that the walk starts at (a resource type, or a backbone path for components of a composite)
 * @returns one walk for each part of the union and each type of a choice; an expression that is no walk becomes one computed boolean
 */
export function compileSearchPaths(expression: string, root: string, lookup: TypeLookup): SearchPath[] {
  const compiler = new Compiler(root, lookup);
  const start: State = { steps: [], type: root, many: false };
  const parts = expression.split(' | ').map((p) => p.trim());
  const relevant = parts.filter((p) => {
    const head = /^\(?([A-Z]\w*)\b/.exec(p)?.[1];
    return !head || head === root || head === 'Resource' || head === 'DomainResource';
  });
  return relevant.flatMap((part) => {
    try {
      return compiler.walk(parse(part), [start]).flatMap((s) => compiler.expand(s));
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      return [{ steps: [], type: 'boolean', many: false, compute: part }];
    }
  });
}

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
