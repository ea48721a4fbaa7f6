/**
 * Walks a resource along its definitions and checks what JSON Schema cannot: unknown properties, choices, siblings of primitives,
 * empty elements, bindings, references, narratives, invariants, nested resources.
 * @see https://hl7.org/fhir/R4/json.html
 */
import type { Environment } from '../definitions/fhirpath/compile.ts';
import { node } from '../definitions/fhirpath/node.ts';
import { UnsupportedValue } from '../definitions/fhirpath/values.ts';
import { narrativeFault } from '../definitions/fhirpath/xhtml.ts';
import type { Definitions } from '../definitions/registry.ts';
import type { Terminology } from '../engine.ts';
import { DIGITS } from '../json.ts';
import { checkBinding } from './bindings.ts';
import type { Findings } from './findings.ts';
import type { Plans, PropertyPlan, Rule, TypePlan } from './plan.ts';
import { checkReference, type ContainedType } from './reference-rules.ts';
import { shownValue } from './structure.ts';

type Tree = Record<string, unknown>;

export interface Walk {
  readonly definitions: Definitions;
  readonly terminology: Terminology;
  readonly plans: Plans;
  /** Every resource type of R4. */
  readonly types: ReadonlySet<string>;
  readonly findings: Findings;
  readonly env: Environment;
  /** Of the resource at the root. */
  readonly contained: ContainedType;
  /** Checks a resource inside of this one. */
  nested(value: unknown, property: string): void;
  /** Checks the extensions of an element of the type `parent` that are ours against their definitions. */
  extensions(values: readonly unknown[], parent: string, property: string): void;
}

export const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isEmpty = (value: unknown): boolean => value === undefined || value === null;

function decide(walk: Walk, rules: readonly Rule[], value: unknown, type: string, sibling: unknown): void {
  if (rules.length === 0) return;
  const focus = [node(value, type, sibling)];
  for (const rule of rules) {
    if (rule.severity === 'warning' && !walk.findings.advice) continue;
    let truth: boolean | undefined;
    try {
      truth = rule.decide(walk.env, focus);
    } catch (error) {
      // A value of the wrong shape, which the schema has named: the rule has no answer.
      if (!(error instanceof UnsupportedValue) && !(error instanceof TypeError)) throw error;
      continue;
    }
    if (truth === true || (truth === undefined && rule.undecided)) continue;
    const message = `${rule.key}: ${rule.human.replace(/\.?\s*$/, '')} (${rule.expression.slice(0, 300)}).`;
    if (rule.severity === 'error') walk.findings.error('invariant', message);
    else walk.findings.warn('invariant', message);
  }
}

/** The nearest property name, when one letter or so is wrong. */
function nearest(plan: TypePlan, name: string): string | undefined {
  const lower = name.toLowerCase();
  for (const known of plan.properties.keys()) if (known.toLowerCase() === lower) return known;
  for (const known of plan.properties.keys()) {
    if (
      lower.length > 3 &&
      (known.toLowerCase().startsWith(lower) ||
        lower.startsWith(known.toLowerCase()) ||
        known.toLowerCase() === lower.replace(/e?s$/, ''))
    )
      return known;
  }
  return undefined;
}

function unknownProperty(walk: Walk, plan: TypePlan, key: string): void {
  const choice = [...plan.properties.values()].find((p) => p.def.choice && key.startsWith(p.def.name));
  const guess = nearest(plan, key);
  const hint =
    choice !== undefined
      ? `: ${choice.def.name}[x] is one of ${choice.def.types.length > 12 ? 'many' : choice.def.types.map((t) => `${choice.def.name}${t.code.charAt(0).toUpperCase()}${t.code.slice(1)}`).join(', ')}`
      : guess === undefined
        ? ': remove it, or use an extension'
        : `: did you mean ${guess}?`;
  const shown = /^[\w-]{1,64}$/.test(key) ? key : shownValue(key);
  walk.findings.error(
    'structure',
    `${plan.type} has no property ${shown}${hint.endsWith('?') ? hint : `${hint}.`}`,
    /^\w{1,64}$/.test(key) ? key : undefined,
  );
}

/** Extensions and id of a primitive. */
function checkSibling(walk: Walk, value: unknown, sibling: unknown): void {
  if (!isTree(sibling)) return;
  if (Object.keys(sibling).length === 0) {
    walk.findings.error('structure', 'An object must not be empty: remove it.');
    return;
  }
  if (isEmpty(value) && isEmpty(sibling['extension'])) {
    walk.findings.error('invariant', 'ele-1: the element has neither a value nor an extension: add one, or remove it.');
  }
  checkProperties(walk, walk.plans('Element'), sibling);
}

function checkPrimitive(walk: Walk, plan: PropertyPlan, value: unknown, sibling: unknown): void {
  if (!isEmpty(value)) {
    if (plan.binding) checkBinding(walk.terminology, plan, value, walk.findings);
    if (plan.type === 'xhtml' && typeof value === 'string') {
      const fault = narrativeFault(value);
      if (fault !== undefined)
        walk.findings.error(
          'invariant',
          `${fault.startsWith('it has neither') ? 'txt-2' : 'txt-1'}: the narrative is not the XHTML that FHIR allows: ${fault}.`,
        );
    }
  }
  if (plan.rules.length > 0) decide(walk, plan.rules, value ?? undefined, plan.type, sibling);
  if (sibling !== undefined) checkSibling(walk, value, sibling);
}

