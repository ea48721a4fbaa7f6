/**
 * Reference parameters: literal references as `Type/id`, canonical URLs, and identifiers of logical references.
 * @see https://hl7.org/fhir/R4/search.html#reference
 */
import { or, sql, type Sql } from '../../../platform/database/sql.ts';
import { relativeToBase } from '../../own-base.ts';
import type { ReferenceValue, Value } from '../criteria.ts';
import { unescape } from '../escape.ts';
import { badValue, extreme, indexed, NONE, oneOf, overlaps, shown, type ColumnKind, type SearchKind } from '../kind.ts';
import { holdsAny } from '../blind/tags.ts';
import { arrayLiteral, bounded } from '../literal.ts';
import { asObject, asString, eachValue, isScalar } from '../values.ts';
import type { SearchParam } from '../../definitions/registry.ts';
import { parseToken, tokenForms } from './token.ts';

const HISTORY = '/_history/';

/** The reference without the server's own base and without a version. */
export function localReference(reference: string, baseUrl: string): string {
  const text = relativeToBase(reference, baseUrl);
  const history = text.indexOf(HISTORY);
  return history < 0 ? text : text.slice(0, history);
}

/** All values are canonical URLs, which name a resource by its `url`. */
export function isCanonical(param: SearchParam): boolean {
  return param.datatypes.size > 0 && [...param.datatypes].every((t) => t === 'canonical' || t === 'uri');
}

export const referenceText = (value: unknown): string | undefined =>
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

/** Forms of `Reference.identifier`, each after the parameter's code: the column that all reference parameters of a type share. @param literal writes them as an array */
export function identifierForms(
  params: readonly SearchParam[],
  literal: (forms: readonly string[]) => string,
): (resource: unknown) => string | null {
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
    return all ? literal(all) : null;
  };
}

const LITERAL = /^([A-Z][A-Za-z]{1,60})\/([A-Za-z0-9.-]{1,64})(?:\/_history\/([A-Za-z0-9.-]{1,64}))?$/;
const ID = /^[A-Za-z0-9.-]{1,64}$/;
const ABSOLUTE = /^(?:[a-z][a-z0-9+.-]*:\/\/|urn:)/i;

/** @param narrowed type that a modifier named, `subject:Patient` */
export function parseReference(
  text: string,
  param: SearchParam,
  narrowed: string | undefined,
  baseUrl: string,
  name: string,
): ReferenceValue {
  const value = unescape(text);
  const none = { type: narrowed, id: undefined, version: undefined, url: undefined };
  if (isCanonical(param)) return { kind: 'reference', ...none, type: undefined, url: value };
  const local = relativeToBase(value, baseUrl);
  const literal = LITERAL.exec(local);
  if (literal) {
    const [, type, id, version] = literal;
    if (narrowed !== undefined && type !== narrowed)
      throw badValue(name, `${shown(value)} is no ${narrowed}: give its id alone, or ${narrowed}/id.`);
    return { kind: 'reference', type, id, version, url: undefined };
  }
  if (ID.test(local)) return { kind: 'reference', ...none, id: local };
  if (ABSOLUTE.test(value)) return { kind: 'reference', ...none, type: undefined, url: value };
  throw badValue(name, `${shown(value)} is no reference: give an id, Type/id, or an absolute URL.`);
}

/** Texts under which the columns hold what is looked for. */
export function textsOf(param: SearchParam, value: Value): string[] {
  if (value.kind !== 'reference') return [];
  if (value.url !== undefined) return [bounded(value.url)];
  const types = value.type === undefined ? param.targets : [value.type];
  return types.map((t) => `${t}/${value.id ?? ''}`);
}

export const referenceKind: SearchKind = {
  modifiers: (param) => (param.datatypes.has('Reference') ? ['identifier', 'type'] : []),
  comparators: [],
  parse(text, param, modifier, meaning, name) {
    if (modifier === 'identifier') return parseToken(text, name);
    return parseReference(text, param, undefined, meaning.baseUrl, name);
  },
  condition(columns, modifier, values) {
    const { param } = columns;
    if (modifier === 'identifier') {
      const forms = values.flatMap((v) => {
        if (v.kind !== 'token') return [];
        const prefix = v.system === undefined ? '' : `${bounded(v.system)}|`;
        return [`${param.code}\x1f${prefix}${bounded(v.code)}`];
      });
      const { referenceIdentifier: column, identifierTag: tag } = columns;
      return { sql: tag ? holdsAny(column, tag, forms) : overlaps(column, forms), exact: true, fenced: true };
    }
    const texts = [...new Set(values.flatMap((v) => textsOf(param, v)))];
    if (texts.length === 0) return NONE;
    const exact = !values.some((v) => v.kind === 'reference' && v.version !== undefined);
    if (!isCanonical(param)) {
      // On the narrowed type itself, the cover holds the same references as the own column.
      const target = param.paths[0]?.target;
      const covered = columns.cover && texts.every((t) => t.startsWith(`${target ?? ''}/`));
      const condition = (c: Sql): Sql => (isScalar(param) ? oneOf(c, texts) : overlaps(c, texts));
      return {
        sql: columns.cover && covered ? condition(columns.cover) : indexed(columns, condition),
        exact,
        fenced: !isScalar(param),
      };
    }
    if (!isScalar(param)) return { sql: overlaps(columns.column(), texts), exact, fenced: true };
    const versions = texts
      .filter((t) => !t.includes('|'))
      .map((t) => sql`starts_with(${columns.column()}, ${`${t}|`})`);
    return { sql: or([oneOf(columns.column(), texts), ...versions]), exact };
  },
  matches(param, found, modifier, values, meaning) {
    if (modifier === 'identifier') {
      return found.some(({ value }) => {
        const forms: string[] = [];
        tokenForms(forms, 'Identifier', asObject(value)?.['identifier']);
        return values.some(
          (v) =>
            v.kind === 'token' &&
            forms.includes(v.system === undefined ? bounded(v.code) : `${bounded(v.system)}|${bounded(v.code)}`),
        );
      });
    }
    const canonical = isCanonical(param);
    return found.some(({ value }) => {
      const text = referenceText(value);
      if (text === undefined) return false;
      const forms: string[] = [];
      if (canonical) addCanonical(forms, text);
      else forms.push(bounded(localReference(text, meaning.baseUrl)));
      return values.some((v) => {
        if (v.kind !== 'reference' || !textsOf(param, v).some((t) => forms.includes(t))) return false;
        return v.version === undefined || text.endsWith(`${HISTORY}${v.version}`);
      });
    });
  },
  sortKey: (param, column, descending) => ({
    sql: isScalar(param) ? sql`nullif(${column}, '')` : extreme(column, descending),
    cast: 'text',
  }),
};
