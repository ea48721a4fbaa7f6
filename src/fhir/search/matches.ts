/** Runs plans: pages of matches, their number, and the chains that have to be resolved first. */
import { raw } from '../../platform/database/sql.ts';
import type { Rows } from '../access.ts';
import { breather } from '../breathe.ts';
import type { Engine } from '../engine.ts';
import type { Reader } from '../store/repository.ts';
import { shownText } from '../store/withheld.ts';
import type { ChainCondition, HasCondition } from './criteria.ts';
import type { Meaning } from './kind.ts';
import { cappedSelect, pageSelect, unionSelect, type Notes, type OrderKey, type Position } from './page.ts';
import { planOf, type Plan, type PlannedCondition } from './plan.ts';
import { meetsAll, spendCandidates, type Budget } from './recheck.ts';
import { selectFrom } from './sql.ts';
import { isCanonical, localReference } from './type/reference.ts';
import { asObject, asString, eachValue } from './values.ts';

/** What a search runs with. */
export interface Run {
  readonly engine: Engine;
  /** What may be searched, also by chains and includes. */
  readonly access: Rows;
  readonly reader: Reader;
  readonly meaning: Meaning;
  readonly budget: Budget;
}

/** A match. */
export interface Row {
  readonly type: string;
  readonly id: string;
  readonly version: number;
  /** The resource's text as it is served. */
  readonly content: string;
  /** Further columns as PostgreSQL prints them, in the order asked for. */
  readonly more: readonly (string | null)[];
  readonly keys: readonly (string | null)[];
  /** What the first page was read under. */
  readonly snapshot: string | null;
  /** Number of all matches, where it was asked for. */
  readonly counted: string | null;
}

const NO_TEXTS: readonly (string | null)[] = [];

const textOf = (value: unknown): string | null =>
  value === null || value === undefined ? null : value instanceof Date ? value.toISOString() : String(value);

/** Where things stand in a row of a page. */
interface Layout {
  readonly moreAt: number;
  readonly keysAt: number;
  readonly keysEnd: number;
  readonly notes: Notes;
}

/** A row of a page: sort values are wanted of the last one only, so they are made when asked for. */
class PageRow implements Row {
  readonly type: string;
  readonly id: string;
  readonly version: number;
  readonly content: string;
  private readonly columns: readonly unknown[];
  private readonly layout: Layout;

  constructor(type: string, id: string, version: number, content: string, columns: readonly unknown[], layout: Layout) {
    this.type = type;
    this.id = id;
    this.version = version;
    this.content = content;
    this.columns = columns;
    this.layout = layout;
  }
  get more(): readonly (string | null)[] {
    return this.columns.slice(this.layout.moreAt, this.layout.keysAt).map(textOf);
  }
  get keys(): readonly (string | null)[] {
    return this.columns.slice(this.layout.keysAt, this.layout.keysEnd).map(textOf);
  }
  get snapshot(): string | null {
    return this.layout.notes.snapshot ? textOf(this.columns[this.layout.keysEnd]) : null;
  }
  get counted(): string | null {
    const { notes, keysEnd } = this.layout;
    return notes.count ? textOf(this.columns[notes.snapshot ? keysEnd + 1 : keysEnd]) : null;
  }
}

/** The text of a row as whoever searches may see it. */
export const textOfRow = (run: Run, type: string, id: string, version: number, stored: unknown): string =>
  shownText(run.engine.resources, type, run.reader.decode(type, id, version, String(stored)), run.access);

/** A row without place and further columns. */
export const plainRow = (type: string, id: string, version: number, content: string): Row => ({
  type,
  id,
  version,
  content,
  more: NO_TEXTS,
  keys: NO_TEXTS,
  snapshot: null,
  counted: null,
});

/** A planned type with its order. */
export interface Sought {
  readonly plan: Plan;
  readonly keys: readonly OrderKey[];
}

const CONTENT = ['id', 'version', 'content'];

/** Matches in order. */
export interface Matches {
  readonly rows: Row[];
  /** They end before the limit because they are large: there may be more. */
  readonly cut: boolean;
}

/** Whether so many rows may be more than a reply holds by far: few rows are not worth the counting. */
export const mayOverflow = ({ limits }: Engine, rows: number): boolean =>
  rows * limits.resourceBytes > 2 * limits.replyBytes;

/** At most `limit` candidates after the position; fewer, but at least one, when they are larger than a reply. */
async function candidates(
  run: Run,
  sought: readonly Sought[],
  after: Position | undefined,
  limit: number,
  more: readonly string[],
  count: boolean,
): Promise<Matches> {
  const what = more.length === 0 ? CONTENT : [...CONTENT, ...more];
  // The first page of rows that may change their place notes what it saw.
  const notes: Notes = { snapshot: after === undefined && (sought[0]?.keys.length ?? 0) > 0, count };
  const [first] = sought;
  if (!first) return { rows: [], cut: false };
  const { type } = first.plan.scope;
  const one = sought.length === 1;
  const statement = one
    ? pageSelect(first.plan, what, first.keys, after, limit, notes)
    : unionSelect(
        sought.map((s) => ({ type: s.plan.scope.type, page: pageSelect(s.plan, what, s.keys, after, limit, notes) })),
        what,
        first.keys,
        limit,
      );
  const at = one ? 0 : 1;
  const keysAt = at + what.length;
  const contentAt = at + CONTENT.length - 1;
  const width = keysAt + first.keys.length + (notes.snapshot ? 1 : 0) + (count ? 1 : 0);
  const capped = mayOverflow(run.engine, limit);
  const found = await run.reader.query(
    capped ? cappedSelect(statement, width, contentAt, run.engine.limits.replyBytes) : statement,
  );
  const end = capped ? found.findIndex((row) => row[contentAt] === null) : -1;
  const cut = end >= 0;
  const layout: Layout = { moreAt: at + CONTENT.length, keysAt, keysEnd: keysAt + first.keys.length, notes };
  const rows = (cut ? found.slice(0, end) : found).map((row) => {
    const rowType = one ? type : String(row[0]);
    const id = String(row[at]);
    const version = Number(row[at + 1]);
    return new PageRow(rowType, id, version, textOfRow(run, rowType, id, version, row[contentAt]), row, layout);
  });
  return { rows, cut };
}

