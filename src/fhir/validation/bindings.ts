/**
 * Codes against the value sets that elements are bound to, as far as these can be enumerated.
 * @see https://hl7.org/fhir/R4/terminologies.html#strength
 */
import type { Terminology } from '../engine.ts';
import type { Findings } from './findings.ts';
import { shownValue } from './structure.ts';

const MAX_KNOWN = 512;
const UNIT_SYSTEM = 'http://unitsofmeasure.org';

/** A bound element: its type, its value set, and the codes that were found there. */
export interface Bound {
  readonly type: string;
  readonly binding: { readonly valueSet: string; readonly required: boolean } | undefined;
  readonly known: Set<string>;
}

/** Whether a code is in the value set; undefined when it cannot be told. Remembers codes that are. */
function holds(
  terminology: Terminology,
  plan: Bound,
  valueSet: string,
  system: string | undefined,
  code: string,
): boolean | undefined {
  const key = system === undefined ? code : `${system}|${code}`;
  if (plan.known.has(key)) return true;
  const found = terminology.contains(valueSet, system, code);
  if (found === true && plan.known.size < MAX_KNOWN) plan.known.add(key);
  return found;
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

interface Coded {
  readonly system: string | undefined;
  readonly code: string | undefined;
}

/** Codings of a value; undefined when it has the wrong shape (the schema says so). */
function codings(type: string, value: unknown): readonly Coded[] | undefined {
  if (type === 'code' || type === 'string' || type === 'uri')
    return typeof value === 'string' ? [{ system: undefined, code: value }] : undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const record = value as Record<string, unknown>;
  if (type === 'CodeableConcept') {
    const { coding } = record;
    if (coding !== undefined && !Array.isArray(coding)) return undefined;
    return ((coding ?? []) as readonly unknown[]).flatMap((c) => codings('Coding', c) ?? []);
  }
  if (type === 'Money') return [{ system: undefined, code: text(record['currency']) }];
  const system = text(record['system']);
  return [{ system: type === 'Coding' ? (system ?? '') : (system ?? UNIT_SYSTEM), code: text(record['code']) }];
}

/** Some of the codes that would do. */
function suggestions(terminology: Terminology, valueSet: string): string {
  const all = terminology.expand(valueSet) ?? [];
  if (all.length === 0) return '';
  const shown = all.slice(0, 12).map((c) => c.code);
  return `: use ${shown.length === 1 ? '' : 'one of '}${shown.join(', ')}${all.length > shown.length ? ', …' : ''}`;
}

export function checkBinding(terminology: Terminology, plan: Bound, value: unknown, findings: Findings): void {
  const { binding } = plan;
  if (!binding || (!binding.required && !findings.advice)) return;
  const list = codings(plan.type, value);
  if (list === undefined) return;
  const coded = list.filter((c) => c.code !== undefined);
  if (coded.length === 0) {
    const isConcept = plan.type === 'CodeableConcept' || plan.type === 'Coding';
    if (binding.required && isConcept && terminology.expand(binding.valueSet) !== undefined && !hasExtension(value)) {
      findings.error(
        'code-invalid',
        `A code of ${binding.valueSet} is required here${suggestions(terminology, binding.valueSet)}.`,
      );
    }
    return;
  }
  if (coded.some((c) => holds(terminology, plan, binding.valueSet, c.system, c.code ?? '') !== false)) return;
  const shown = coded
    .map((c) => (c.system ? `${c.system}|${c.code ?? ''}` : shownValue(c.code)))
    .join(', ')
    .slice(0, 200);
  const message = `${shown} is not in the value set ${binding.valueSet}${suggestions(terminology, binding.valueSet)}.`;
  if (binding.required) findings.error('code-invalid', message);
  else findings.warn('code-invalid', `${message} If none fits, text or another code will do.`);
}

const hasExtension = (value: unknown): boolean => typeof value === 'object' && value !== null && 'extension' in value;
