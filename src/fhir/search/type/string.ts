/**
 * String parameters: all values, normalised, in one text between separators, so that a trigram index finds their beginnings.
 * @see https://hl7.org/fhir/R4/search.html#string
 */
import { and, or, sql, type Sql } from '../../../platform/database/sql.ts';
import { unescape } from '../escape.ts';
import { indexed, type ColumnKind, type SearchKind } from '../kind.ts';
import { normalText, phonetic } from '../normal.ts';
import { asArray, asObject, eachValue } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';

/** Stands before, between and after values. Normal text holds no control characters. */
export const SEPARATOR = '\x1f';

const NAME_PARTS = ['family', 'given', 'text', 'prefix', 'suffix'];
const ADDRESS_PARTS = ['text', 'line', 'city', 'district', 'state', 'postalCode', 'country'];

/** Names and addresses are searched in all their parts. */
export function eachString(type: string, value: unknown, visit: (text: string) => void): void {
  if (typeof value === 'string') return visit(value);
  const object = asObject(value);
  if (!object) return;
  for (const part of type === 'Address' ? ADDRESS_PARTS : NAME_PARTS) {
    const found = object[part];
    if (typeof found === 'string') visit(found);
    else for (const item of asArray(found)) if (typeof item === 'string') visit(item);
  }
}

/** The parameter compares sounds (Patient.phonetic). */
export const isPhonetic = (param: SearchParam): boolean => param.code === 'phonetic';

export const stringColumns: ColumnKind = {
  shapes: () => [{ sqlType: 'text', index: 'trgm' }],
  extractor(param) {
    const sounds = isPhonetic(param);
    return (resource, out, at) => {
      let all: string | undefined;
      eachValue(resource, param, (value, path) => {
        all ??= SEPARATOR;
        eachString(path.type, value, (text) => {
          if (sounds) for (const sound of phonetic(text)) all += sound + SEPARATOR;
          else all += normalText(text) + SEPARATOR;
        });
      });
      if (all !== undefined) out[at] = all === SEPARATOR ? '' : all;
    };
  },
};

const WILD = /[\\%_]/g;
const pattern = (text: string): string => text.replace(WILD, '\\$&');

const wordsCondition = (column: Sql, text: string): Sql => {
  const sounds = phonetic(text);
  if (sounds.length === 0) return sql`false`;
  return and(sounds.map((s) => sql`${column} like ${`%${SEPARATOR}${pattern(s)}${SEPARATOR}%`}`));
};

export const stringKind: SearchKind = {
  modifiers: () => ['exact', 'contains'],
  comparators: [],
  parse: (text) => ({ kind: 'text', text: unescape(text) }),
  condition(columns, modifier, values) {
    const texts = values.flatMap((v) => (v.kind === 'text' ? [v.text] : []));
    if (isPhonetic(columns.param)) {
      if (modifier !== undefined) return { sql: sql`${columns.column()} is not null`, exact: false };
      return { sql: or(texts.map((t) => wordsCondition(columns.column(), t))), exact: true, fenced: true };
    }
    const like = (text: string): Sql => {
      const normal = pattern(normalText(text));
      if (normal === '') return modifier === 'exact' ? sql`${columns.column()} is not null` : sql`false`;
      const before = modifier === 'contains' ? '%' : `%${SEPARATOR}`;
      const after = modifier === 'exact' ? `${SEPARATOR}%` : '%';
      return indexed(columns, (c) => sql`${c} like ${before + normal + after}`);
    };
    // Of a letter alone the index finds too much: walking in order meets a page of matches sooner.
    const shortest = modifier === 'contains' ? 3 : 2;
    return {
      sql: or(texts.map(like)),
      exact: modifier !== 'exact',
      fenced: texts.every((t) => normalText(t).length >= shortest),
    };
  },
  matches(param, found, modifier, values) {
    const sounds = isPhonetic(param) && modifier === undefined;
    const texts = values.flatMap((v) => (v.kind === 'text' ? [v.text] : []));
    return found.some(({ value, path }) => {
      const all: string[] = [];
      eachString(path.type, value, (t) => all.push(t));
      if (modifier === 'exact') return texts.some((t) => all.includes(t));
      if (sounds) {
        const heard = new Set(all.flatMap(phonetic));
        return texts.some((t) => phonetic(t).length > 0 && phonetic(t).every((s) => heard.has(s)));
      }
      return texts.map(normalText).some((t) => {
        if (t === '') return false;
        return all.some((a) => (modifier === 'contains' ? normalText(a).includes(t) : normalText(a).startsWith(t)));
      });
    });
  },
  sortKey: (_param, column) => ({ sql: sql`nullif(${column}, '')`, cast: 'text' }),
};
