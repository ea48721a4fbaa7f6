/** The order of results: `_sort`, or the type's own, and then the id. @see https://hl7.org/fhir/R4/search.html#sort */
import { badRequest } from '../outcome.ts';
import type { SearchParam } from '../definitions/registry.ts';
import { sortValue } from './blind/sort-value.ts';
import type { SortKey } from './criteria.ts';
import type { Run } from './matches.ts';
import type { OrderKey } from './page.ts';
import type { Scope } from './sql.ts';
import { columnsFor } from './sql.ts';
import { isInstant } from './type/date.ts';

/** The element itself is mandatory, and its column always filled. */
function isRequired(param: SearchParam): boolean {
  if (param.code === '_id' || param.code === '_lastUpdated') return true;
  const path = param.paths[0];
  return param.paths.length === 1 && path?.steps.length === 1 && (path.element?.min ?? 0) > 0 && isInstant(param);
}

export function defaultSort(run: Run, type: string): SortKey[] {
  return (run.engine.resources.get(type)?.defaultSort ?? []).map((code) =>
    code.startsWith('-') ? { code: code.slice(1), descending: true } : { code, descending: false },
  );
}

export function orderKeys(run: Run, scope: Scope, sort: readonly SortKey[]): OrderKey[] {
  const keys: OrderKey[] = [];
  for (const { code, descending } of sort) {
    const param = run.engine.definitions.searchParams(scope.type).get(code);
    if (!param) continue;
    if ((run.access.veil(scope.type)?.hides(param) ?? 'none') !== 'none')
      throw badRequest(
        'not-supported',
        `_sort: ${code} of ${scope.type} is not shown to you in every resource, so it gives no order: sort by something else.`,
        '_sort',
      );
    const column = columnsFor(run.engine, scope, param).column();
    const expression = run.meaning.kindOf(param).sortKey(param, column, descending);
    if (!expression) continue;
    const { cast } = expression;
    keys.push({
      ...expression,
      descending,
      required: isRequired(param),
      hidden: run.engine.blind.hides(param),
      valueIn: (resource) => sortValue(param, cast, descending, resource, run.engine.baseUrl),
    });
  }
  return keys;
}
