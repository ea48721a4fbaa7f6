/**
 * `_include` and `_revinclude`: resources that the matches refer to, or that refer to them.
 * @see https://hl7.org/fhir/R4/search.html#revinclude
 */
import { raw, sql, type Sql } from '../../platform/database/sql.ts';
import type { SearchParam } from '../definitions/registry.ts';
import { hiddenRefersTo } from './blind/reference.ts';
import type { Include } from './criteria.ts';
import { referenceParams } from './info.ts';
import { oneOf, overlaps } from './kind.ts';
import { errorIssue, FhirError } from '../outcome.ts';
import { mayOverflow, plainRow, resourceOf, textOfRow, type Row, type Run } from './matches.ts';
import { cappedSelect } from './page.ts';
import { columnsFor, scopeOf, selectFrom } from './sql.ts';
import { isCanonical, localReference } from './type/reference.ts';
import { asObject, asString, eachValue, isScalar } from './values.ts';

export interface Included {
  readonly rows: readonly Row[];
  /** More would have been included than are allowed. */
  readonly cut: boolean;
}

interface Gathering {
  readonly run: Run;
  /** `Type/id` of what is shown already. */
  readonly seen: Set<string>;
  readonly rows: Row[];
  left: number;
  /** What the reply may still hold. */
  bytesLeft: number;
  cut: boolean;
}

const nameOf = (row: Row): string => `${row.type}/${row.id}`;

const tooLarge = ({ run }: Gathering): FhirError =>
  new FhirError(413, [
    errorIssue(
      'too-costly',
      `With what is included this page would be larger than ${run.engine.limits.replyBytes} bytes: ask for fewer matches by a lower _count, or include less.`,
      '_include',
    ),
  ]);

/** Reads rows of a type that are not shown yet, no more than are still allowed. */
async function take(gathering: Gathering, type: string, condition: (alias: string) => Sql): Promise<Row[]> {
  const { run } = gathering;
  if (run.access.reach(type) === 'none') return [];
  const scope = scopeOf(run.access, type, 'r');
  // The rows already shown may be found again: they don't count.
  const limit = gathering.left + gathering.seen.size + 1;
  const statement = selectFrom(scope, raw('r.id, r.version, r.content'), [condition('r')], {
    tail: sql` order by r.id limit ${limit}`,
  });
  // Twice: what is shown already may be found again.
  const found = await run.reader.query(
    mayOverflow(run.engine, limit) ? cappedSelect(statement, 3, 2, 2 * run.engine.limits.replyBytes) : statement,
  );
  const fresh: Row[] = [];
  for (const columns of found) {
    if (columns[2] === null) throw tooLarge(gathering);
    const id = String(columns[0]);
    const version = Number(columns[1]);
    const row = plainRow(type, id, version, textOfRow(run, type, id, version, columns[2]));
    if (gathering.seen.has(nameOf(row))) continue;
    if (gathering.left === 0) {
      gathering.cut = true;
      break;
    }
    gathering.left--;
    gathering.bytesLeft -= row.content.length;
    if (gathering.bytesLeft < 0) throw tooLarge(gathering);
    gathering.seen.add(nameOf(row));
    gathering.rows.push(row);
    fresh.push(row);
  }
  return fresh;
}

const paramsOf = (run: Run, type: string, code: string): SearchParam[] =>
  referenceParams(run.engine, type).filter((p) => code === '*' || p.code === code);

