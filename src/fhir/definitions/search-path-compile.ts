/**
 * Compiles the FHIRPath of a SearchParameter into walks. Runs in the build.
 * @see https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
 */
import type { Ast } from './fhirpath/ast.ts';
import type { ElementDef, TypeDef } from './model.ts';
import { choiceProperty, type SearchPath } from './search-path.ts';

export type TypeLookup = (name: string) => TypeDef | undefined;

/** A walk as the build writes it: the element at its end by the type that defines it and its name. */
export interface WrittenPath extends Omit<SearchPath, 'element' | 'evaluate'> {
  readonly owner?: string;
  readonly name?: string;
}

/** An expression that is no walk. */
class NoWalk extends Error {}

interface State extends WrittenPath {
  /** A choice element not yet narrowed to a type. */
  readonly choice?: Found;
}

interface Found {
  readonly owner: string;
  readonly element: ElementDef;
}

class Compiler {
  readonly root: string;
  readonly lookup: TypeLookup;
  constructor(root: string, lookup: TypeLookup) {
    this.root = root;
    this.lookup = lookup;
  }

  find(typeName: string, name: string): Found | undefined {
    for (let type = this.lookup(typeName); type; type = type.base ? this.lookup(type.base) : undefined) {
      const element = type.elements.find((e) => e.name === name);
      if (element) return { owner: type.name, element };
    }
    return undefined;
  }

  child(state: State, name: string): State[] {
    return this.expand(state).flatMap((s) => {
      const found = this.find(s.type, name);
      if (!found) return [];
      if (found.element.choice) return [{ ...s, choice: found }];
      return [this.step(s, found, found.element.name, found.element.backbone ?? found.element.types[0]?.code ?? '')];
    });
  }

  step(state: State, { owner, element }: Found, property: string, type: string): State {
    const many = element.max > 1;
    return { steps: [...state.steps, { property, many }], type, many: state.many || many, owner, name: element.name };
  }

  /** All types of a pending choice, each with its own property. */
  expand(state: State): State[] {
    const { choice, ...rest } = state;
    if (!choice) return [state];
    return choice.element.types.map((t) =>
      this.step(rest, choice, choiceProperty(choice.element.name, t.code), t.code),
    );
  }

  ofType(states: State[], type: string): State[] {
    const wanted = type.toLowerCase();
    return states.flatMap((s) => this.expand(s)).filter((s) => s.type.toLowerCase() === wanted);
  }

  walk(ast: Ast | undefined, start: State[]): State[] {
    if (ast === undefined) return start;
    if (ast.k === 'operator' && ast.operator === '|')
      return [...this.walk(ast.left, start), ...this.walk(ast.right, start)];
    if (ast.k === 'member') {
      const from = this.walk(ast.from, start);
      if (ast.from === undefined && from.every((s) => s.steps.length === 0) && /^[A-Z]/.test(ast.name)) {
        return ast.name === this.root || ast.name === 'Resource' || ast.name === 'DomainResource' ? from : [];
      }
      return from.flatMap((s) => this.child(s, ast.name));
    }
    if (ast.k === 'call') {
      const [argument] = ast.args;
      if ((ast.name === 'as' || ast.name === 'ofType') && argument?.k === 'member')
        return this.ofType(this.walk(ast.from, start), argument.name);
      if (ast.name === 'where' && argument !== undefined) {
        return this.walk(ast.from, start)
          .flatMap((s) => this.expand(s))
          .map((s) => this.where(s, argument));
      }
    }
    throw new NoWalk();
  }

  where(state: State, condition: Ast): State {
    if (
      condition.k === 'call' &&
      condition.name === 'is' &&
      condition.from?.k === 'call' &&
      condition.from.name === 'resolve'
    ) {
      const [type] = condition.args;
      if (type?.k === 'member') return { ...state, target: type.name };
    }
    if (
      condition.k === 'operator' &&
      condition.operator === '=' &&
      condition.left.k === 'member' &&
      condition.right.k === 'value'
    ) {
      const last = state.steps.at(-1);
      const { value } = condition.right;
      if (last && condition.left.from === undefined && typeof value !== 'number') {
        return {
          ...state,
          steps: [...state.steps.slice(0, -1), { ...last, where: { property: condition.left.name, value } }],
        };
      }
    }
    throw new NoWalk();
  }
}

/**
 * @param root type that the walk starts at (a resource type, or a backbone path for components of a composite)
 * @param parse reads one part of the expression's union
 * @returns one walk for each part of the union and each type of a choice; an expression that is no walk becomes one computed boolean
 */
export function compileSearchPaths(
  expression: string,
  root: string,
  lookup: TypeLookup,
  parse: (text: string) => Ast,
): WrittenPath[] {
  const compiler = new Compiler(root, lookup);
  const parts = expression.split(' | ').map((p) => p.trim());
  const relevant = parts.filter((p) => {
    const head = /^\(?([A-Z]\w*)\b/.exec(p)?.[1];
    return !head || head === root || head === 'Resource' || head === 'DomainResource';
  });
  return relevant.flatMap((part): WrittenPath[] => {
    try {
      return compiler.walk(parse(part), [{ steps: [], type: root, many: false }]).flatMap((s) => compiler.expand(s));
    } catch (error) {
      if (!(error instanceof NoWalk)) throw error;
      return [{ steps: [], type: 'boolean', many: false, compute: part }];
    }
  });
}
