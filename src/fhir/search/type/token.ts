/**
 * Token parameters: codes, identifiers, contact points, booleans.
 * @see https://hl7.org/fhir/R4/search.html#token
 */
import type { ColumnKind } from '../kind.ts';
import { arrayLiteral, bounded } from '../literal.ts';
import { normalCode, normalContact } from '../normal.ts';
import { asArray, asObject, asString, eachValue, isScalar } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';

/** The column holds one bare code, whose system is implicit. */
export function isBareCode(param: SearchParam): boolean {
  for (const type of param.datatypes) if (type !== 'code' && type !== 'boolean') return false;
  return isScalar(param);
}

/** A code in its lookup forms: `code`, and `system|code` with `system|`, or `|code` where there is no system. */
export function addForms(forms: string[], system: string | undefined, code: string | undefined): void {
  if (system !== undefined) {
    const bound = bounded(system);
    forms.push(`${bound}|`);
    if (code !== undefined) forms.push(code, `${bound}|${code}`);
  } else if (code !== undefined) forms.push(code, `|${code}`);
}

function addCoding(forms: string[], value: unknown): void {
  const coding = asObject(value);
  if (!coding) return;
  const code = asString(coding['code']);
  addForms(forms, asString(coding['system']), code === undefined ? undefined : normalCode(code));
}

/** Lookup forms of one value of a token parameter. */
export function tokenForms(forms: string[], type: string, value: unknown): void {
  switch (type) {
    case 'CodeableConcept':
      for (const coding of asArray(asObject(value)?.['coding'])) addCoding(forms, coding);
      return;
    case 'Coding':
      addCoding(forms, value);
      return;
    case 'Identifier': {
      // Identifier.value is case sensitive, unless its system is known to be otherwise.
      const identifier = asObject(value);
      const text = asString(identifier?.['value']);
      addForms(forms, asString(identifier?.['system']), text === undefined ? undefined : bounded(text));
      return;
    }
    case 'ContactPoint': {
      const contact = asObject(value);
      const text = asString(contact?.['value']);
      addForms(forms, asString(contact?.['system']), text === undefined ? undefined : normalContact(text));
      return;
    }
    case 'code':
    case 'boolean':
      forms.push(bounded(String(value)));
      return;
    default:
      if (typeof value === 'string') addForms(forms, undefined, bounded(value));
  }
}

export const tokenColumns: ColumnKind = {
  shapes: (param) => (isBareCode(param) ? [{ sqlType: 'text', index: 'none' }] : [{ sqlType: 'text[]', index: 'gin' }]),
  extractor(param) {
    if (isBareCode(param)) {
      return (resource, out, at) => eachValue(resource, param, (value) => (out[at] = bounded(String(value))));
    }
    return (resource, out, at) => {
      let forms: string[] | undefined;
      eachValue(resource, param, (value, path) => tokenForms((forms ??= []), path.type, value));
      if (forms) out[at] = arrayLiteral(forms);
    };
  },
};
