/**
 * Conditional interactions: which resource do the criteria mean? Asked inside a serializable transaction, so that of two alike one waits for the other.
 * @see https://hl7.org/fhir/R4/http.html#cond-update
 */
import { notAllowed, type Act } from '../access.ts';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { errorIssue, FhirError } from '../outcome.ts';
import type { Query } from '../search/contract.ts';
import { matchCriteria } from '../search/match-criteria.ts';
import type { Reader } from '../store/repository.ts';
import { isLive, type LiveVersion } from './version.ts';

/** Parameters that speak of the reply, not of the resource. */
const GENERAL: ReadonlySet<string> = new Set(['_format', '_pretty']);

export const criteriaOf = (query: Query): Query =>
  query.some(([name]) => GENERAL.has(name)) ? query.filter(([name]) => !GENERAL.has(name)) : query;

/**
 * The one resource that matches; undefined when none does. What matches is told by it: so it must be allowed to search.
 * @param act what is to become of the match
 * @throws FhirError 412 when there are no criteria, or several resources match; 403 when the act is not allowed on the match
 */
export async function onlyMatch(
  engine: Engine,
  ctx: RequestContext,
  reader: Reader,
  type: string,
  query: Query,
  act: Act,
): Promise<LiveVersion | undefined> {
  ctx.access.demand('search-type', type);
  const criteria = criteriaOf(query);
  if (criteria.length === 0) {
    throw new FhirError(412, [
      errorIssue(
        'required',
        `Criteria are missing: add search parameters of ${type}, such as identifier=system|value.`,
      ),
    ]);
  }
  const [first, second] = await matchCriteria(engine, ctx, reader, type, criteria, 2);
  if (second) {
    throw new FhirError(412, [
      errorIssue('multiple-matches', `More than one ${type} matches the criteria: narrow them to one.`),
    ]);
  }
  if (!isLive(first)) return undefined;
  const rows = ctx.access.to(act);
  if (act !== 'create' && act !== 'refer' && rows.reach(type) !== 'all') {
    const name = `${type}/${first.id}`;
    if (!(await reader.existing([name], rows)).has(name)) throw notAllowed(type, act);
  }
  return first;
}
