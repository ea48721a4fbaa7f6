/**
 * Date parameters: instants are points, all other dates intervals.
 * @see https://hl7.org/fhir/R4/search.html#date
 */
import { or, raw, sql, type Sql } from '../../../platform/database/sql.ts';
import type { DateValue, Prefix } from '../criteria.ts';
import { unescape } from '../escape.ts';
import { ALL_PREFIXES, badValue, shown, splitPrefix, type ColumnKind, type Meaning, type SearchKind } from '../kind.ts';
import { arrayLiteral } from '../literal.ts';
import { momentOf, parseMoment, rangeText, timestampText, type Moment } from '../moment.ts';
import { eachValue, isScalar } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';

/** The column holds a point in time. */
export const isInstant = (param: SearchParam): boolean =>
  param.datatypes.size === 1 && param.datatypes.has('instant') && isScalar(param);

export const dateColumns: ColumnKind = {
  shapes(param) {
    if (isInstant(param)) return [{ sqlType: 'timestamptz', index: 'btree' }];
    return isScalar(param) ? [{ sqlType: 'tstzrange', index: 'gist' }] : [{ sqlType: 'tstzrange[]', index: 'none' }];
  },
  extractor(param) {
    if (isInstant(param)) {
      return (resource, out, at) => {
        eachValue(resource, param, (value) => {
          const moment = typeof value === 'string' ? parseMoment(value) : undefined;
          if (moment) out[at] = timestampText(moment.low);
        });
      };
    }
    if (isScalar(param)) {
      return (resource, out, at) => {
        eachValue(resource, param, (value, path) => {
          const moment = momentOf(path.type, value);
          out[at] = moment ? rangeText(moment) : 'empty';
        });
      };
    }
    return (resource, out, at) => {
      let ranges: string[] | undefined;
      eachValue(resource, param, (value, path) => {
        ranges ??= [];
        const moment = momentOf(path.type, value);
        if (moment) ranges.push(rangeText(moment));
      });
      if (ranges) out[at] = arrayLiteral(ranges);
    };
  },
};

/** An offset's `+` that was not encoded arrives as a space. */
const repaired = (text: string): string =>
  text.charAt(text.length - 6) === ' ' ? `${text.slice(0, -6)}+${text.slice(-5)}` : text;

/** The search interval; for `ap` widened by a tenth of its distance from now. */
export function intervalOf(value: DateValue, meaning: Meaning): Moment {
  if (value.prefix !== 'ap') return value;
  const gap = Math.abs(meaning.nowMs - value.low) / 10;
  return { low: value.low - gap, high: value.high + gap };
}

function instantCondition(column: Sql, prefix: Prefix, { low, high }: Moment): Sql {
  switch (prefix) {
    case 'eq':
    case 'ap':
      return sql`(${column} >= ${timestampText(low)} and ${column} < ${timestampText(high)})`;
    case 'ne':
      return sql`(${column} < ${timestampText(low)} or ${column} >= ${timestampText(high)})`;
    case 'gt':
    case 'sa':
      return sql`${column} >= ${timestampText(high)}`;
    case 'lt':
    case 'eb':
      return sql`${column} < ${timestampText(low)}`;
    case 'ge':
      return sql`${column} >= ${timestampText(low)}`;
    case 'le':
      return sql`${column} < ${timestampText(high)}`;
    default:
      return prefix satisfies never;
  }
}

function rangeCondition(column: Sql, prefix: Prefix, search: Moment): Sql {
  const low = timestampText(search.low);
  const high = timestampText(search.high);
  const within = sql`(${column} <@ tstzrange(${low}, ${high}) and not isempty(${column}))`;
  switch (prefix) {
    case 'eq':
      return within;
    case 'ne':
      return sql`(not ${column} <@ tstzrange(${low}, ${high}))`;
    case 'gt':
      return sql`${column} && tstzrange(${high}, null)`;
    case 'lt':
      return sql`${column} && tstzrange(null, ${low})`;
    case 'ge':
      return sql`(${column} && tstzrange(${high}, null) or ${within})`;
    case 'le':
      return sql`(${column} && tstzrange(null, ${low}) or ${within})`;
    case 'sa':
      return sql`${column} >> tstzrange(null, ${high})`;
    case 'eb':
      return sql`${column} << tstzrange(${low}, null)`;
    case 'ap':
      return sql`${column} && tstzrange(${low}, ${high})`;
    default:
      return prefix satisfies never;
  }
}

/** The table of prefixes in R4 3.1.1.4.5, on intervals. */
export function compareMoments(prefix: Prefix, search: Moment, target: Moment): boolean {
  const within = target.low >= search.low && target.high <= search.high;
  switch (prefix) {
    case 'eq':
      return within;
    case 'ne':
      return !within;
    case 'gt':
      return target.high > search.high;
    case 'lt':
      return target.low < search.low;
    case 'ge':
      return target.high > search.high || within;
    case 'le':
      return target.low < search.low || within;
    case 'sa':
      return target.low >= search.high;
    case 'eb':
      return target.high <= search.low;
    case 'ap':
      return target.low < search.high && target.high > search.low;
    default:
      return prefix satisfies never;
  }
}

const isDate = (value: { readonly kind: string }): value is DateValue => value.kind === 'date';

export const dateKind: SearchKind = {
  modifiers: () => [],
  comparators: ALL_PREFIXES,
  parse(text, _param, _modifier, _meaning, name) {
    const [prefix, rest] = splitPrefix(unescape(text).trim());
    const date = repaired(rest);
    const moment = parseMoment(date, false);
    if (!moment) {
      throw badValue(
        name,
        `${shown(rest)} is no date: write 2026-01-31, or 2026-01-31T09:30:00+01:00 with the plus sign encoded as %2B.`,
      );
    }
    return { kind: 'date', prefix, text: date, low: moment.low, high: moment.high };
  },
  condition(columns, _modifier, values, meaning) {
    const instant = isInstant(columns.param);
    const scalar = isScalar(columns.param);
    const one = (column: Sql, value: DateValue): Sql =>
      (instant ? instantCondition : rangeCondition)(column, value.prefix, intervalOf(value, meaning));
    const all = (column: Sql): Sql => or(values.filter(isDate).map((v) => one(column, v)));
    if (scalar) return { sql: all(columns.column()), exact: true };
    return { sql: sql`exists (select from unnest(${columns.column()}) v where ${all(raw('v'))})`, exact: true };
  },
  matches(param, found, _modifier, values, meaning) {
    const instant = isInstant(param);
    return found.some(({ value, path }) => {
      const moment = momentOf(path.type, value);
      if (!moment) return false;
      // An instant is a point: an interval narrower than any that can be asked for.
      const target = instant ? { low: moment.low, high: moment.low + 0.5 } : moment;
      return values.some((v) => isDate(v) && compareMoments(v.prefix, intervalOf(v, meaning), target));
    });
  },
  sortKey(param, column, descending) {
    const start = (range: Sql): Sql =>
      sql`case when lower_inf(${range}) then '-infinity'::timestamptz else lower(${range}) end`;
    if (isInstant(param)) return { sql: column, cast: 'timestamptz' };
    if (isScalar(param)) return { sql: start(column), cast: 'timestamptz' };
    return {
      sql: sql`(select ${raw(descending ? 'max' : 'min')}(${start(raw('v'))}) from unnest(${column}) v)`,
      cast: 'timestamptz',
    };
  },
};
