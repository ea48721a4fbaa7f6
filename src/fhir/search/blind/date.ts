/**
 * Hidden dates: tags of the day, month and year (UTC) that a value lies in, and one of the finest of these, which tells whether the value is all of it or a part.
 * A range is the union of the tags that cover it. Only what lies within a day, month or year that a bound of the search cuts is for the resource to tell.
 * @see https://hl7.org/fhir/R4/search.html#date
 */
import type { DateValue, Prefix } from '../criteria.ts';
import { NONE, type ColumnKind, type SearchKind } from '../kind.ts';
import { momentOf, type Moment } from '../moment.ts';
import { compareMoments, dateKind, intervalOf, isInstant } from '../type/date.ts';
import { eachValue } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';
import type { Tagger } from './blind.ts';
import { holdsAny, tagsLiteral, taggerOf } from './tags.ts';

/** Years with tags of their own; what lies before or after has one for all. */
const [FIRST, LAST] = [1850, 2150];

/** A day, month or year, or all before or after the years that have tags. */
interface Unit extends Moment {
  readonly name: string;
  readonly parts: () => readonly Unit[];
}

const none = (): readonly Unit[] => [];
const two = (n: number): string => String(n).padStart(2, '0');

const dayOf = (year: number, month: number, day: number): Unit => ({
  name: `${year}-${two(month + 1)}-${two(day)}`,
  low: Date.UTC(year, month, day),
  high: Date.UTC(year, month, day + 1),
  parts: none,
});
const monthOf = (year: number, month: number): Unit => ({
  name: `${year}-${two(month + 1)}`,
  low: Date.UTC(year, month),
  high: Date.UTC(year, month + 1),
  parts: () =>
    Array.from({ length: new Date(Date.UTC(year, month + 1, 0)).getUTCDate() }, (_, i) => dayOf(year, month, i + 1)),
});
const yearOf = (year: number): Unit => ({
  name: String(year),
  low: Date.UTC(year, 0),
  high: Date.UTC(year + 1, 0),
  parts: () => Array.from({ length: 12 }, (_, i) => monthOf(year, i)),
});

const BEFORE: Unit = { name: 'before', low: -Infinity, high: Date.UTC(FIRST, 0), parts: none };
const AFTER: Unit = { name: 'after', low: Date.UTC(LAST + 1, 0), high: Infinity, parts: none };
/** Lies in no single year. */
const LONG = 'long';

const isIn = (part: Moment, whole: Moment): boolean => part.low >= whole.low && part.high <= whole.high;
const isSame = (a: Moment, b: Moment): boolean => a.low === b.low && a.high === b.high;

/** The value is all of the unit. */
const all = (unit: Unit): string => `${unit.name} all`;
/** The value is a part of the unit, and of none that is finer. */
const part = (unit: Unit): string => `${unit.name} part`;

/** @param target an instant is an interval narrower than any that can be asked for */
function addForms(forms: string[], target: Moment): void {
  const outer = [BEFORE, AFTER].find((unit) => isIn(target, unit));
  if (outer) return void forms.push(outer.name);
  if (!Number.isFinite(target.low) || !Number.isFinite(target.high)) return void forms.push(LONG);
  const at = new Date(target.low);
  const [year, month] = [at.getUTCFullYear(), at.getUTCMonth()];
  const units = [yearOf(year), monthOf(year, month), dayOf(year, month, at.getUTCDate())].filter((u) =>
    isIn(target, u),
  );
  const finest = units.at(-1);
  if (!finest || year < FIRST || year > LAST) return void forms.push(LONG);
  forms.push(...units.map((u) => u.name), isSame(target, finest) ? all(finest) : part(finest));
}

const targetOf = (moment: Moment, instant: boolean): Moment =>
  instant ? { low: moment.low, high: moment.low + 0.5 } : moment;

