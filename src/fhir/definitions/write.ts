/**
 * The file `.build/definitions.txt`: a line a type, a line a type's search parameters, so that a start reads one file and parses only what it serves.
 */
import type { Ast } from './fhirpath/ast.ts';
import { parseFhirPath, UnsupportedSyntax } from './fhirpath/parse.ts';
import type { DefinitionsFile, SearchParameterDef, TypeDef } from './model.ts';
import { compileSearchPaths, type TypeLookup, type WrittenPath } from './search-path-compile.ts';

/** A search parameter of one type, as written. */
export interface WrittenParam {
  readonly code: string;
  readonly type: SearchParameterDef['type'];
  readonly url: string;
  readonly expression: string;
  readonly paths: readonly WrittenPath[];
  readonly targets: readonly string[];
  readonly components: readonly WrittenParam[];
}

/** The first line. */
export interface DefinitionsHead {
  readonly resourceTypes: readonly string[];
}

/** Parameters of Resource that are neither served nor advertised. */
const UNSERVED = new Set(['_text', '_content', '_query']);

interface Sources {
  readonly lookup: TypeLookup;
  readonly byUrl: ReadonlyMap<string, SearchParameterDef>;
  readonly parse: (text: string) => Ast;
}

/** References of a path by the targets of its element: `Reference(Any)` has none listed. */
function elementTargets(path: WrittenPath, lookup: TypeLookup): readonly string[] {
  if (path.target) return [path.target];
  const element = path.owner === undefined ? undefined : lookup(path.owner)?.elements.find((e) => e.name === path.name);
  return (element?.types ?? []).flatMap((t) => t.targets ?? []);
}

function compileParam(
  definition: SearchParameterDef,
  root: string,
  expression: string,
  sources: Sources,
): WrittenParam {
  const { lookup, byUrl, parse } = sources;
  const paths = compileSearchPaths(expression, root, lookup, parse);
  const referenced = new Set(paths.flatMap((p) => elementTargets(p, lookup)));
  const base = paths[0];
  return {
    code: definition.code,
    type: definition.type,
    url: definition.url,
    expression,
    paths,
    targets: definition.target.filter((t) => referenced.size === 0 || referenced.has('Resource') || referenced.has(t)),
    components: definition.components.map((component) => {
      const target = byUrl.get(component.definition);
      if (!target || !base) throw new Error(`${definition.url}: component ${component.definition} is unknown`);
      return compileParam(target, base.type, component.expression, sources);
    }),
  };
}

/** ASCII only, so that the runtime keeps a byte a character; Infinity becomes -1. */
const line = (value: unknown): string =>
  JSON.stringify(value, (_, v: unknown) => (v === Infinity ? -1 : v)).replace(
    /[\u0080-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** The text of the file. */
export function writeDefinitions(file: DefinitionsFile): string {
  const types = new Map(file.types.map((t) => [t.name, t]));
  const lookup: TypeLookup = (name) => types.get(name);
  const byUrl = new Map(file.searchParameters.map((p) => [p.url, p]));
  const trees: Record<string, Ast> = {};
  const parse = (text: string): Ast => (trees[text] ??= parseFhirPath(text));
  const sources: Sources = { lookup, byUrl, parse };
  const groups = new Map<string, TypeDef[]>();
  for (const type of file.types) {
    const [name = ''] = type.name.split('.');
    groups.set(name, [...(groups.get(name) ?? []), type]);
  }
  const bases = (name: string): string[] => {
    const type = lookup(name);
    return type === undefined ? [] : [name, ...(type.base ? bases(type.base) : [])];
  };
  const resourceTypes = file.types.filter((t) => t.kind === 'resource').map((t) => t.name);
  const params = resourceTypes.map((type): [string, WrittenParam[]] => {
    const names = bases(type);
    const own = file.searchParameters.filter((p) => p.base.some((b) => names.includes(b)) && !UNSERVED.has(p.code));
    return [
      type,
      own.map((p) => compileParam(p, type, p.expression, sources)).sort((a, b) => (a.code < b.code ? -1 : 1)),
    ];
  });
  const used = new Set(
    params.flatMap(([, list]) => list.flatMap((p) => p.paths.flatMap((path) => path.compute ?? []))),
  );
  for (const type of file.types) {
    for (const { expression } of [...type.constraints, ...type.elements.flatMap((e) => e.constraints)]) {
      used.add(expression);
      try {
        parse(expression);
      } catch (error) {
        if (!(error instanceof UnsupportedSyntax)) throw new Error(`${type.name}: ${expression}`, { cause: error });
      }
    }
  }
  const head: DefinitionsHead = { resourceTypes };
  return [
    line(head),
    ...[...groups].map(([name, list]) => `type ${name}\t${line(list)}`),
    ...params.map(([name, list]) => `search ${name}\t${line(list)}`),
    `compartments\t${line(file.compartments)}`,
    `operations\t${line(file.operations)}`,
    `expressions\t${line(Object.fromEntries(Object.entries(trees).filter(([text]) => used.has(text))))}`,
  ].join('\n');
}
