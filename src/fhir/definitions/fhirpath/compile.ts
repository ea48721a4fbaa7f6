/**
 * Turns syntax trees into closures over nodes: the part of FHIRPath that the standard's invariants, discriminators and search parameters use.
 * @see https://hl7.org/fhirpath/N1/
 */
import { someAst, type Ast } from './ast.ts';
import { FUNCTIONS, LAMBDAS } from './functions.ts';
import { node, type Navigator, type Node } from './node.ts';
import { comparable, createValuesOf, equal, isSubset, union, UnsupportedValue } from './values.ts';

export interface Environment {
  readonly resource: Node;
  /** The resource that contains `resource`, or `resource` itself. */
  readonly rootResource: Node;
}

/** @param focus `$this` */
type Evaluate = (env: Environment, focus: readonly Node[]) => readonly Node[];
type Truth = boolean | undefined;
export type Decide = (env: Environment, focus: readonly Node[]) => Truth;

/** A function or operator that the evaluator does not have. */
export class UnsupportedExpression extends Error {}

const TRUE = [node(true, 'boolean')];
const FALSE = [node(false, 'boolean')];
const NONE: readonly Node[] = [];

const collection = (truth: Truth): readonly Node[] => (truth === undefined ? NONE : truth ? TRUE : FALSE);

/** Singleton evaluation of collections. @see https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections */
function truthOf(nodes: readonly Node[]): Truth {
  const [only] = nodes;
  if (only === undefined) return undefined;
  if (nodes.length > 1) throw new UnsupportedValue('one value is expected');
  if (typeof only.value === 'boolean') return only.value;
  // A boolean that has only extensions.
  return only.type === 'boolean' ? undefined : true;
}

const UCUM = 'http://unitsofmeasure.org';

/** `and`, `or`, `xor`, `implies` on three values. @see https://hl7.org/fhirpath/N1/#boolean-logic */
function logic(operator: string, left: Decide, right: Decide): Decide | undefined {
  switch (operator) {
    case 'and':
      return (env, focus) => {
        const l = left(env, focus);
        if (l === false) return false;
        const r = right(env, focus);
        return r === false ? false : l === true && r === true ? true : undefined;
      };
    case 'or':
      return (env, focus) => {
        const l = left(env, focus);
        if (l === true) return true;
        const r = right(env, focus);
        return r === true ? true : l === false && r === false ? false : undefined;
      };
    case 'xor':
      return (env, focus) => {
        const l = left(env, focus);
        const r = right(env, focus);
        return l === undefined || r === undefined ? undefined : l !== r;
      };
    case 'implies':
      return (env, focus) => {
        const l = left(env, focus);
        if (l === false) return true;
        const r = right(env, focus);
        return r === true ? true : l === true ? r : undefined;
      };
    default:
      return undefined;
  }
}

function order(operator: string, left: Evaluate, right: Evaluate): Decide {
  const holds = (difference: number): boolean =>
    operator === '<'
      ? difference < 0
      : operator === '<='
        ? difference <= 0
        : operator === '>'
          ? difference > 0
          : difference >= 0;
  return (env, focus) => {
    const [l, ...moreLeft] = left(env, focus);
    const [r, ...moreRight] = right(env, focus);
    if (l === undefined || r === undefined) return undefined;
    if (moreLeft.length > 0 || moreRight.length > 0) throw new UnsupportedValue('one value is expected');
    const difference = comparable(l, r);
    return difference === undefined ? undefined : holds(difference);
  };
}

/** A path from %resource or %rootResource, or a union of such. */
function startsAtResource(ast: Ast): boolean {
  switch (ast.k) {
    case 'member':
      return ast.from !== undefined && (ast.from.k === 'constant' || startsAtResource(ast.from));
    case 'call':
      return (
        ast.from !== undefined &&
        (ast.from.k === 'constant' || startsAtResource(ast.from)) &&
        (ast.name === 'as' || ast.name === 'ofType' || ast.args.every((a) => a.k === 'value'))
      );
    case 'operator':
      return ast.operator === '|' && startsAtResource(ast.left) && startsAtResource(ast.right);
    default:
      return false;
  }
}

export interface Compiler {
  compile(ast: Ast): Evaluate;
  decide(ast: Ast): Decide;
}

