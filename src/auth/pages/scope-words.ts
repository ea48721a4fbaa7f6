/** Scopes as sentences, for the consent page and the list of connected apps. @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html */
import type { ResourceScope, Scope } from '../smart/scope.ts';
import { DIRECTORY } from '../access/policy.ts';
import type { Texts } from './texts/languages.ts';

/** Whatever patient is in context. */
const PUBLIC = new Set(Object.keys(DIRECTORY).filter((type) => DIRECTORY[type] !== 'impersonal'));

/** `HealthcareService` → `Healthcare service`: for types that have no words. */
const spaced = (type: string): string => {
  const words = type.replace(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase();
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
};

function verbsOf({ letters }: ResourceScope, { verbs, list }: Texts['scope']): string {
  const has = (letter: 'c' | 'r' | 'u' | 'd' | 's'): boolean => letters.has(letter);
  const looks = has('r') && has('s') ? verbs.read : has('r') ? verbs.open : has('s') ? verbs.find : undefined;
  return list(
    [looks, has('c') && verbs.create, has('u') && verbs.update, has('d') && verbs.delete].filter(
      (verb) => typeof verb === 'string',
    ),
  );
}

/** `http://…/observation-category|vital-signs` → `vital signs`; numbers, dates and references stay. */
function valueWords(value: string, codes: Readonly<Record<string, string>>): string {
  const code = value.slice(value.lastIndexOf('|') + 1);
  const words = Object.hasOwn(codes, code) ? codes[code] : undefined;
  if (words !== undefined) return words;
  return /^[a-z]+(?:[-_][a-z]+)+$/.test(code) ? code.replaceAll(/[-_]/g, ' ') : code === '' ? value : code;
}

function condition([name, value]: readonly [string, string], scope: Texts['scope']): string {
  const words = Object.hasOwn(scope.filters, name) ? scope.filters[name] : undefined;
  // A modifier changes the meaning, and what has no words is named as it is.
  if (words === undefined) return scope.unknownFilter(name, value);
  return scope.condition(
    words,
    value
      .split(/(?<!\\),/)
      .map((v) => valueWords(v, scope.codes))
      .join(scope.or),
  );
}

function resourceWords(scope: ResourceScope, t: Texts): string {
  const { scope: words } = t;
  const types =
    scope.type === '*'
      ? words.everything
      : ((Object.hasOwn(words.types, scope.type) ? words.types[scope.type] : undefined) ?? spaced(scope.type));
  const only = scope.filter.length === 0 ? '' : words.only(words.list(scope.filter.map((f) => condition(f, words))));
  // What is anybody's is not of the patient in context.
  const whose = scope.level === 'patient' && PUBLIC.has(scope.type) ? words.directory : words[scope.level];
  return words.sentence(verbsOf(scope, words), types, whose, only);
}

/** What a scope allows, as a sentence without a full stop. */
export const scopeWords = (scope: Scope, t: Texts): string =>
  scope.kind === 'plain' ? t.scope.plain[scope.text] : resourceWords(scope, t);
