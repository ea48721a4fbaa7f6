/**
 * The definitions in use, loaded once: types with their elements, search parameters compiled to walks, compartments. What is not asked for stays text.
 * @see https://hl7.org/fhir/R4/definitions.html
 */
import { readFileSync } from 'node:fs';
import type { Ast } from './fhirpath/ast.ts';
import { createCompiler } from './fhirpath/compile.ts';
import { createNavigator, node, type Navigator } from './fhirpath/node.ts';
import { parseFhirPath } from './fhirpath/parse.ts';
import type { CompartmentDef, ElementDef, OperationDef, SearchParamType, TypeDef } from './model.ts';
import { referencedType } from './reference.ts';
import { walkPath, type SearchPath, type TypedValue } from './search-path.ts';
import type { DefinitionsHead, WrittenParam } from './write.ts';

/** A component of a composite parameter: a parameter evaluated on each element that the composite selects. */
export interface SearchComponent {
  readonly param: SearchParam;
}

/** A search parameter of one resource type, ready to evaluate. */
export interface SearchParam {
  readonly resourceType: string;
  readonly code: string;
  readonly type: SearchParamType;
  readonly url: string;
  readonly expression: string;
  readonly paths: readonly SearchPath[];
  /** More than one value is possible in one resource. */
  readonly many: boolean;
  /** FHIR datatypes that the walks yield. */
  readonly datatypes: ReadonlySet<string>;
  /** Reference parameters: resource types that the references may point to, served or not. */
  readonly targets: readonly string[];
  readonly components: readonly SearchComponent[];
}

export interface Definitions {
  type(name: string): TypeDef | undefined;
  /** Child element by property name, inherited ones and concrete choice properties (`valueQuantity`) included. */
  element(type: string, property: string): { readonly def: ElementDef; readonly type: string } | undefined;
  /** All elements of a type, inherited ones first. */
  elements(type: string): readonly ElementDef[];
  /** Standard and own parameters by code, those of Resource and DomainResource included. */
  searchParams(resourceType: string): ReadonlyMap<string, SearchParam>;
  readonly compartments: ReadonlyMap<string, CompartmentDef>;
  /** Every resource type of the standard, served or not. */
  readonly resourceTypes: readonly string[];
  /** By canonical URL of the OperationDefinition. */
  operation(url: string): OperationDef | undefined;
  /** Syntax tree of an invariant's expression: from the build, or parsed now. */
  expression(text: string): Ast;
  /** For evaluating expressions. */
  readonly navigator: Navigator;
}

const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);

/** -1 stands for Infinity in the file. */
const readElement = (e: ElementDef): ElementDef => (e.max === -1 ? { ...e, max: Infinity } : e);
const readType = (t: TypeDef): TypeDef => ({ ...t, elements: t.elements.map(readElement) });

