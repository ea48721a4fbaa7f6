/**
 * `_summary` and `_elements`: parts of resources, marked as such.
 * @see https://hl7.org/fhir/R4/search.html#summary
 * @see https://hl7.org/fhir/R4/search.html#elements
 */
import type { Definitions } from '../definitions/registry.ts';
import { DIGITS, parseJson, stringify } from '../json.ts';
import type { Summary } from './criteria.ts';
import { asArray, asObject } from './values.ts';

const ALWAYS: ReadonlySet<string> = new Set(['resourceType', 'id', 'meta']);
const SUBSETTED = { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' };

type Tree = Record<string | symbol, unknown>;

export interface Wanted {
  readonly summary: Summary;
  /** Names of elements; empty: not asked for. */
  readonly elements: readonly string[];
}

function isKept(definitions: Definitions, type: string, property: string, wanted: Wanted): boolean {
  const name = property.startsWith('_') ? property.slice(1) : property;
  if (wanted.summary === 'data') return name !== 'text';
  const element = definitions.element(type, name)?.def;
  if (element && element.min > 0) return true;
  if (wanted.elements.length > 0) {
    return wanted.elements.some((e) => e === name || e === element?.name || e === `${type}.${name}`);
  }
  return wanted.summary === 'text' ? name === 'text' : element?.summary === true;
}

/** Backbone elements of a summary are narrowed as well. */
function narrow(definitions: Definitions, type: string, tree: Tree, wanted: Wanted, isRoot: boolean): Tree {
  const kept: Tree = {};
  if (tree[DIGITS] !== undefined) kept[DIGITS] = tree[DIGITS];
  for (const [property, value] of Object.entries(tree)) {
    if (!(isRoot && ALWAYS.has(property)) && !isKept(definitions, type, property, wanted)) continue;
    const backbone = wanted.summary === 'true' ? definitions.element(type, property)?.def.backbone : undefined;
    const inner = (item: unknown): unknown => {
      const object = backbone === undefined ? undefined : asObject(item);
      return object && backbone !== undefined ? narrow(definitions, backbone, object, wanted, false) : item;
    };
    kept[property] = Array.isArray(value) ? value.map(inner) : inner(value);
  }
  return kept;
}

/** The wanted part of a stored resource, as JSON text with its decimals' digits; tagged SUBSETTED. */
export function subsetText(definitions: Definitions, type: string, content: string, wanted: Wanted): string {
  const tree = parseJson(content, { maxDepth: 1000 }).value as Tree;
  const kept = narrow(definitions, type, tree, wanted, true);
  const meta = asObject(kept['meta']) ?? {};
  // meta stands after the id, as in stored resources, also where there was none.
  const { resourceType, id, meta: _, ...rest } = kept;
  const subset: Tree = {
    resourceType,
    ...(id === undefined ? {} : { id }),
    meta: { ...meta, tag: [...asArray(meta['tag']), SUBSETTED] },
    ...rest,
  };
  if (kept[DIGITS] !== undefined) subset[DIGITS] = kept[DIGITS];
  return stringify(subset);
}
