/**
 * Hidden strings: tags of beginnings, cut so short that values share them, and the text itself decides. How many share one follows from the number of
 * rows: 14 bits are about log2(rows) - 3 for 130,000.
 * @see https://hl7.org/fhir/R4/search.html#string
 */
import { or, sql, type Sql } from '../../../platform/database/sql.ts';
import type { ColumnAccess, ColumnKind, SearchKind } from '../kind.ts';
import { normalText, phonetic } from '../normal.ts';
import { eachString, isPhonetic, stringKind } from '../type/string.ts';
import { eachValue } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';
import type { Tagger } from './blind.ts';
import { taggerOf } from './tags.ts';

/** Bits of the tags of beginnings by their length, from 1 on: there are few short ones. */
const BITS = [4, 8, 12, 14, 14, 14, 14, 14];
/** Of whole values and of sounds. */
const WHOLE_BITS = 14;
const LONGEST = BITS.length;

/** What a tag is of stands above its bits, as columns of `int` hold it. */
const short = (tag: Tagger, what: number, bits: number, text: string): number =>
  (what << 16) | (parseInt(tag(`${what}\x1f${text}`).slice(0, 4), 16) >> (16 - bits));

const beginning = (tag: Tagger, text: string, length: number): number =>
  short(tag, length, BITS[length - 1] ?? WHOLE_BITS, text.slice(0, length));
const WHOLE = LONGEST + 1;
const SOUND = LONGEST + 2;

function addTags(tags: Set<number>, tag: Tagger, normal: string): void {
  for (let length = 1; length <= Math.min(LONGEST, normal.length); length++) tags.add(beginning(tag, normal, length));
  if (normal !== '') tags.add(short(tag, WHOLE, WHOLE_BITS, normal));
}

/** @param covered all values stand in another column, whose tags find them: this one only says whether there are any */
export const hiddenStringColumns = (tag: Tagger, covered: boolean): ColumnKind => ({
  shapes: () => [{ sqlType: 'int[]', index: 'gin' }],
  extractor(param) {
    const sounds = isPhonetic(param);
    return (resource, out, at) => {
      let tags: Set<number> | undefined;
      eachValue(resource, param, (value, path) => {
        const all = (tags ??= new Set());
        if (covered) return;
        eachString(path.type, value, (text) => {
          if (!sounds) addTags(all, tag, normalText(text));
          else for (const sound of phonetic(text)) all.add(short(tag, SOUND, WHOLE_BITS, sound));
        });
      });
      if (tags) out[at] = `{${[...tags].join(',')}}`;
    };
  },
});

/** The tags that every text with this beginning has. @param normal not empty */
export function tagsOfBeginning(tag: Tagger, normal: string): number[] {
  const length = Math.min(LONGEST, normal.length);
  // One letter less narrows as well: what shares a tag by chance seldom shares two.
  const tags = length < 4 ? [] : [beginning(tag, normal, length - 1)];
  return [...tags, beginning(tag, normal, length)];
}

const NOTHING = sql`false`;

/** Candidates of one text. */
function candidates(columns: ColumnAccess, param: SearchParam, modifier: string | undefined, text: string): Sql {
  const own = columns.column();
  const column = columns.cover ?? own;
  const tag = columns.coverTag ?? taggerOf(columns);
  const holding = (tags: readonly number[]): Sql =>
    columns.cover ? sql`(${column} @> ${tags}::int[] and ${own} is not null)` : sql`${column} @> ${tags}::int[]`;
  if (isPhonetic(param) && modifier === undefined) {
    const sounds = phonetic(text);
    return sounds.length === 0 ? NOTHING : holding(sounds.map((s) => short(tag, SOUND, WHOLE_BITS, s)));
  }
  const normal = normalText(text);
  if (modifier === 'contains' || isPhonetic(param) || (modifier === 'exact' && normal === ''))
    return sql`${own} is not null`;
  if (normal === '') return NOTHING;
  const tags = tagsOfBeginning(tag, normal);
  if (modifier === 'exact') tags.push(short(tag, WHOLE, WHOLE_BITS, normal));
  return holding(tags);
}

export const hiddenStringKind: SearchKind = {
  ...stringKind,
  condition(columns, modifier, values) {
    const { param } = columns;
    const texts = values.flatMap((v) => (v.kind === 'text' ? [v.text] : []));
    return {
      sql: or(texts.map((t) => candidates(columns, param, modifier, t))),
      exact: false,
      // Of a letter alone there are too many: walking in order meets a page of matches sooner.
      fenced: modifier !== 'contains' && texts.every((t) => normalText(t).length >= 2),
    };
  },
};
