/**
 * The build step of terminology: of the published and own value sets and code systems, those that the types in use bind to, enumerated.
 * @see https://hl7.org/fhir/R4/terminologies.html#binding
 */
import type { CodeSystem, Resource, ValueSet } from '@medplum/fhirtypes';
import type { DefinitionsFile } from '../definitions/model.ts';
import { graphOf, readCodeSystem, type SystemGraph } from './code-system.ts';
import { compose, type Selection } from './compose.ts';
import {
  UNKNOWN_SYSTEM,
  printCodes,
  printConcepts,
  withoutVersion,
  type PartFile,
  type SystemFile,
  type TerminologyFile,
  type ValueSetFile,
} from './model.ts';

/** Types that the server reads or writes without storing them. */
const WIRE_TYPES = ['Bundle', 'Parameters', 'OperationOutcome', 'CapabilityStatement', 'TerminologyCapabilities'];

const ISO_4217 = 'urn:iso:std:iso:4217';

/** Types reached from the served ones through their elements: datatypes and backbone elements too. */
export function typesInUse(definitions: DefinitionsFile, served: readonly string[]): ReadonlySet<string> {
  const byName = new Map(definitions.types.map((t) => [t.name, t]));
  const found = new Set([...served, ...WIRE_TYPES]);
  for (const name of found) {
    const type = byName.get(name);
    if (type?.base) found.add(type.base);
    for (const element of type?.elements ?? []) {
      if (element.backbone) found.add(element.backbone);
      for (const t of element.types) if (byName.has(t.code)) found.add(t.code);
    }
  }
  return found;
}

/** Canonicals, without version, of the value sets that elements of these types, parameters of operations and own profiles are bound to. */
function boundValueSets(
  definitions: DefinitionsFile,
  types: ReadonlySet<string>,
  own: readonly Resource[],
): ReadonlySet<string> {
  const urls = new Set<string>();
  for (const type of definitions.types) {
    if (types.has(type.name))
      for (const element of type.elements) if (element.binding) urls.add(element.binding.valueSet);
  }
  for (const parameter of definitions.operations.flatMap((o) => o.parameters))
    if (parameter.valueSet) urls.add(parameter.valueSet);
  for (const resource of own) {
    if (resource.resourceType === 'ValueSet' && resource.url) urls.add(resource.url);
    if (resource.resourceType !== 'StructureDefinition') continue;
    for (const element of [...(resource.snapshot?.element ?? []), ...(resource.differential?.element ?? [])]) {
      if (element.binding?.valueSet) urls.add(withoutVersion(element.binding.valueSet));
    }
  }
  return urls;
}

/** Value sets that these import, and so on, are in use too. */
function withImports(urls: ReadonlySet<string>, valueSets: ReadonlyMap<string, ValueSet>): ReadonlySet<string> {
  const all = new Set(urls);
  for (const url of all) {
    const { include = [], exclude = [] } = valueSets.get(url)?.compose ?? {};
    for (const part of [...include, ...exclude])
      for (const other of part.valueSet ?? []) all.add(withoutVersion(other));
  }
  return all;
}

/** Currency codes as the runtime's CLDR data knows them, past ones and funds included. */
function currencies(): SystemGraph {
  const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode(65 + i));
  const names = new Intl.DisplayNames('en', { type: 'currency', fallback: 'none' });
  const codes = letters.flatMap((a) => letters.flatMap((b) => letters.map((c) => a + b + c)));
  return graphOf(
    codes.flatMap((code) => {
      const display = names.of(code);
      return display === undefined ? [] : [{ code, display, parents: [], abstract: false, inactive: false }];
    }),
  );
}

const enumerable = (system: CodeSystem): boolean =>
  system.content === 'complete' || system.content === 'fragment' || system.content === 'example';

/** Later versions win; `url|version` finds each. */
function indexSystems(systems: readonly CodeSystem[]): ReadonlyMap<string, CodeSystem> {
  const sorted = systems
    .filter((s) => s.url)
    .toSorted((a, b) => (a.version ?? '').localeCompare(b.version ?? '', 'en', { numeric: true }));
  return new Map(sorted.flatMap((s) => [[s.url ?? '', s] as const, [`${s.url}|${s.version}`, s] as const]));
}

