/**
 * Composite parameters: no column of their own; their components' columns narrow, the tuples are compared on the resource.
 * @see https://hl7.org/fhir/R4/search.html#composite
 */
import { and, raw } from '../../../platform/database/sql.ts';
import type { Definitions, SearchParam } from '../../definitions/registry.ts';
import { splitEscaped } from '../escape.ts';
import { badValue, type ColumnKind, type SearchKind } from '../kind.ts';
import { listValues } from '../values.ts';

export const compositeColumns: ColumnKind = {
  shapes: () => [],
  extractor: () => () => undefined,
};

/** The type's own parameter for a component, whose column narrows the search. */
const ownParam = (definitions: Definitions, component: SearchParam): SearchParam | undefined =>
  definitions.searchParams(component.resourceType).get(component.code);

export const compositeKind: SearchKind = {
  modifiers: () => [],
  comparators: [],
  parse(text, param, _modifier, meaning, name) {
    const parts = splitEscaped(text, '$');
    if (parts.length !== param.components.length || parts.some((p) => p === '')) {
      throw badValue(
        name,
        `give ${param.components.length} parts separated by $: ${param.components.map((c) => c.param.code).join('$')}.`,
      );
    }
    return {
      kind: 'composite',
      parts: param.components.map((c, i) =>
        meaning.kindOf(c.param).parse(parts[i] ?? '', c.param, undefined, meaning, name),
      ),
    };
  },
  condition(columns, _modifier, values, meaning) {
    const conditions = columns.param.components.map((component, i) => {
      const param = ownParam(meaning.definitions, component.param);
      if (!param) return raw('true');
      const parts = values.flatMap((v) => (v.kind === 'composite' ? v.parts.slice(i, i + 1) : []));
      return meaning.kindOf(param).condition(columns.of(param), undefined, parts, meaning).sql;
    });
    return { sql: and(conditions), exact: false };
  },
  matches(param, found, _modifier, values, meaning) {
    return found.some(({ value }) =>
      values.some(
        (v) =>
          v.kind === 'composite' &&
          param.components.every((c, i) =>
            meaning
              .kindOf(c.param)
              .matches(c.param, listValues(value, c.param), undefined, v.parts.slice(i, i + 1), meaning),
          ),
      ),
    );
  },
  sortKey: () => undefined,
};

/** `:missing` has no column to ask: a tuple is there when some element has all components. */
export const hasTuple = (param: SearchParam, resource: unknown): boolean =>
  listValues(resource, param).some(({ value }) => param.components.every((c) => listValues(value, c.param).length > 0));
