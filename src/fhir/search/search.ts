/**
 * Search in a type, a compartment or the whole system.
 * @see https://hl7.org/fhir/R4/http.html#search
 */
import type { Engine } from '../engine.ts';
import type { Rows } from '../access.ts';
import { breather } from '../breathe.ts';
import type { Issue } from '../outcome.ts';
import { writeSearchset, type Entry } from './bundle.ts';
import { compartmentCondition, compartmentTypes } from './compartment.ts';
import type { Search, SearchTarget } from './contract.ts';
import type { ParsedSearch, SortKey } from './criteria.ts';
import { decodedMatches, hideKeys, isDecodedOrder, showKeys } from './decoded-order.ts';
import { includeFor, type Included } from './include.ts';
import { countMatches, matchesAfter, settledPlan, type Row, type Run, type Sought } from './matches.ts';
import { defaultSort, orderKeys } from './order.ts';
import { openCursor, sealCursor, type Cursor, type Moment } from './page.ts';
import { parseSearch } from './parse.ts';
import type { PlannedCondition } from './plan.ts';
import { runOf } from './run.ts';
import { encodePairs, printSearch, withPage } from './print.ts';
import { demandConsistent } from './result-options.ts';
import { steadyMatches } from './steady.ts';
import { subsetText, type Wanted } from './subset.ts';

/** Types that a search looks into: of several, those that hold anything for the caller. */
function searchedTypes(engine: Engine, access: Rows, { type, compartment }: SearchTarget): readonly string[] {
  if (type !== undefined) return [type];
  const types = compartment
    ? compartmentTypes(engine, compartment.code)
    : [...engine.resources.values()]
        .filter((r) => r.interactions.includes('search-type'))
        .map((r) => r.type)
        .sort();
  return types.filter((t) => access.reach(t) !== 'none');
}

function pathOf(engine: Engine, { type, compartment }: SearchTarget): string {
  if (compartment) return `${engine.baseUrl}/${compartment.code}/${compartment.id}/${type ?? '*'}`;
  return type === undefined ? engine.baseUrl : `${engine.baseUrl}/${type}`;
}

async function soughtOf(run: Run, target: SearchTarget, parsed: ParsedSearch): Promise<Sought[]> {
  const [first] = parsed.types;
  const sort: readonly SortKey[] =
    parsed.result.sort.length > 0
      ? parsed.result.sort
      : parsed.types.length === 1 && first
        ? defaultSort(run, first.type)
        : [];
  const sought: Sought[] = [];
  for (const { type, conditions } of parsed.types) {
    const all: readonly PlannedCondition[] = target.compartment
      ? [compartmentCondition(run.engine, target.compartment.code, target.compartment.id, type), ...conditions]
      : conditions;
    const plan = await settledPlan(run, type, all);
    sought.push({ plan, keys: orderKeys(run, plan.scope, sort) });
  }
  return sought;
}

const NOTHING: Included = { rows: [], cut: false };

function issuesOf(parsed: ParsedSearch, cut: boolean, limit: number, advice: readonly Issue[]): Issue[] {
  const issues: Issue[] = parsed.ignored.map(({ name, why }) => ({
    severity: 'warning',
    code: 'not-supported',
    diagnostics: `${JSON.stringify(name.slice(0, 200))} was ignored: ${why}.`,
    expression: [name.slice(0, 200)],
  }));
  if (cut)
    issues.push({
      severity: 'warning',
      code: 'incomplete',
      diagnostics: `Only ${limit} resources are included in a page: ask for smaller pages by _count.`,
      expression: ['_include'],
    });
  return advice.length > 0 ? [...issues, ...advice] : issues;
}

/** Whether the number of matches must be told even where it costs a count. */
function demandsTotal(run: Run, parsed: ParsedSearch): boolean {
  const { total } = parsed.result;
  if (total !== undefined) return total !== 'none';
  return parsed.types.length === 1 && parsed.types.every((t) => run.engine.resources.get(t.type)?.total === 'accurate');
}

/** The number of matches: known when they all fit into the first page or were counted with it, carried on by page links, counted on demand. */
async function totalOf(
  run: Run,
  parsed: ParsedSearch,
  sought: readonly Sought[],
  cursor: Cursor | undefined,
  counted: string | null | undefined,
): Promise<number | undefined> {
  if (parsed.result.total === 'none') return undefined;
  if (cursor) return cursor.total;
  if (typeof counted === 'string') return Number(counted);
  return demandsTotal(run, parsed) ? countMatches(run, sought) : undefined;
}

async function subsets(engine: Engine, wanted: Wanted, rows: readonly Row[]): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  const breathe = breather();
  for (const { type, id, content } of rows) {
    entries.push({ type, id, content: subsetText(engine.definitions, type, content, wanted) });
    const pause = breathe();
    if (pause) await pause;
  }
  return entries;
}