export const hiddenDateColumns = (tag: Tagger): ColumnKind => ({
  shapes: () => [{ sqlType: 'uuid[]', index: 'gin' }],
  extractor(param) {
    const instant = isInstant(param);
    return (resource, out, at) => {
      let forms: string[] | undefined;
      eachValue(resource, param, (value, path) => {
        forms ??= [];
        const moment = momentOf(path.type, value);
        if (moment) addForms(forms, targetOf(moment, instant));
      });
      if (forms) out[at] = tagsLiteral(tag, forms);
    };
  },
});

/** How many of the values within a unit match: the table of prefixes in R4 3.1.1.4.5, for all intervals within. */
function matching(prefix: Prefix, search: Moment, unit: Moment): 'all' | 'some' | 'none' {
  const inside = isIn(unit, search);
  const apart = unit.high <= search.low || unit.low >= search.high;
  const pick = (every: boolean, any: boolean): 'all' | 'some' | 'none' => (every ? 'all' : any ? 'some' : 'none');
  switch (prefix) {
    case 'eq':
    case 'ap':
      return pick(inside, !apart);
    case 'ne':
      return pick(apart, !inside);
    case 'gt':
    case 'sa':
      return pick(unit.low >= search.high, unit.high > search.high);
    case 'lt':
    case 'eb':
      return pick(unit.high <= search.low, unit.low < search.low);
    case 'ge':
      return pick(unit.low >= search.low, unit.high > search.low);
    case 'le':
      return pick(unit.high <= search.high, unit.low < search.high);
    default:
      return prefix satisfies never;
  }
}

/** What a condition looks for, and whether all that bears it matches. */
interface Cover {
  readonly forms: string[];
  exact: boolean;
}

/** Which parts of days, months and years the values of a parameter can be: dates are whole, times are parts of days, periods anything. */
type Grain = 'date' | 'time' | 'period';

function grainOf({ datatypes }: SearchParam): Grain {
  if (datatypes.has('Period') || datatypes.has('Timing')) return 'period';
  return datatypes.size === 1 && datatypes.has('date') ? 'date' : 'time';
}

function addUnit(cover: Cover, prefix: Prefix, search: Moment, unit: Unit, grain: Grain): void {
  const found = matching(prefix, search, unit);
  if (found === 'none') return;
  if (found === 'all' || unit === BEFORE || unit === AFTER) {
    cover.forms.push(unit.name);
    cover.exact &&= found === 'all';
    return;
  }
  if (compareMoments(prefix, search, unit)) cover.forms.push(all(unit));
  const parts = unit.parts();
  if (grain === 'period' || (grain === 'time' && parts.length === 0)) {
    cover.forms.push(part(unit));
    cover.exact = false;
  }
  for (const inner of parts) addUnit(cover, prefix, search, inner, grain);
}

const YEARS: readonly Unit[] = Array.from({ length: LAST - FIRST + 1 }, (_, i) => yearOf(FIRST + i));

function addValue(cover: Cover, { prefix }: DateValue, search: Moment, grain: Grain): void {
  for (const unit of [BEFORE, ...YEARS, AFTER]) addUnit(cover, prefix, search, unit, grain);
  // What is longer than a year lies within none.
  if (grain === 'period' && prefix !== 'eq') {
    cover.forms.push(LONG);
    cover.exact = false;
  }
}

export const hiddenDateKind: SearchKind = {
  ...dateKind,
  condition(columns, _modifier, values, meaning) {
    const cover: Cover = { forms: [], exact: true };
    for (const value of values)
      if (value.kind === 'date') addValue(cover, value, intervalOf(value, meaning), grainOf(columns.param));
    if (cover.forms.length === 0) return NONE;
    return {
      sql: holdsAny(columns.column(), taggerOf(columns), cover.forms),
      exact: cover.exact,
      // Held against each row of a walk, so many tags would cost more than finding all rows by the index.
      fenced: true,
    };
  },
};
