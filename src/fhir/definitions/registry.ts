/**
 * The definitions in use, loaded once: types with their elements, search parameters compiled to walks, compartments.
 * @see https://hl7.org/fhir/R4/definitions.html
 */
import { readFileSync } from 'node:fs';
import fhirpath from 'fhirpath';
import type {
  CompartmentDef,
  DefinitionsFile,
  ElementDef,
  OperationDef,
  SearchParameterDef,
  SearchParamType,
  TypeDef,
} from './model.ts';
import { compileSearchPaths, walkPath, type SearchPath, type TypedValue } from './search-path.ts';

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
  readonly resourceTypes: readonly string[];
  /** By canonical URL of the OperationDefinition. */
  operation(url: string): OperationDef | undefined;
}

/** Parameters of Resource that are neither served nor advertised. */
const UNSERVED = new Set(['_text', '_content', '_query']);

const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);

function compileParam(
  definition: SearchParameterDef,
  resourceType: string,
  root: string,
  expression: string,
  byUrl: ReadonlyMap<string, SearchParameterDef>,
  lookup: (name: string) => TypeDef | undefined,
): SearchParam {
  const paths = compileSearchPaths(expression, root, lookup);
  const referenced = new Set(paths.flatMap((p) => (p.target ? [p.target] : (p.element?.types ?? []).flatMap((t) => t.targets ?? []))));
  const narrowed = definition.target.filter((t) => referenced.size === 0 || referenced.has('Resource') || referenced.has(t));
  const base = paths[0];
  return {
    resourceType,
    code: definition.code,
    type: definition.type,
    url: definition.url,
    expression,
    paths,
    many: paths.length > 1 || paths.some((p) => p.many),
    datatypes: new Set(paths.map((p) => p.type)),
    targets: narrowed,
    components: definition.components.map((component) => {
      const target = byUrl.get(component.definition);
      if (!target || !base) throw new Error(`${definition.url}: component ${component.definition} is unknown`);
      return { param: compileParam(target, resourceType, base.type, component.expression, byUrl, lookup) };
    }),
  };
}

/** Builds the registry from the build's file. */
export function createDefinitions(file: DefinitionsFile): Definitions {
  const types = new Map(file.types.map((t) => [t.name, t]));
  const operations = new Map(file.operations.map((o) => [o.url, o]));
  const byUrl = new Map(file.searchParameters.map((p) => [p.url, p]));
  const lookup = (name: string): TypeDef | undefined => types.get(name);
  const elementsOf = new Map<string, readonly ElementDef[]>();
  const elements = (name: string): readonly ElementDef[] => {
    const known = elementsOf.get(name);
    if (known) return known;
    const type = types.get(name);
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
      byProperty.set(name, map);
    }
    return map;
  };
  const params = new Map<string, ReadonlyMap<string, SearchParam>>();
  const baseNames = (name: string): string[] => {
    const names: string[] = [];
    for (let t = types.get(name); t; t = t.base ? types.get(t.base) : undefined) names.push(t.name);
    return names;
  };
  return {
    type: lookup,
    elements,
    element: (type, property) => properties(type).get(property),
    searchParams(resourceType) {
      let map = params.get(resourceType);
      if (!map) {
        const bases = baseNames(resourceType);
        map = new Map(
          file.searchParameters
            .filter((p) => p.base.some((b) => bases.includes(b)) && !UNSERVED.has(p.code))
            .map((p) => [p.code, compileParam(p, resourceType, resourceType, p.expression, byUrl, lookup)] as const)
            .sort(([a], [b]) => (a < b ? -1 : 1)),
        );
        params.set(resourceType, map);
      }
      return map;
    },
    compartments: new Map(file.compartments.map((c) => [c.code, c])),
    operation: (url) => operations.get(url),
    resourceTypes: file.types.filter((t) => t.kind === 'resource').map((t) => t.name),
  };
}

/** Reads `.build/definitions.json`, which `npm run build` makes. */
export function loadDefinitions(file: URL = new URL('../../../.build/definitions.json', import.meta.url)): Definitions {
  const text = readFileSync(file, 'utf8');
  const parsed = JSON.parse(text, (key, value: unknown) => (key === 'max' && value === -1 ? Infinity : value)) as DefinitionsFile;
  return createDefinitions(parsed);
}

const computed = new Map<string, (resource: unknown) => unknown[]>();

/**
 * All values of a parameter in a resource (or in the element that a composite selects), with their datatypes.
 * References kept only where `resolve() is T` holds, judged by the reference's own type.
 */
export function searchValues(root: unknown, param: SearchParam): TypedValue[] {
  const out: TypedValue[] = [];
  for (const path of param.paths) {
    if (path.compute) {
      let evaluate = computed.get(path.compute);
      if (!evaluate) {
        const compiled = fhirpath.compile(path.compute);
        evaluate = (resource) => compiled(resource as object) as unknown[];
        computed.set(path.compute, evaluate);
      }
      for (const value of evaluate(root)) out.push({ type: path.type, value, path });
      continue;
    }
    for (const value of walkPath(root, path)) {
      if (path.target && referencedType(value) !== path.target) continue;
      out.push({ type: path.type, value, path });
    }
  }
  return out;
}

/** Resource type that a Reference names, by its URL or else by `type`. */
export function referencedType(reference: unknown): string | undefined {
  if (typeof reference !== 'object' || reference === null) return undefined;
  const { reference: url, type } = reference as { reference?: unknown; type?: unknown };
  if (typeof url === 'string') {
    const match = /(?:^|\/)([A-Z][A-Za-z]+)\/[A-Za-z0-9.-]{1,64}(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/.exec(url);
    if (match?.[1]) return match[1];
  }
  return typeof type === 'string' ? type : undefined;
}