/** @throws (from its functions) UnsupportedExpression when a tree needs what is not there */
export function createCompiler(navigator: Navigator): Compiler {
  const valuesOf = createValuesOf();

  const member = (ast: Extract<Ast, { k: 'member' }>): Evaluate => {
    const { name } = ast;
    if (ast.from === undefined && /^[A-Z]/.test(name)) {
      return (_, focus) => focus.filter((n) => navigator.derives(n.type, name));
    }
    const walk = (nodes: readonly Node[]): readonly Node[] => {
      const out: Node[] = [];
      for (const n of nodes) navigator.child(n, name, out);
      return out;
    };
    if (ast.from === undefined) return (_, focus) => walk(focus);
    const from = compile(ast.from);
    return (env, focus) => walk(from(env, focus));
  };

  const typeName = (ast: Ast | undefined): string => {
    if (ast?.k !== 'member') throw new UnsupportedExpression('a type name is expected');
    return ast.name;
  };

  const call = (ast: Extract<Ast, { k: 'call' }>): Evaluate => {
    const from: Evaluate = ast.from === undefined ? (_, focus) => focus : compile(ast.from);
    const [first, second] = ast.args;
    if (ast.name === 'as' || ast.name === 'ofType') {
      const type = typeName(first);
      return (env, focus) => from(env, focus).filter((n) => navigator.derives(n.type, type));
    }
    if (ast.name === 'is') {
      const type = typeName(first);
      return (env, focus) => {
        const [value, ...more] = from(env, focus);
        if (more.length > 0) throw new UnsupportedValue('one value is expected');
        return value === undefined ? NONE : collection(navigator.derives(value.type, type));
      };
    }
    if (ast.name === 'iif') {
      if (first === undefined || second === undefined) throw new UnsupportedExpression('iif');
      const condition = decide(first);
      const then = compile(second);
      const otherwise = ast.args[2] === undefined ? (): readonly Node[] => NONE : compile(ast.args[2]);
      return (env, focus) => (condition(env, focus) === true ? then(env, focus) : otherwise(env, focus));
    }
    if (ast.name === 'trace') return from;
    const lambda = LAMBDAS[ast.name];
    if (lambda !== undefined && first !== undefined) {
      const body = compile(first);
      return (env, focus) => lambda(from(env, focus), (item) => body(env, [item]));
    }
    const plain = FUNCTIONS[ast.name];
    if (plain === undefined) throw new UnsupportedExpression(`${ast.name}()`);
    const args = ast.args.map((a) => compile(a));
    if (args.length === 0) return (env, focus) => plain(from(env, focus), [], navigator);
    return (env, focus) =>
      plain(
        from(env, focus),
        args.map((a) => a(env, focus)),
        navigator,
      );
  };

  const operator = (ast: Extract<Ast, { k: 'operator' }>): Evaluate => {
    const truth = decision(ast);
    if (truth) return (env, focus) => collection(truth(env, focus));
    const left = compile(ast.left);
    const right = compile(ast.right);
    switch (ast.operator) {
      case '|':
        return (env, focus) => union(left(env, focus), right(env, focus));
      case '&':
        return (env, focus) => [node(text(left(env, focus)) + text(right(env, focus)), 'string')];
      case '+':
      case '-':
        return (env, focus) => {
          const [l] = left(env, focus);
          const [r] = right(env, focus);
          if (l === undefined || r === undefined) return NONE;
          if (typeof l.value === 'number' && typeof r.value === 'number') {
            return [node(ast.operator === '+' ? l.value + r.value : l.value - r.value, 'decimal')];
          }
          if (ast.operator === '+' && typeof l.value === 'string' && typeof r.value === 'string')
            return [node(l.value + r.value, 'string')];
          throw new UnsupportedValue('numbers or strings are expected');
        };
      case '*':
      case 'mod':
        return (env, focus) => {
          const [l] = left(env, focus);
          const [r] = right(env, focus);
          if (typeof l?.value !== 'number' || typeof r?.value !== 'number') return NONE;
          return [node(ast.operator === '*' ? l.value * r.value : l.value % r.value, 'decimal')];
        };
      default:
        throw new UnsupportedExpression(ast.operator);
    }
  };

  /** Operators whose result is a boolean. */
  const decision = (ast: Extract<Ast, { k: 'operator' }>): Decide | undefined => {
    if (['and', 'or', 'xor', 'implies'].includes(ast.operator))
      return logic(ast.operator, decide(ast.left), decide(ast.right));
    if (['<', '<=', '>', '>='].includes(ast.operator))
      return order(ast.operator, compile(ast.left), compile(ast.right));
    const left = compile(ast.left);
    const right = compile(ast.right);
    switch (ast.operator) {
      case '=':
        return (env, focus) => equal(left(env, focus), right(env, focus));
      case '!=':
        return (env, focus) => {
          const same = equal(left(env, focus), right(env, focus));
          return same === undefined ? undefined : !same;
        };
      case 'in':
        return (env, focus) => isSubset(left(env, focus), right(env, focus), valuesOf);
      case 'contains':
        return (env, focus) => isSubset(right(env, focus), left(env, focus), valuesOf);
      default:
        return undefined;
    }
  };

  /**
   * What starts at %resource is the same for every focus: worked out once an environment, or else an invariant that asks for it of
   * every contained resource would take quadratic time.
   */
  const compile = (ast: Ast): Evaluate => {
    const evaluate = compileAny(ast);
    if (!startsAtResource(ast)) return evaluate;
    const known = new WeakMap<Environment, readonly Node[]>();
    return (env, focus) => {
      let nodes = known.get(env);
      if (nodes === undefined) known.set(env, (nodes = evaluate(env, focus)));
      return nodes;
    };
  };

  const compileAny = (ast: Ast): Evaluate => {
    switch (ast.k) {
      case 'value': {
        const type =
          typeof ast.value === 'string'
            ? 'string'
            : typeof ast.value === 'boolean'
              ? 'boolean'
              : Number.isInteger(ast.value)
                ? 'integer'
                : 'decimal';
        const constant = [node(ast.value, type)];
        return () => constant;
      }
      case 'empty':
        return () => NONE;
      case 'this':
        return (_, focus) => focus;
      case 'constant':
        if (ast.name === 'resource' || ast.name === 'context') return (env) => [env.resource];
        if (ast.name === 'rootResource') return (env) => [env.rootResource];
        if (ast.name === 'ucum') return () => [node(UCUM, 'string')];
        throw new UnsupportedExpression(`%${ast.name}`);
      case 'member':
        return member(ast);
      case 'call':
        return call(ast);
      case 'operator':
        return operator(ast);
      case 'index': {
        const from = compile(ast.from);
        const index = compile(ast.index);
        return (env, focus) => {
          const [at] = index(env, focus);
          const found = typeof at?.value === 'number' ? from(env, focus)[at.value] : undefined;
          return found === undefined ? NONE : [found];
        };
      }
      case 'negate': {
        const from = compile(ast.from);
        return (env, focus) =>
          from(env, focus).map((n) => node(typeof n.value === 'number' ? -n.value : undefined, n.type));
      }
      default:
        return ast satisfies never;
    }
  };

  /** As `compile`, without making a collection of the result. */
  const decide = (ast: Ast): Decide => {
    if (ast.k === 'operator') {
      const truth = decision(ast);
      if (truth) return truth;
    }
    if (ast.k === 'call' && ast.args.length === 0 && ast.from !== undefined) {
      if (ast.name === 'not') {
        const inner = decide(ast.from);
        return (env, focus) => {
          const truth = inner(env, focus);
          return truth === undefined ? undefined : !truth;
        };
      }
      if (ast.name === 'exists' || ast.name === 'empty') {
        const wanted = ast.name === 'exists';
        const present = presence(ast.from);
        if (present) return (_, focus) => present(focus) === wanted;
        const from = compile(ast.from);
        return (env, focus) => from(env, focus).length > 0 === wanted;
      }
    }
    const evaluate = compile(ast);
    return (env, focus) => truthOf(evaluate(env, focus));
  };

  /** `name.exists()` on one complex value: looks at its properties without making nodes. */
  const presence = (ast: Ast): ((focus: readonly Node[]) => boolean) | undefined => {
    if (ast.k !== 'member' || ast.from !== undefined || /^[A-Z]/.test(ast.name)) return undefined;
    const { name } = ast;
    return (focus) => {
      for (const { value, type } of focus) {
        if (typeof value !== 'object' || value === null) continue;
        const record = value as Record<string, unknown>;
        for (const { property } of navigator.steps(type, name)) {
          if (present(record[property]) || present(record[`_${property}`])) return true;
        }
      }
      return false;
    };
  };

  return { compile, decide };
}

const present = (value: unknown): boolean =>
  value !== undefined && value !== null && !(Array.isArray(value) && value.every((v) => v === null));

function text(nodes: readonly Node[]): string {
  const [only] = nodes;
  if (nodes.length > 1) throw new UnsupportedValue('one value is expected');
  return only?.value === undefined ? '' : String(only.value);
}

/** Whether the tree compares by order, or looks into a string: then an empty result means that it could not be told. */
export const mayBeUndecided = (ast: Ast): boolean =>
  someAst(
    ast,
    (part) =>
      (part.k === 'operator' && /^[<>]=?$/.test(part.operator)) ||
      (part.k === 'call' && (part.name === 'matches' || part.name === 'startsWith')),
  );