/** Reads the text that the build wrote. */
export function createDefinitions(text: string): Definitions {
  const lines = new Map<string, string>();
  const headEnd = text.indexOf('\n');
  const head = JSON.parse(text.slice(0, headEnd)) as DefinitionsHead;
  for (let start = headEnd + 1; start < text.length;) {
    const end = text.indexOf('\n', start);
    const stop = end === -1 ? text.length : end;
    const tab = text.indexOf('\t', start);
    lines.set(text.slice(start, tab), text.slice(tab + 1, stop));
    start = stop + 1;
  }
  const read = <T>(name: string): T | undefined => {
    const found = lines.get(name);
    lines.delete(name);
    return found === undefined ? undefined : (JSON.parse(found) as T);
  };

  const types = new Map<string, TypeDef>();
  const lookup = (name: string): TypeDef | undefined => {
    const known = types.get(name);
    if (known) return known;
    const dot = name.indexOf('.');
    for (const t of read<readonly TypeDef[]>(`type ${dot === -1 ? name : name.slice(0, dot)}`) ?? [])
      types.set(t.name, readType(t));
    return types.get(name);
  };

  const elementsOf = new Map<string, readonly ElementDef[]>();
  const elements = (name: string): readonly ElementDef[] => {
    const known = elementsOf.get(name);
    if (known) return known;
    const type = lookup(name);
    if (!type) return [];
    const own = new Set(type.elements.map((e) => e.name));
    const all = [...(type.base ? elements(type.base) : []).filter((e) => !own.has(e.name)), ...type.elements];
    elementsOf.set(name, all);
    return all;
  };

  const byProperty = new Map<string, Map<string, { def: ElementDef; type: string }>>();
  const properties = (name: string): Map<string, { def: ElementDef; type: string }> => {
    let map = byProperty.get(name);
    if (!map) {
      map = new Map();
      for (const def of elements(name)) {
        if (def.choice) for (const t of def.types) map.set(def.name + capital(t.code), { def, type: t.code });
        else map.set(def.name, { def, type: def.backbone ?? def.types[0]?.code ?? '' });
      }
      if (lookup(name) !== undefined) byProperty.set(name, map);
    }
    return map;
  };

  let trees: Record<string, Ast> | undefined;
  const expression = (source: string): Ast => {
    trees ??= read<Record<string, Ast>>('expressions') ?? {};
    return (trees[source] ??= parseFhirPath(source));
  };

  const element = (type: string, property: string): { def: ElementDef; type: string } | undefined =>
    properties(type).get(property);
  const navigator = createNavigator({ type: lookup, element, elements });
  const compiler = createCompiler(navigator);

  const readParam = (resourceType: string, p: WrittenParam): SearchParam => {
    const paths = p.paths.map(({ owner, name, ...path }): SearchPath => {
      const def = owner === undefined ? undefined : elements(owner).find((e) => e.name === name);
      if (path.compute === undefined) return { ...path, ...(def ? { element: def } : {}) };
      const evaluate = compiler.compile(expression(path.compute));
      return {
        ...path,
        evaluate: (resource) => {
          const root = node(resource, resourceType);
          return evaluate({ resource: root, rootResource: root }, [root]).map((n) => n.value);
        },
      };
    });
    return {
      resourceType,
      code: p.code,
      type: p.type,
      url: p.url,
      expression: p.expression,
      paths,
      many: paths.length > 1 || paths.some((path) => path.many),
      datatypes: new Set(paths.map((path) => path.type)),
      targets: p.targets,
      components: p.components.map((c) => ({ param: readParam(resourceType, c) })),
    };
  };

  const params = new Map<string, ReadonlyMap<string, SearchParam>>();
  const searchParams = (resourceType: string): ReadonlyMap<string, SearchParam> => {
    let map = params.get(resourceType);
    if (!map) {
      const written = read<readonly WrittenParam[]>(`search ${resourceType}`);
      map = new Map((written ?? []).map((p) => [p.code, readParam(resourceType, p)]));
      if (written) params.set(resourceType, map);
    }
    return map;
  };

  let operations: ReadonlyMap<string, OperationDef> | undefined;
  const readParameters = (list: OperationDef['parameters']): OperationDef['parameters'] =>
    list.map((p) => ({ ...p, max: p.max === -1 ? Infinity : p.max, parts: readParameters(p.parts) }));

  return {
    type: lookup,
    elements,
    element,
    searchParams,
    compartments: new Map((read<readonly CompartmentDef[]>('compartments') ?? []).map((c) => [c.code, c])),
    resourceTypes: head.resourceTypes,
    operation(url) {
      operations ??= new Map(
        (read<readonly OperationDef[]>('operations') ?? []).map((o) => [
          o.url,
          { ...o, parameters: readParameters(o.parameters) },
        ]),
      );
      return operations.get(url);
    },
    expression,
    navigator,
  };
}

/** Reads `.build/definitions.txt`, which `npm run build` makes. */
export const loadDefinitions = (file: URL = new URL('../../../.build/definitions.txt', import.meta.url)): Definitions =>
  createDefinitions(readFileSync(file, 'latin1'));

/**
 * All values of a parameter in a resource (or in the element that a composite selects), with their datatypes.
 * References kept only where `resolve() is T` holds, judged by the reference's own type.
 */
export function searchValues(root: unknown, param: SearchParam): TypedValue[] {
  const out: TypedValue[] = [];
  for (const path of param.paths) {
    if (path.evaluate) {
      for (const value of path.evaluate(root)) out.push({ type: path.type, value, path });
      continue;
    }
    for (const value of walkPath(root, path)) {
      if (path.target && referencedType(value) !== path.target) continue;
      out.push({ type: path.type, value, path });
    }
  }
  return out;
}