/** Decoded resource of a row. */
export const resourceOf = (row: Row): unknown => JSON.parse(row.content);

/** Fenced plans find all matches before they sort, and can count them on the way. */
const countsItself = (sought: readonly Sought[]): boolean => sought.length === 1 && sought[0]?.plan.fenced === true;

/**
 * The first `limit` matches after the position, in order; fewer when they are larger than a reply.
 * @param count whether the rows shall tell the number of all matches, if that costs no further statement
 * @throws FhirError 400 when too many candidates would have to be tested
 */
export async function matchesAfter(
  run: Run,
  sought: readonly Sought[],
  after: Position | undefined,
  limit: number,
  more: readonly string[] = [],
  count = false,
): Promise<Matches> {
  if (sought.every((s) => s.plan.recheck.length === 0))
    return candidates(run, sought, after, limit, more, count && countsItself(sought));
  const conditions = new Map(sought.map((s) => [s.plan.scope.type, s.plan.recheck]));
  const batch = Math.min(Math.max(limit * 2, 100), 1000);
  const found: Row[] = [];
  let position = after;
  let size = 0;
  const breathe = breather();
  for (;;) {
    const { rows, cut } = await candidates(run, sought, position, batch, more, false);
    spendCandidates(run.budget, rows.length);
    for (const row of rows) {
      if (found.length >= limit) break;
      if (size > run.engine.limits.replyBytes) return { rows: found, cut: true };
      if (meetsAll(run.meaning, conditions.get(row.type) ?? [], resourceOf(row))) {
        found.push(row);
        size += row.content.length;
      }
      const pause = breathe();
      if (pause) await pause;
    }
    const last = rows.at(-1);
    if (found.length >= limit || (rows.length < batch && !cut) || !last) return { rows: found, cut: false };
    position = last;
  }
}

/** Number of all matches. */
export async function countMatches(run: Run, sought: readonly Sought[]): Promise<number> {
  const counts = await Promise.all(
    sought.map(async ({ plan }) => {
      if (plan.recheck.length > 0) return eachMatch(run, plan);
      const rows = await run.reader.query(selectFrom(plan.scope, raw('count(*)'), plan.where));
      return Number(rows[0]?.[0]);
    }),
  );
  return counts.reduce((sum, n) => sum + n, 0);
}

/** Visits all matches of a plan, by id, none of them kept. @returns their number @throws FhirError 400 when there are more than may be tested */
export async function eachMatch(run: Run, plan: Plan, visit?: (row: Row, resource: unknown) => void): Promise<number> {
  let number = 0;
  let after: Position | undefined;
  const breathe = breather();
  for (;;) {
    const { rows, cut } = await candidates(run, [{ plan, keys: [] }], after, 1000, [], false);
    spendCandidates(run.budget, rows.length);
    for (const row of rows) {
      const resource = resourceOf(row);
      if (meetsAll(run.meaning, plan.recheck, resource)) {
        number++;
        visit?.(row, resource);
      }
      const pause = breathe();
      if (pause) await pause;
    }
    after = rows.at(-1);
    if ((rows.length < 1000 && !cut) || !after) return number;
  }
}

async function resolve(run: Run, type: string, condition: ChainCondition | HasCondition): Promise<PlannedCondition> {
  if (condition.kind === 'chain') {
    const canonical = isCanonical(condition.param);
    const references: string[] = [];
    for (const target of condition.targets) {
      await eachMatch(run, await settledPlan(run, target.type, [target.condition]), (row, resource) => {
        const name = canonical ? asString(asObject(resource)?.['url']) : `${row.type}/${row.id}`;
        if (name !== undefined) references.push(name);
      });
    }
    return { kind: 'resolved-chain', param: condition.param, references };
  }
  const canonical = isCanonical(condition.param);
  const values = new Set<string>();
  await eachMatch(run, await settledPlan(run, condition.type, [condition.condition]), (_, resource) => {
    eachValue(resource, condition.param, (value) => {
      const reference = asString(value) ?? asString(asObject(value)?.['reference']) ?? '';
      if (canonical) values.add(reference.split('|')[0] ?? '');
      else {
        const local = localReference(reference, run.engine.baseUrl);
        if (local.startsWith(`${type}/`)) values.add(local.slice(type.length + 1));
      }
    });
  });
  return { kind: 'resolved-ids', column: canonical ? 'url' : 'id', values: [...values] };
}

/** The plan of a type's conditions, chains and `_has` that must be tested in memory already resolved. */
export async function settledPlan(run: Run, type: string, conditions: readonly PlannedCondition[]): Promise<Plan> {
  const plan = planOf(run, type, conditions);
  if (plan.unresolved.length === 0) return plan;
  const open: ReadonlySet<PlannedCondition> = new Set(plan.unresolved);
  const settled: PlannedCondition[] = [];
  for (const condition of conditions) {
    settled.push(
      open.has(condition) && (condition.kind === 'chain' || condition.kind === 'has')
        ? await resolve(run, type, condition)
        : condition,
    );
  }
  return planOf(run, type, settled);
}