/** Resources that these rows refer to. */
async function forward(gathering: Gathering, include: Include, from: readonly Row[]): Promise<Row[]> {
  const { run } = gathering;
  const ids = new Map<string, Set<string>>();
  const urls = new Map<string, Set<string>>();
  const note = (map: Map<string, Set<string>>, type: string, value: string): void => {
    if (!run.engine.resources.has(type) || (include.target !== undefined && type !== include.target)) return;
    const set = map.get(type) ?? new Set<string>();
    map.set(type, set.add(value));
  };
  for (const row of from) {
    if (include.source !== '*' && include.source !== row.type) continue;
    const resource = resourceOf(row);
    for (const param of paramsOf(run, row.type, include.code)) {
      eachValue(resource, param, (value) => {
        const text = asString(value) ?? asString(asObject(value)?.['reference']);
        if (text === undefined) return;
        const reference = localReference(text, run.engine.baseUrl);
        const slash = reference.indexOf('/');
        if (isCanonical(param)) for (const target of param.targets) note(urls, target, reference.split('|')[0] ?? '');
        else if (slash > 0 && !reference.includes('/', slash + 1)) {
          const name = reference;
          if (!gathering.seen.has(name)) note(ids, name.slice(0, slash), name.slice(slash + 1));
        }
      });
    }
  }
  const fresh: Row[] = [];
  for (const [type, set] of ids) {
    fresh.push(...(await take(gathering, type, (alias) => sql`${raw(alias)}.id = any(${[...set]}::text[])`)));
  }
  for (const [type, set] of urls) {
    const url = run.engine.definitions.searchParams(type).get('url');
    if (!url) continue;
    fresh.push(
      ...(await take(gathering, type, () =>
        oneOf(columnsFor(run.engine, { type, alias: 'r' }, url).column(), [...set]),
      )),
    );
  }
  return fresh;
}

/** Resources that refer to these rows. */
async function backward(gathering: Gathering, include: Include, from: readonly Row[]): Promise<Row[]> {
  const { run } = gathering;
  const { resources } = run.engine;
  const sources = include.source === '*' ? [...resources.keys()].sort() : [include.source];
  const fresh: Row[] = [];
  for (const source of sources) {
    for (const param of paramsOf(run, source, include.code)) {
      // What is not shown of a resource does not lead to it either.
      if (run.access.veil(source)?.hides(param) === 'all') continue;
      const rows = from.filter(
        (r) => param.targets.includes(r.type) && (include.target === undefined || r.type === include.target),
      );
      const canonical = isCanonical(param);
      const names = rows.flatMap((r) => (canonical ? (asString(asObject(resourceOf(r))?.['url']) ?? []) : nameOf(r)));
      if (names.length === 0) continue;
      fresh.push(
        ...(await take(gathering, source, (alias) => {
          const columns = columnsFor(run.engine, { type: source, alias }, param);
          if (columns.tag) return hiddenRefersTo(columns, names);
          const column = columns.column();
          if (!isScalar(param)) {
            return columns.cover
              ? sql`(${overlaps(columns.cover, names)} and ${overlaps(column, names)})`
              : overlaps(column, names);
          }
          if (canonical) return oneOf(sql`split_part(${column}, '|', 1)`, names);
          return columns.cover
            ? sql`(${oneOf(columns.cover, names)} and ${oneOf(column, names)})`
            : oneOf(column, names);
        })),
      );
    }
  }
  return fresh;
}

/**
 * What accompanies the matches. Includes follow the matches, those with `:iterate` also what was included, until nothing is new:
 * nothing is shown twice, so cycles end.
 */
export async function includeFor(run: Run, includes: readonly Include[], matches: readonly Row[]): Promise<Included> {
  const gathering: Gathering = {
    run,
    seen: new Set(matches.map(nameOf)),
    rows: [],
    left: run.engine.limits.includes,
    bytesLeft: matches.reduce((left, row) => left - row.content.length, run.engine.limits.replyBytes),
    cut: false,
  };
  let from = matches;
  let round = includes;
  while (from.length > 0 && round.length > 0 && !gathering.cut) {
    const fresh: Row[] = [];
    for (const include of round)
      fresh.push(...(await (include.reverse ? backward : forward)(gathering, include, from)));
    from = fresh;
    round = includes.filter((i) => i.iterate);
  }
  return { rows: gathering.rows, cut: gathering.cut };
}
