/** URI parameters: exact, not normalised. @see https://hl7.org/fhir/R4/search.html#uri */
import { or, sql, type Sql } from '../../../platform/database/sql.ts';
import { unescape } from '../escape.ts';
import type { Value } from '../criteria.ts';
import { badValue, extreme, oneOf, overlaps, type ColumnKind, type SearchKind } from '../kind.ts';
import { arrayLiteral, bounded } from '../literal.ts';
import { eachValue, isScalar } from '../values.ts';
import { addCanonical } from './reference.ts';

/** Lookup forms of one value: canonical URLs also without their version. */
export function uriForms(type: string, uri: string): string[] {
  const forms: string[] = [];
  if (type === 'canonical') addCanonical(forms, uri);
  else forms.push(bounded(uri));
  return forms;
}

export const uriColumns: ColumnKind = {
  shapes: (param) => (isScalar(param) ? [{ sqlType: 'text', index: 'btree' }] : [{ sqlType: 'text[]', index: 'gin' }]),
  extractor(param) {
    if (isScalar(param))
      return (resource, out, at) => eachValue(resource, param, (value) => (out[at] = bounded(String(value))));
    return (resource, out, at) => {
      let forms: string[] | undefined;
      eachValue(resource, param, (value, path) => {
        (forms ??= []).push(...uriForms(path.type, String(value)));
      });
      if (forms) out[at] = arrayLiteral(forms);
    };
  },
};

export const withoutSlash = (uri: string): string => (uri.endsWith('/') ? uri.slice(0, -1) : uri);

/** Of a URI whose every part is looked up: no real one is longer, and each form of it is read from its beginning. */
const LONGEST_PATH = 2_000;

/** The URI itself and every path above it: `http://a/b/c` lies below `http://a/b` and `http://a/b/`. */
function above(uri: string): string[] {
  const start = uri.indexOf('://');
  const all = [uri, withoutSlash(uri)];
  if (start < 0) return all;
  for (let at = withoutSlash(uri).lastIndexOf('/'); at > start + 2; at = uri.lastIndexOf('/', at - 1))
    all.push(uri.slice(0, at), uri.slice(0, at + 1));
  return all;
}

/** The forms of a URI and of the paths above it, worked out once for a value: a search may ask it of every row. */
const known = new WeakMap<Value, ReadonlySet<string>>();

export function formsAbove(value: Value & { readonly kind: 'text' }): ReadonlySet<string> {
  let forms = known.get(value);
  if (!forms) known.set(value, (forms = new Set(above(value.text).map(bounded))));
  return forms;
}

const liesBelow = (uri: string, base: string): boolean =>
  uri === base || uri === withoutSlash(base) || (base.includes('://') && uri.startsWith(`${withoutSlash(base)}/`));

export const uriKind: SearchKind = {
  modifiers: () => ['below', 'above'],
  comparators: [],
  parse(given, _param, modifier, _meaning, name) {
    const text = unescape(given);
    if (modifier === 'above' && text.length > LONGEST_PATH)
      throw badValue(name, `with :above a URI may have ${LONGEST_PATH} characters; this one has ${text.length}.`);
    return { kind: 'text', text };
  },
  weight: (value, modifier) => (modifier === 'above' && value.kind === 'text' ? formsAbove(value).size : 1),
  condition(columns, modifier, values) {
    const texts = values.flatMap((v) => (v.kind === 'text' ? [v.text] : []));
    const scalar = isScalar(columns.param);
    const column = columns.column();
    if (modifier === 'below') {
      const below = (c: Sql): Sql =>
        or(
          texts.map((t) => {
            const same = oneOf(c, [...new Set([bounded(t), bounded(withoutSlash(t))])]);
            return t.includes('://')
              ? or([same, sql`starts_with(${c}, ${`${withoutSlash(t).slice(0, 300)}/`})`])
              : same;
          }),
        );
      const long = texts.some((t) => t.length > 300);
      return {
        sql: scalar ? below(column) : sql`exists (select from unnest(${column}) v where ${below(sql`v`)})`,
        exact: !long,
      };
    }
    const all = [
      ...new Set(
        modifier === 'above'
          ? values.flatMap((v) => (v.kind === 'text' ? [...formsAbove(v)] : []))
          : texts.map(bounded),
      ),
    ];
    return { sql: scalar ? oneOf(column, all) : overlaps(column, all), exact: true, fenced: !scalar };
  },
  matches(_param, found, modifier, values) {
    return found.some(({ value, path }) => {
      const forms = uriForms(path.type, String(value));
      return values.some((v) => {
        if (v.kind !== 'text') return false;
        if (modifier === 'below') return liesBelow(String(value), v.text);
        if (modifier !== 'above') return forms.includes(bounded(v.text));
        const all = formsAbove(v);
        return forms.some((form) => all.has(form));
      });
    });
  },
  sortKey: (param, column, descending) => ({
    sql: isScalar(param) ? column : extreme(column, descending),
    cast: 'text',
  }),
};
