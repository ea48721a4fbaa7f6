/**
 * Reference parameters: literal references as `Type/id`, canonical URLs, and identifiers of logical references.
 * @see https://hl7.org/fhir/R4/search.html#reference
 */
import type { ColumnKind } from '../kind.ts';
import { arrayLiteral, bounded } from '../literal.ts';
import { asObject, asString, eachValue, isScalar } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';
import { tokenForms } from './token.ts';

const HISTORY = '/_history/';

/** The reference without the server's own base and without a version. */
export function localReference(reference: string, baseUrl: string): string {
  let text = reference;
  if (baseUrl !== '' && text.startsWith(baseUrl) && text.charAt(baseUrl.length) === '/') text = text.slice(baseUrl.length + 1);
  const history = text.indexOf(HISTORY);
  return history < 0 ? text : text.slice(0, history);
}

/** All values are canonical URLs, which name a resource by its `url`. */
export function isCanonical(param: SearchParam): boolean {
  return param.datatypes.size > 0 && [...param.datatypes].every((t) => t === 'canonical' || t === 'uri');
}

const referenceText = (value: unknown): string | undefined =>
  typeof value === 'string' ? value : asString(asObject(value)?.['reference']);

/** A canonical stands in an array under its URL and under `url|version`. */
export function addCanonical(forms: string[], canonical: string): void {
  const bar = canonical.indexOf('|');
  forms.push(bounded(canonical));
  if (bar >= 0) forms.push(bounded(canonical.slice(0, bar)));
}

export const referenceColumns = (baseUrl: string): ColumnKind => ({
  shapes: (param) => (isScalar(param) ? [{ sqlType: 'text', index: 'btree' }] : [{ sqlType: 'text[]', index: 'gin' }]),
  extractor(param) {
    const canonical = isCanonical(param);
    if (isScalar(param)) {
      return (resource, out, at) =>
        eachValue(resource, param, (value) => {
          const text = referenceText(value) ?? '';
          out[at] = bounded(canonical ? text : localReference(text, baseUrl));
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
      if (forms) out[at] = arrayLiteral(forms);
    };
  },
});

/** Forms of `Reference.identifier`, each after the parameter's code: the column that all reference parameters of a type share. */
export function identifierForms(params: readonly SearchParam[]): (resource: unknown) => string | null {
  return (resource) => {
    let all: string[] | undefined;
    for (const param of params) {
      eachValue(resource, param, (value) => {
        const identifier = asObject(value)?.['identifier'];
        if (identifier === undefined) return;
        const forms: string[] = [];
        tokenForms(forms, 'Identifier', identifier);
        all ??= [];
        for (const form of forms) all.push(`${param.code}\x1f${form}`);
      });
    }
    return all ? arrayLiteral(all) : null;
  };
}
