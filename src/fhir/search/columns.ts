/**
 * The columns that a type's search parameters ask for, and their values for a resource. STORE makes tables of these.
 * @see https://hl7.org/fhir/R4/search.html
 */
import type { SearchParam } from '../definitions/registry.ts';
import type { Blind, ColumnSource } from './blind/blind.ts';
import { hiddenColumns } from './blind/kinds.ts';
import { tagsLiteral } from './blind/tags.ts';
import type { ColumnKind, Extractor, IndexKind } from './kind.ts';
import { arrayLiteral } from './literal.ts';
import { compositeColumns } from './type/composite.ts';
import { dateColumns } from './type/date.ts';
import { numberColumns } from './type/number.ts';
import { quantityColumns } from './type/quantity.ts';
import { identifierForms, referenceColumns } from './type/reference.ts';
import { specialColumns } from './type/special.ts';
import { stringColumns } from './type/string.ts';
import { tokenColumns } from './type/token.ts';
import { uriColumns } from './type/uri.ts';

export interface Column {
  readonly name: string;
  readonly sqlType: string;
  /**
   * `trgm`: GIN with gin_trgm_ops. All conditions on gin, trgm and gist columns are strict, so such an index may be
   * partial (`where <column> is not null`) and cost nothing for rows without a value.
   */
  readonly index: IndexKind;
  /** Code of the search parameter; undefined for the column that several share. */
  readonly param: string | undefined;
}

/** Columns of every table besides those of parameters; a parameter of such a name gets the prefix `p_`. */
const BASE = new Set(['id', 'version', 'last_updated', 'content', 'method', 'reference_identifier']);
/** Parameters answered by base columns. */
const BUILT_IN = new Set(['_id', '_lastUpdated']);

export const REFERENCE_IDENTIFIER = 'reference_identifier';

const kindOf = (param: SearchParam, baseUrl: string): ColumnKind => {
  switch (param.type) {
    case 'token':
      return tokenColumns;
    case 'date':
      return dateColumns;
    case 'reference':
      return referenceColumns(baseUrl);
    case 'string':
      return stringColumns;
    case 'number':
      return numberColumns;
    case 'quantity':
      return quantityColumns;
    case 'uri':
      return uriColumns;
    case 'composite':
      return compositeColumns;
    case 'special':
      return specialColumns;
    default:
      return param.type satisfies never;
  }
};

/** Name of a parameter's column. */
export function columnName(param: Pick<SearchParam, 'code'>, suffix?: string): string {
  const base = param.code.replaceAll('-', '_').toLowerCase();
  const name = suffix === undefined ? base : `${base}_${suffix}`;
  return BASE.has(name) ? `p_${name}` : name;
}

const stepsOf = (param: SearchParam): string =>
  param.paths
    .map((p) => p.steps.map((s) => s.property).join('.'))
    .sort()
    .join(' ');

/**
 * A parameter whose indexed column holds all that this one's column holds (`name` of `family`, `actor` of `patient`):
 * its index then serves both, and this one needs none. Both hold values, or both tags.
 */
export function coverOf({ definitions, blind }: ColumnSource, param: SearchParam): SearchParam | undefined {
  if (param.type !== 'string' && param.type !== 'token' && param.type !== 'reference') return undefined;
  if (param.paths.length !== 1 || param.code.startsWith('_') || param.code === 'phonetic') return undefined;
  const path = param.paths[0];
  if (!path || path.compute !== undefined) return undefined;
  const own = stepsOf(param);
  const hidden = blind.hides(param);
  const narrowed = (p: SearchParam): boolean =>
    p.paths.some((x) => x.target !== undefined || x.steps.some((s) => s.where));
  for (const other of definitions.searchParams(param.resourceType).values()) {
    if (
      other === param ||
      other.type !== param.type ||
      other.code === 'phonetic' ||
      narrowed(other) ||
      blind.hides(other) !== hidden ||
      other.many !== param.many
    )
      continue;
    if (param.type === 'string') {
      const type = other.paths[0]?.type;
      const whole = type === 'HumanName' || type === 'Address';
      if (whole && other.paths.length === 1 && own.startsWith(`${stepsOf(other)}.`)) return other;
    } else if (narrowed(param) && stepsOf(other) === own) return other;
  }
  return undefined;
}

interface TypePlan {
  readonly columns: readonly Column[];
  readonly extractors: readonly { readonly at: number; readonly extract: Extractor }[];
  readonly identifiers: ((resource: unknown) => string | null) | undefined;
}

function planType(source: ColumnSource, type: string, baseUrl: string): TypePlan {
  const { definitions, blind } = source;
  const params = definitions.searchParams(type);
  const columns: Column[] = [];
  const extractors: { at: number; extract: Extractor }[] = [];
  for (const param of params.values()) {
    if (BUILT_IN.has(param.code)) continue;
    const covered = coverOf(source, param) !== undefined;
    const kind = blind.hides(param)
      ? hiddenColumns(param, blind.tagger(type, columnName(param)), baseUrl, covered)
      : kindOf(param, baseUrl);
    const shapes = kind.shapes(param);
    if (shapes.length === 0) continue;
    extractors.push({ at: columns.length, extract: kind.extractor(param) });
    for (const { suffix, sqlType, index } of shapes) {
      columns.push({ name: columnName(param, suffix), sqlType, index: covered ? 'none' : index, param: param.code });
    }
  }
  const references = [...params.values()].filter((p) => p.datatypes.has('Reference') && p.type === 'reference');
  if (references.length === 0) return { columns, extractors, identifiers: undefined };
  const hidden = blind.seals(type);
  columns.push({ name: REFERENCE_IDENTIFIER, sqlType: hidden ? 'uuid[]' : 'text[]', index: 'gin', param: undefined });
  const tag = blind.tagger(type, REFERENCE_IDENTIFIER);
  const literal = hidden ? (forms: readonly string[]) => tagsLiteral(tag, forms) : arrayLiteral;
  return { columns, extractors, identifiers: identifierForms(references, literal) };
}

const plans = new WeakMap<Blind, Map<string, TypePlan>>();

function planOf(source: ColumnSource, type: string, baseUrl: string): TypePlan {
  let ofBlind = plans.get(source.blind);
  if (!ofBlind) plans.set(source.blind, (ofBlind = new Map()));
  const key = baseUrl === '' ? type : `${type} ${baseUrl}`;
  let plan = ofBlind.get(key);
  if (!plan) ofBlind.set(key, (plan = planType(source, type, baseUrl)));
  return plan;
}

/** Columns of a type's table, in a fixed order: parameters by code, then the shared ones. */
export const columnsOf = (source: ColumnSource, type: string): readonly Column[] => planOf(source, type, '').columns;

/**
 * Values of a resource in the order of `columnsOf`, each as a PostgreSQL text literal of the column's type (arrays as `{"a","b"}`),
 * null where the parameter has no value.
 * @param baseUrl the server's own base: absolute references to it are kept as `Type/id`
 */
export function extract(source: ColumnSource, type: string, resource: unknown, baseUrl = ''): (string | null)[] {
  const { columns, extractors, identifiers } = planOf(source, type, baseUrl);
  const out = new Array<string | null>(columns.length).fill(null);
  for (const { at, extract: into } of extractors) into(resource, out, at);
  if (identifiers) out[columns.length - 1] = identifiers(resource);
  return out;
}
