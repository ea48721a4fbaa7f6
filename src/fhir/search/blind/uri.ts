/** Hidden URIs: tags of the URI and of the paths above it, so that `:below` is exact too. @see https://hl7.org/fhir/R4/search.html#uri */
import { sql } from '../../../platform/database/sql.ts';
import type { ColumnKind, SearchKind } from '../kind.ts';
import { bounded } from '../literal.ts';
import { formsAbove, uriForms, uriKind, withoutSlash } from '../type/uri.ts';
import { eachValue } from '../values.ts';
import type { Tagger } from './blind.ts';
import { holdsAny, tagsLiteral, taggerOf } from './tags.ts';

/** Deeper than this, paths above a URI have no tags. */
const DEEPEST = 32;
const below = (path: string): string => `below\x1f${path}`;

/** The paths that a URI lies below, without their last slash. */
function ancestors(uri: string): string[] {
  const start = uri.indexOf('://');
  const all: string[] = [];
  if (start < 0) return all;
  for (let at = uri.indexOf('/', start + 2); at >= 0 && all.length < DEEPEST; at = uri.indexOf('/', at + 1))
    all.push(below(uri.slice(0, at)));
  return all;
}

export const hiddenUriColumns = (tag: Tagger): ColumnKind => ({
  shapes: () => [{ sqlType: 'uuid[]', index: 'gin' }],
  extractor: (param) => (resource, out, at) => {
    let forms: string[] | undefined;
    eachValue(resource, param, (value, path) => {
      forms ??= [];
      forms.push(...uriForms(path.type, String(value)), ...ancestors(String(value)));
    });
    if (forms) out[at] = tagsLiteral(tag, forms);
  },
});

export const hiddenUriKind: SearchKind = {
  ...uriKind,
  condition(columns, modifier, values) {
    const column = columns.column();
    const tag = taggerOf(columns);
    const texts = values.flatMap((v) => (v.kind === 'text' ? [v.text] : []));
    if (modifier === 'below') {
      const isDeep = texts.some((t) => ancestors(`${withoutSlash(t)}/`).length >= DEEPEST);
      if (isDeep) return { sql: sql`${column} is not null`, exact: false };
      const forms = texts.flatMap((t) => [
        bounded(t),
        bounded(withoutSlash(t)),
        ...(t.includes('://') ? [below(withoutSlash(t))] : []),
      ]);
      return { sql: holdsAny(column, tag, forms), exact: true, fenced: true };
    }
    const wanted =
      modifier === 'above' ? values.flatMap((v) => (v.kind === 'text' ? [...formsAbove(v)] : [])) : texts.map(bounded);
    return { sql: holdsAny(column, tag, wanted), exact: true, fenced: true };
  },
};
