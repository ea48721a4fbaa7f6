/** Hidden references: a tag for each form that a search may name. @see https://hl7.org/fhir/R4/search.html#reference */
import type { Sql } from '../../../platform/database/sql.ts';
import { NONE, type ColumnAccess, type ColumnKind, type SearchKind } from '../kind.ts';
import { bounded } from '../literal.ts';
import { addCanonical, isCanonical, localReference, referenceKind, referenceText, textsOf } from '../type/reference.ts';
import { eachValue, isScalar } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';
import type { Tagger } from './blind.ts';
import { holdsAny, indexedTags, isAny, tagsLiteral } from './tags.ts';

/** The column holds one tag. A canonical has two, with its version and without. */
const isSingle = (param: SearchParam): boolean => isScalar(param) && !isCanonical(param);

export const hiddenReferenceColumns = (tag: Tagger, baseUrl: string): ColumnKind => ({
  shapes: (param) => (isSingle(param) ? [{ sqlType: 'uuid', index: 'btree' }] : [{ sqlType: 'uuid[]', index: 'gin' }]),
  extractor(param) {
    const canonical = isCanonical(param);
    if (isSingle(param)) {
      return (resource, out, at) =>
        eachValue(resource, param, (value) => {
          out[at] = tag(bounded(localReference(referenceText(value) ?? '', baseUrl)));
        });
    }
    return (resource, out, at) => {
      let forms: string[] | undefined;
      eachValue(resource, param, (value) => {
        forms ??= [];
        const text = referenceText(value);
        if (text === undefined) return;
        if (canonical) addCanonical(forms, text);
        else forms.push(bounded(localReference(text, baseUrl)));
      });
      if (forms) out[at] = tagsLiteral(tag, forms);
    };
  },
});

/** One of these references (`Type/id`, canonical URLs) stands in the column. */
export const hiddenRefersTo = (columns: ColumnAccess, texts: readonly string[]): Sql =>
  indexedTags(columns, (c, t) => (isSingle(columns.param) ? isAny(c, t, texts) : holdsAny(c, t, texts)));

export const hiddenReferenceKind: SearchKind = {
  ...referenceKind,
  condition(columns, modifier, values, meaning) {
    // The column of identifiers is shared by all references of the type.
    if (modifier === 'identifier') return referenceKind.condition(columns, modifier, values, meaning);
    const { param } = columns;
    const texts = [...new Set(values.flatMap((v) => textsOf(param, v)))];
    if (texts.length === 0) return NONE;
    return {
      sql: hiddenRefersTo(columns, texts),
      exact: !values.some((v) => v.kind === 'reference' && v.version !== undefined),
      fenced: !isSingle(param),
    };
  },
};
