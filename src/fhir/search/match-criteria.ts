/** The criteria of conditional interactions. @see https://hl7.org/fhir/R4/http.html#cond-update */
import { errorIssue, FhirError } from '../outcome.ts';
import type { StoredVersion } from '../store/repository.ts';
import { timestamp } from '../store/statement.ts';
import type { MatchCriteria } from './contract.ts';
import { matchesAfter, settledPlan } from './matches.ts';
import { parseSearch } from './parse.ts';
import { runOf } from './run.ts';

const VERSION_COLUMNS = ['last_updated', 'method'];

const methodOf = (text: string | null | undefined): StoredVersion['method'] =>
  text === 'PUT' || text === 'PATCH' ? text : 'POST';

export const matchCriteria: MatchCriteria = async (engine, ctx, reader, type, query, limit) => {
  const run = runOf(engine, ctx, reader);
  const parsed = parseSearch(engine, run.meaning, [type], query, { strict: 'always', typeFilter: false });
  const conditions = parsed.types[0]?.conditions ?? [];
  if (conditions.length === 0) {
    throw new FhirError(412, [
      errorIssue(
        'required',
        `A conditional interaction needs criteria: give at least one search parameter of ${type}, such as identifier.`,
      ),
    ]);
  }
  const plan = await settledPlan(run, type, conditions);
  const { rows } = await matchesAfter(run, [{ plan, keys: [] }], undefined, limit, VERSION_COLUMNS);
  return rows.map(({ id, version, content, more: [lastUpdated, method] }): StoredVersion => ({
    type,
    id,
    version,
    lastUpdated: timestamp(lastUpdated),
    content,
    method: methodOf(method),
  }));
};
