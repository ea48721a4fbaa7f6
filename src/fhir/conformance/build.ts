/**
 * The build step of conformance: the definitions that the server works by, as the resources that it serves.
 * Published ones keep their URL and content; search parameters also say which modifiers and comparators are served.
 * @see https://hl7.org/fhir/R4/conformance-module.html
 */
import { createHash } from 'node:crypto';
import type { CodeSystem, Resource, SearchParameter, StructureDefinition, ValueSet } from '@medplum/fhirtypes';
import type { SearchParam } from '../definitions/registry.ts';

export interface ConformanceSources {
  /** Resources of profiles-types, profiles-resources, extension-definitions and search-parameters. */
  readonly published: readonly Resource[];
  /** Resources of `fhir-profiles/`. */
  readonly own: readonly Resource[];
  /** Value sets and code systems in use. */
  readonly terminology: readonly (ValueSet | CodeSystem)[];
  /** Types, datatypes and backbone elements in use. */
  readonly types: ReadonlySet<string>;
  /** Served resource types. */
  readonly served: ReadonlySet<string>;
  /** Canonical URLs of the OperationDefinitions of the served operations. */
  readonly operations: ReadonlySet<string>;
  /** The parameters of a type, as searches know them. */
  searchParams(type: string): ReadonlyMap<string, SearchParam>;
  modifiers(param: SearchParam): readonly string[];
  comparators(param: SearchParam): readonly string[];
}

const ID = /^[A-Za-z0-9.-]{1,64}$/;

/** Where an extension may stand: its context's type, or the type that a path starts with. */
function mayStandIn(definition: StructureDefinition, types: ReadonlySet<string>): boolean {
  return (definition.context ?? []).some((c) => types.has((c.expression ?? '').split('.')[0] ?? ''));
}

function wantedStructure(definition: StructureDefinition, types: ReadonlySet<string>): boolean {
  const type = definition.type ?? '';
  return type === 'Extension' && definition.derivation === 'constraint'
    ? mayStandIn(definition, types)
    : types.has(type);
}

/** The published parameter with what is served of it; undefined when no served type has it. */
function servedParameter(
  parameter: SearchParameter,
  byUrl: ReadonlyMap<string, readonly SearchParam[]>,
  sources: ConformanceSources,
): SearchParameter | undefined {
  const uses = byUrl.get(parameter.url ?? '');
  if (!uses) return undefined;
  // A parameter of several types says what holds for all of them.
  const common = (lists: readonly (readonly string[])[]): string[] =>
    (lists[0] ?? []).filter((m) => lists.every((l) => l.includes(m)));
  const modifier = common(uses.map((p) => sources.modifiers(p))) as SearchParameter['modifier'];
  const comparator = common(uses.map((p) => sources.comparators(p))) as SearchParameter['comparator'];
  const { modifier: _m, comparator: _c, target, ...rest } = parameter;
  // Published targets that no served type's element may refer to are left out: `encounter` of ServiceRequest leads to no EpisodeOfCare.
  const targets = target?.filter((t) => uses.some((p) => p.targets.includes(t)));
  return {
    ...rest,
    ...(targets?.length ? { target: targets } : {}),
    multipleOr: true,
    multipleAnd: true,
    ...(comparator?.length ? { comparator } : {}),
    ...(modifier?.length ? { modifier } : {}),
  };
}

/** Every resource to serve, ordered by type and id. @throws when two have one id */
export function conformanceResources(sources: ConformanceSources): Resource[] {
  const byUrl = new Map<string, SearchParam[]>();
  for (const type of [...sources.served].sort()) {
    for (const param of sources.searchParams(type).values())
      byUrl.set(param.url, [...(byUrl.get(param.url) ?? []), param]);
  }
  const wanted = (resource: Resource): Resource | undefined => {
    switch (resource.resourceType) {
      case 'StructureDefinition':
        return wantedStructure(resource, sources.types) ? resource : undefined;
      case 'SearchParameter':
        return servedParameter(resource, byUrl, sources);
      case 'OperationDefinition':
        return sources.operations.has(resource.url ?? '') ? resource : undefined;
      case 'CompartmentDefinition':
        return sources.served.has(resource.code ?? '') ? resource : undefined;
      default:
        return undefined;
    }
  };
  const own = sources.own.filter((r) => r.resourceType !== 'ValueSet' && r.resourceType !== 'CodeSystem');
  const all = [...[...sources.published, ...own].flatMap((r) => wanted(r) ?? []), ...sources.terminology].filter((r) =>
    sources.served.has(r.resourceType),
  );
  const byKey = new Map<string, Resource>();
  for (const resource of all) {
    const key = `${resource.resourceType}/${resource.id}`;
    if (!ID.test(resource.id ?? '')) throw new Error(`${key} has no usable id`);
    if (byKey.has(key)) throw new Error(`${key} is defined twice`);
    byKey.set(key, resource);
  }
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, resource]) => resource);
}

/** The text of `.build/conformance.ndjson` and its hash; meta keeps only what does not change with each loading. */
export function printConformance(resources: readonly Resource[]): { readonly ndjson: string; readonly hash: string } {
  const lines = resources.map(({ resourceType, id, meta, ...rest }) => {
    const { lastUpdated: _l, versionId: _v, ...kept } = meta ?? {};
    return JSON.stringify({ resourceType, id, ...(Object.keys(kept).length > 0 ? { meta: kept } : {}), ...rest });
  });
  const ndjson = `${lines.join('\n')}\n`;
  return { ndjson, hash: createHash('sha256').update(ndjson).digest('hex') };
}