function partOf(system: string, selection: Selection, graph: SystemGraph | undefined): PartFile[] {
  const all = graph !== undefined && selection.codes.size === graph.concepts.length;
  const listed = new Map(
    [...selection.codes].map(([code, display]) => {
      const at = graph?.position.get(code);
      return [code, at === undefined || graph?.concepts[at]?.display !== display ? display : undefined] as const;
    }),
  );
  const relabelled = [...listed.values()].some((display) => display !== undefined);
  const known: PartFile[] =
    all && !relabelled
      ? [{ system, kind: 'all' }]
      : listed.size > 0
        ? [{ system, kind: 'listed', codes: printCodes(listed) }]
        : [];
  return selection.open ? [...known, { system, kind: 'opaque' }] : known;
}

/** The parts of `.build/terminology.json` and the resources behind it. */
export interface BuiltTerminology {
  readonly file: TerminologyFile;
  /** ValueSets and CodeSystems in use, as published; also those that cannot be enumerated. */
  readonly resources: readonly (ValueSet | CodeSystem)[];
}

/**
 * @param published resources of valuesets, v3-codesystems and v2-tables
 * @param own resources of `fhir-profiles/`
 * @param served names of the served resource types
 */
export function buildTerminology(
  published: readonly Resource[],
  own: readonly Resource[],
  definitions: DefinitionsFile,
  served: readonly string[],
): BuiltTerminology {
  const all = [...published, ...own];
  const valueSets = new Map(all.filter((r) => r.resourceType === 'ValueSet').map((v) => [v.url ?? '', v]));
  const codeSystems = indexSystems(all.filter((r) => r.resourceType === 'CodeSystem'));
  const graphs = new Map<string, SystemGraph>([[ISO_4217, currencies()]]);
  const system = (canonical: string): SystemGraph | undefined => {
    const resource = codeSystems.get(canonical);
    const known = graphs.get(canonical);
    if (known || !resource || !enumerable(resource)) return known;
    const graph = readCodeSystem(resource);
    graphs.set(canonical, graph);
    return graph;
  };
  const inUse = withImports(boundValueSets(definitions, typesInUse(definitions, served), own), valueSets);
  const ownSystems = own.flatMap((r) => (r.resourceType === 'CodeSystem' && r.url ? [r.url] : []));
  const systemsInUse = new Set<string>([...ownSystems, ISO_4217]);
  const outValueSets: Record<string, ValueSetFile> = {};
  for (const url of [...inUse].sort()) {
    const valueSet = valueSets.get(url);
    if (!valueSet) continue;
    const composition = compose(valueSet, { system, valueSet: (canonical) => valueSets.get(canonical) });
    for (const name of composition.keys()) if (name !== UNKNOWN_SYSTEM) systemsInUse.add(name);
    outValueSets[url] = {
      ...(valueSet.id ? { id: valueSet.id } : {}),
      ...(valueSet.version ? { version: valueSet.version } : {}),
      parts: [...composition].flatMap(([name, selection]) => partOf(name, selection, system(name))),
    };
  }
  const systems: Record<string, SystemFile> = {};
  for (const url of [...systemsInUse].sort()) {
    const graph = system(url);
    const resource = codeSystems.get(url);
    if (!graph) continue;
    systems[url] = {
      ...(resource?.id ? { id: resource.id } : {}),
      ...(resource?.version ? { version: resource.version } : {}),
      name: resource?.title ?? resource?.name ?? 'ISO 4217 currency codes',
      complete: resource === undefined || resource.content === 'complete',
      concepts: printConcepts(graph.concepts),
    };
  }
  return {
    file: { systems, valueSets: outValueSets, opaque: [...systemsInUse].filter((url) => !(url in systems)).sort() },
    resources: [
      ...[...inUse].flatMap((url) => valueSets.get(url) ?? []),
      ...[...systemsInUse].flatMap((url) => codeSystems.get(url) ?? []),
    ],
  };
}
