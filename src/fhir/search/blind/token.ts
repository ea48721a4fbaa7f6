/** Hidden tokens: a tag for each lookup form, so that equality is exact. @see https://hl7.org/fhir/R4/search.html#token */
import { or, sql } from '../../../platform/database/sql.ts';
import { NONE, type ColumnKind, type SearchKind } from '../kind.ts';
import { bounded } from '../literal.ts';
import { normalCode } from '../normal.ts';
import { isBareCode, tokenForms, tokenKind, wantedOf } from '../type/token.ts';
import { asArray, asObject, asString, eachValue } from '../values.ts';
import type { Tagger } from './blind.ts';
import { holdsAny, indexedTags, isAny, tagsLiteral, taggerOf } from './tags.ts';

const typed = (system: string, code: string, value: string): string =>
  ['type', system, normalCode(code), value].join('\x1f');

/** An identifier together with each of its types: what `:of-type` asks for. */
function typedForms(forms: string[], value: unknown): void {
  const identifier = asObject(value);
  const text = asString(identifier?.['value']);
  if (text === undefined) return;
  for (const item of asArray(asObject(identifier?.['type'])?.['coding'])) {
    const coding = asObject(item);
    const code = asString(coding?.['code']);
    if (code !== undefined) forms.push(typed(asString(coding?.['system']) ?? '', code, text));
  }
}

export const hiddenTokenColumns = (tag: Tagger): ColumnKind => ({
  shapes: (param) => (isBareCode(param) ? [{ sqlType: 'uuid', index: 'none' }] : [{ sqlType: 'uuid[]', index: 'gin' }]),
  extractor(param) {
    if (isBareCode(param))
      return (resource, out, at) => eachValue(resource, param, (value) => (out[at] = tag(bounded(String(value)))));
    return (resource, out, at) => {
      let forms: string[] | undefined;
      eachValue(resource, param, (value, path) => {
        tokenForms((forms ??= []), path.type, value);
        if (path.type === 'Identifier') typedForms(forms, value);
      });
      if (forms) out[at] = tagsLiteral(tag, forms);
    };
  },
});

export const hiddenTokenKind: SearchKind = {
  ...tokenKind,
  condition(columns, modifier, values, meaning) {
    const { param } = columns;
    const column = columns.column();
    const tag = taggerOf(columns);
    if (modifier === 'text') return { sql: sql`${column} is not null`, exact: false };
    if (modifier === 'of-type') {
      const forms = values.flatMap((v) => (v.kind === 'of-type' ? [typed(v.system, v.code, v.value)] : []));
      return { sql: holdsAny(column, tag, forms), exact: true, fenced: true };
    }
    const { forms, any } = wantedOf(param, modifier, values, meaning);
    const list = [...forms];
    if (list.length === 0 && !any) return NONE;
    if (isBareCode(param)) return { sql: any ? sql`${column} is not null` : isAny(column, tag, list), exact: true };
    if (any)
      return {
        sql: or([sql`${column} <> '{}'`, ...(list.length === 0 ? [] : [holdsAny(column, tag, list)])]),
        exact: true,
      };
    return { sql: indexedTags(columns, (c, t) => holdsAny(c, t, list)), exact: true, fenced: true };
  },
};
