/**
 * A code system as a graph of concepts: nesting and the `child` property both make parents; filters select codes of it.
 * @see https://hl7.org/fhir/R4/codesystem.html#hierarchy
 */
import type { CodeSystem, CodeSystemConcept, ValueSetComposeIncludeFilter } from '@medplum/fhirtypes';
import type { ConceptNode } from './model.ts';

export interface SystemGraph {
  readonly concepts: readonly ConceptNode[];
  readonly position: ReadonlyMap<string, number>;
  /** Positions of a concept's children. */
  readonly children: readonly (readonly number[])[];
  /** Properties by position; only the build knows them. */
  readonly properties: readonly ReadonlyMap<string, string>[];
}

export function graphOf(
  concepts: readonly ConceptNode[],
  properties: readonly ReadonlyMap<string, string>[] = [],
): SystemGraph {
  const children: number[][] = concepts.map(() => []);
  concepts.forEach((concept, i) => {
    for (const parent of concept.parents) children[parent]?.push(i);
  });
  return { concepts, position: new Map(concepts.map((c, i) => [c.code, i])), children, properties };
}

const propertyValue = (property: NonNullable<CodeSystemConcept['property']>[number]): string =>
  String(
    property.valueCode ??
      property.valueString ??
      property.valueBoolean ??
      property.valueInteger ??
      property.valueDecimal ??
      property.valueDateTime ??
      property.valueCoding?.code ??
      '',
  );

const isAbstract = (properties: ReadonlyMap<string, string>): boolean =>
  properties.get('notSelectable') === 'true' || properties.get('abstract') === 'true';

/** @see https://hl7.org/fhir/R4/codesystem-concept-properties.html */
const isInactive = (properties: ReadonlyMap<string, string>): boolean =>
  properties.get('inactive') === 'true' ||
  ['retired', 'deprecated', 'inactive'].includes(properties.get('status') ?? '');

/** Concepts in document order, parents first where nested. */
export function readCodeSystem(resource: CodeSystem): SystemGraph {
  const flat: {
    readonly concept: CodeSystemConcept;
    readonly parents: Set<number>;
    readonly properties: Map<string, string>;
  }[] = [];
  const walk = (concepts: readonly CodeSystemConcept[], parent: number | undefined): void => {
    for (const concept of concepts) {
      const properties = new Map((concept.property ?? []).map((p) => [p.code ?? '', propertyValue(p)]));
      const at = flat.push({ concept, parents: new Set(parent === undefined ? [] : [parent]), properties }) - 1;
      walk(concept.concept ?? [], at);
    }
  };
  walk(resource.concept ?? [], undefined);
  const position = new Map(flat.map((f, i) => [f.concept.code ?? '', i]));
  flat.forEach(({ concept }, i) => {
    for (const property of concept.property ?? []) {
      const other = position.get(propertyValue(property));
      if (other === undefined) continue;
      if (property.code === 'child') flat[other]?.parents.add(i);
      if (property.code === 'parent' || property.code === 'subsumedBy') flat[i]?.parents.add(other);
    }
  });
  return graphOf(
    flat.map(({ concept, parents, properties }) => ({
      code: concept.code ?? '',
      ...(concept.display === undefined ? {} : { display: concept.display }),
      parents: [...parents],
      abstract: isAbstract(properties),
      inactive: isInactive(properties),
    })),
    flat.map((f) => f.properties),
  );
}

/** Positions reached from a code over parents or children, the code itself first; empty when the code is unknown. */
export function closure(graph: SystemGraph, code: string, direction: 'below' | 'above'): number[] {
  const start = graph.position.get(code);
  if (start === undefined) return [];
  const found = new Set([start]);
  for (const at of found) {
    const next = direction === 'below' ? graph.children[at] : graph.concepts[at]?.parents;
    for (const other of next ?? []) found.add(other);
  }
  return [...found];
}

/**
 * Positions that a filter of a value set keeps; undefined when it asks for something that the system's content does not tell.
 * @see https://hl7.org/fhir/R4/valueset-filter-operator.html
 */
export function applyFilter(graph: SystemGraph, filter: ValueSetComposeIncludeFilter): ReadonlySet<number> | undefined {
  const { property = '', op = '', value = '' } = filter;
  const everything = graph.concepts.map((_, i) => i);
  const ofCode = property === 'concept' || property === 'code';
  if (ofCode && ['is-a', 'descendent-of', 'is-not-a', 'generalizes'].includes(op)) {
    if (!graph.position.has(value)) return undefined;
    const reached = new Set(closure(graph, value, op === 'generalizes' ? 'above' : 'below'));
    if (op === 'descendent-of') reached.delete(graph.position.get(value) ?? -1);
    return op === 'is-not-a' ? new Set(everything.filter((i) => !reached.has(i))) : reached;
  }
  const known = ofCode || property === 'display' || graph.properties.some((p) => p.has(property));
  if (!known) return undefined;
  const valueAt = (i: number): string | undefined =>
    ofCode
      ? graph.concepts[i]?.code
      : property === 'display'
        ? graph.concepts[i]?.display
        : graph.properties[i]?.get(property);
  const keep = (test: (v: string | undefined) => boolean): ReadonlySet<number> =>
    new Set(everything.filter((i) => test(valueAt(i))));
  switch (op) {
    case '=':
      return keep((v) => v === value);
    case 'in':
      return keep((v) => v !== undefined && value.split(',').includes(v));
    case 'not-in':
      return keep((v) => v === undefined || !value.split(',').includes(v));
    case 'exists':
      return keep((v) => (v !== undefined) === (value === 'true'));
    case 'regex': {
      const pattern = new RegExp(`^(?:${value})$`, 'u');
      return keep((v) => v !== undefined && pattern.test(v));
    }
    default:
      return undefined;
  }
}