function entriesOf(
  engine: Engine,
  parsed: ParsedSearch,
  rows: readonly Row[],
): readonly Entry[] | Promise<readonly Entry[]> {
  const { summary = 'false', elements } = parsed.result;
  return summary === 'false' && elements.length === 0 ? rows : subsets(engine, { summary, elements }, rows);
}

/** Number of rows that fit, at least one. */
function fitting(rows: readonly Row[], bytes: number): number {
  let size = 0;
  for (const [i, row] of rows.entries()) {
    size += row.content.length;
    if (size > bytes && i > 0) return i;
  }
  return rows.length;
}

/** What later pages must know of the first one. */
function momentOf(row: Row, atMs: number): Moment | undefined {
  const { snapshot } = row;
  return row.keys.length > 0 && snapshot !== null ? { snapshot, atMs } : undefined;
}

/** @throws FhirError 400 when the link was changed, or belongs to another search */
function cursorOf(engine: Engine, binding: string, text: string, sought: readonly Sought[]): Cursor {
  if (!isDecodedOrder(sought)) return openCursor(engine.cursorKey, binding, text, sought[0]?.keys.length ?? 0);
  const cursor = openCursor(engine.cursorKey, binding, text, 1);
  return { ...cursor, keys: showKeys(engine.cursorKey, cursor.keys[0] ?? '') };
}

export const search: Search = async (engine, ctx, target, query, options) => {
  const run = runOf(engine, ctx, engine.repository);
  const parsed = parseSearch(engine, run.meaning, searchedTypes(engine, run.access, target), query, {
    strict: options.strict,
    typeFilter: target.type === undefined,
  });
  const { result } = parsed;
  demandConsistent(result);
  const sought = await soughtOf(run, target, parsed);
  const path = pathOf(engine, target);
  const written = encodePairs(printSearch(parsed));
  const link = (at: string | undefined): string => path + withPage(written, result.count, at);
  const advice =
    (target.type === undefined ? undefined : engine.resources.get(target.type)?.advise?.(query, ctx.clock.now())) ?? [];
  const onlyCount = result.count === 0 || result.summary === 'count';
  if (onlyCount) {
    const total = await countMatches(run, sought);
    return {
      body: writeSearchset({
        baseUrl: engine.baseUrl,
        total,
        self: link(undefined),
        next: undefined,
        matches: [],
        included: [],
        issues: issuesOf(parsed, false, 0, advice),
      }),
      resources: [],
      shown: [],
    };
  }
  // A page link is good for one search by those who see the same, whatever the page size.
  const binding = `${path}?${written}\n${ctx.access.key}`;
  const cursor = result.cursor === undefined ? undefined : cursorOf(engine, binding, result.cursor, sought);
  const count = result.count ?? engine.limits.pageSize;
  const startedMs = ctx.clock.now();
  const decoded = isDecodedOrder(sought);
  const { rows, cut } = await (decoded
    ? decodedMatches(run, sought, cursor, cursor?.began, count + 1)
    : cursor?.began
      ? steadyMatches(run, sought, cursor, cursor.began, count + 1)
      : matchesAfter(run, sought, cursor, count + 1, [], !cursor && demandsTotal(run, parsed)));
  // A page ends where the reply would become too large; what is included gets the other half.
  const { replyBytes } = engine.limits;
  const fit = fitting(rows, result.includes.length === 0 ? replyBytes : replyBytes / 2);
  const hasMore = cut || rows.length > Math.min(count, fit);
  const counted = hasMore ? rows[0]?.counted : String(rows.length);
  if (rows.length > Math.min(count, fit)) rows.length = Math.min(count, fit);
  const [total, included] = await Promise.all([
    totalOf(run, parsed, sought, cursor, counted),
    result.includes.length === 0 ? NOTHING : includeFor(run, result.includes, rows),
  ]);
  const last = rows.at(-1);
  const began = hasMore && last ? (cursor ? cursor.began : momentOf(last, startedMs)) : undefined;
  const keys = last && (decoded ? [hideKeys(engine.cursorKey, last.keys)] : last.keys);
  const body = writeSearchset({
    baseUrl: engine.baseUrl,
    total,
    self: link(result.cursor === undefined ? undefined : encodeURIComponent(result.cursor)),
    next:
      hasMore && last && keys
        ? link(sealCursor(engine.cursorKey, binding, { id: last.id, type: last.type, keys, total, began }))
        : undefined,
    matches: await entriesOf(engine, parsed, rows),
    included: await entriesOf(engine, parsed, included.rows),
    issues: issuesOf(parsed, included.cut, engine.limits.includes, advice),
  });
  const resources: string[] = [];
  for (const row of rows) resources.push(`${row.type}/${row.id}`);
  for (const row of included.rows) resources.push(`${row.type}/${row.id}`);
  return { body, resources, shown: included.rows.length === 0 ? rows : [...rows, ...included.rows] };
};