/** Arrays of a repeating primitive and its siblings, aligned by null. */
function checkPrimitives(walk: Walk, plan: PropertyPlan, values: unknown, siblings: unknown): void {
  const { path } = walk.findings;
  const list: readonly unknown[] = Array.isArray(values) ? values : [];
  const others: readonly unknown[] = Array.isArray(siblings) ? siblings : [];
  if (list.length > 0 && others.length > 0 && list.length !== others.length) {
    walk.findings.error(
      'structure',
      `${plan.def.name} has ${list.length} values, _${plan.def.name} ${others.length}: fill the shorter array with null, so that both align.`,
    );
  }
  for (let i = 0; i < Math.max(list.length, others.length) && !walk.findings.full; i++) {
    path.push(i);
    if (isEmpty(list[i]) && isEmpty(others[i])) {
      walk.findings.error(
        'structure',
        `ele-1: neither ${plan.def.name} nor _${plan.def.name} has a value at this position: remove it.`,
      );
    } else {
      checkPrimitive(walk, plan, list[i], others[i] ?? undefined);
    }
    path.pop();
  }
}

function checkComplex(walk: Walk, plan: PropertyPlan, value: unknown): void {
  if (!isTree(value)) return;
  if (plan.binding) checkBinding(walk.terminology, plan, value, walk.findings);
  if (plan.type === 'Reference')
    checkReference(walk.definitions, walk.types, plan.def, value, walk.contained, walk.findings);
  checkProperties(walk, walk.plans(plan.type), value);
  decide(walk, plan.rules, value, plan.type, undefined);
}

/** ext-1 */
function checkExtension(walk: Walk, value: Tree): void {
  let values = 0;
  for (const key in value)
    if (key.startsWith('value') || (key.startsWith('_value') && value[key.slice(1)] === undefined)) values++;
  const nested = value['extension'] !== undefined;
  if (values === 0 && !nested)
    walk.findings.error('invariant', 'ext-1: the extension has neither value[x] nor extensions of its own: add one.');
  if (values > 0 && nested)
    walk.findings.error('invariant', 'ext-1: the extension has both a value and extensions of its own: keep one.');
}

/** Elements of type integer that were written with a decimal point or exponent. */
function checkDigits(walk: Walk, plan: TypePlan, digits: Readonly<Record<string, string>>): void {
  for (const [key, text] of Object.entries(digits)) {
    const type = plan.properties.get(key)?.type;
    if (type !== undefined && type !== 'decimal')
      walk.findings.error('value', `${text} is no ${type}: write it without decimal point or exponent.`, key);
  }
}

/** Everything in an object of the type, below the current path. */
export function checkProperties(walk: Walk, plan: TypePlan, value: Tree): void {
  const { findings } = walk;
  const { path } = findings;
  let content = false;
  let chosen: Map<string, string> | undefined;
  for (const key in value) {
    if (findings.full) return;
    const item = value[key];
    const isSibling = key.charCodeAt(0) === 95;
    const name = isSibling ? key.slice(1) : key;
    const property = plan.properties.get(name);
    if (property === undefined || (isSibling && !property.primitive)) {
      if (key !== 'resourceType' || plan.properties.get('implicitRules') === undefined)
        unknownProperty(walk, plan, key);
      content = true;
      continue;
    }
    if (name !== 'id') content = true;
    // A sibling is looked at together with its value.
    if (isSibling && value[name] !== undefined) continue;
    const { def } = property;
    if (def.choice) {
      chosen ??= new Map();
      const other = chosen.get(def.name);
      if (other !== undefined) {
        findings.error(
          'structure',
          `${other} and ${name} are both given, but ${def.name}[x] has one value: keep one of them.`,
          def.name,
        );
      }
      chosen.set(def.name, name);
    }
    path.push(def.name);
    if (property.primitive) {
      const values = isSibling ? undefined : item;
      const siblings = isSibling ? item : value[`_${name}`];
      if (property.many) checkPrimitives(walk, property, values, siblings);
      else checkPrimitive(walk, property, values, siblings);
    } else if (property.many) {
      if (Array.isArray(item)) {
        for (let i = 0; i < item.length && !findings.full; i++) {
          path.push(i);
          if (property.resource) walk.nested(item[i], name);
          else checkComplex(walk, property, item[i]);
          path.pop();
        }
        if (property.type === 'Extension') walk.extensions(item, plan.type, name);
      }
    } else if (property.resource) walk.nested(item, name);
    else checkComplex(walk, property, item);
    path.pop();
  }
  // Siblings of primitives have been looked at together with their values.
  if (!content && plan.type !== 'Element' && plan.properties.get('implicitRules') === undefined) {
    findings.error('invariant', `ele-1: ${plan.type} is empty: give it a value, or leave it out.`);
    return;
  }
  for (const { def, properties } of plan.required) {
    if (!properties.some((p) => !isEmpty(value[p]) || !isEmpty(value[`_${p}`]))) {
      const names = properties.length === 1 ? (properties[0] ?? '') : `one of ${properties.slice(0, 12).join(', ')}`;
      findings.error('required', `${names} is required here: add it.`, def.name);
    }
  }
  if (plan.type === 'Extension') checkExtension(walk, value);
  const digits = (value as { [DIGITS]?: Readonly<Record<string, string>> })[DIGITS];
  if (digits !== undefined) checkDigits(walk, plan, digits);
  decide(walk, plan.rules, value, plan.type, undefined);
}
