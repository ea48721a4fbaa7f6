/**
 * What there is to check in a value of a type, worked out once: its properties, what must be there, its bindings and invariants.
 * @see https://hl7.org/fhir/R4/elementdefinition.html
 */
import {
  mayBeUndecided,
  createCompiler,
  UnsupportedExpression,
  type Decide,
  type Environment,
} from '../definitions/fhirpath/compile.ts';
import type { Node } from '../definitions/fhirpath/node.ts';
import { fhirPathJs } from '../definitions/fhirpath/parse.ts';
import type { Constraint, ElementDef } from '../definitions/model.ts';
import type { Definitions } from '../definitions/registry.ts';
import { isPrimitive } from './schema.ts';

/** An invariant ready to be decided. `undecided`: an empty result means that it cannot be told, not that it fails. */
export interface Rule {
  readonly key: string;
  readonly severity: 'error' | 'warning';
  readonly human: string;
  readonly expression: string;
  readonly undecided: boolean;
  readonly decide: Decide;
}

export interface PropertyPlan {
  readonly def: ElementDef;
  /** FHIR type of the value: a datatype, or a backbone path. */
  readonly type: string;
  readonly primitive: boolean;
  readonly resource: boolean;
  readonly many: boolean;
  readonly rules: readonly Rule[];
  readonly binding: { readonly valueSet: string; readonly required: boolean } | undefined;
  /** Codes that were found in the binding's value set. */
  readonly known: Set<string>;
}

export interface TypePlan {
  readonly type: string;
  readonly properties: ReadonlyMap<string, PropertyPlan>;
  /** Elements that must be there, each with the properties that can hold it. */
  readonly required: readonly { readonly def: ElementDef; readonly properties: readonly string[] }[];
  readonly rules: readonly Rule[];
}

export type Plans = (type: string) => TypePlan;

/** Bindings are checked where terminology can decide them: on codes, concepts, and units. */
const CODED = new Set([
  'code',
  'Coding',
  'CodeableConcept',
  'Quantity',
  'Age',
  'Duration',
  'Count',
  'Distance',
  'Money',
  'string',
  'uri',
]);

const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);

/** Turns an invariant into a rule; what our evaluator lacks is left to fhirpath.js. */
export type RuleCompiler = (constraint: Constraint) => Rule;

export function createRuleCompiler(definitions: Definitions): RuleCompiler {
  const compiler = createCompiler(definitions.navigator);
  const known = new Map<string, { decide: Decide; undecided: boolean }>();
  const slow =
    (expression: string): Decide =>
    (env: Environment, focus: readonly Node[]) => {
      const [result] = fhirPathJs().evaluate(focus[0]?.value, expression, {
        resource: env.resource.value,
        rootResource: env.rootResource.value,
      });
      return typeof result === 'boolean' ? result : result === undefined ? undefined : true;
    };
  return ({ key, severity, human, expression }) => {
    let compiled = known.get(expression);
    if (!compiled) {
      try {
        const ast = definitions.expression(expression);
        compiled = { decide: compiler.decide(ast), undecided: mayBeUndecided(ast) };
      } catch (error) {
        if (!(error instanceof UnsupportedExpression)) throw error;
        compiled = { decide: slow(expression), undecided: false };
      }
      known.set(expression, compiled);
    }
    return { key, severity, human, expression, ...compiled };
  };
}

/** Plans are made when a type is first met, and kept: types come from definitions, so there are only so many. */
export function createPlans(definitions: Definitions, rule: RuleCompiler): Plans {
  const plans = new Map<string, TypePlan>();
  const property = (def: ElementDef, type: string): PropertyPlan => {
    const { binding } = def;
    return {
      def,
      type,
      primitive: isPrimitive(type),
      resource: type === 'Resource' || type === 'DomainResource',
      many: def.max > 1,
      rules: def.constraints.filter((c) => c.expression !== 'htmlChecks()').map(rule),
      binding:
        binding && CODED.has(type) && (binding.strength === 'required' || binding.strength === 'extensible')
          ? { valueSet: binding.valueSet, required: binding.strength === 'required' }
          : undefined,
      known: new Set(),
    };
  };
  return (type) => {
    const known = plans.get(type);
    if (known) return known;
    const properties = new Map<string, PropertyPlan>();
    const required: { def: ElementDef; properties: string[] }[] = [];
    for (const def of definitions.elements(type)) {
      const names: string[] = [];
      for (const code of def.backbone ? [def.backbone] : def.types.map((t) => t.code)) {
        const name = def.choice ? def.name + capital(code) : def.name;
        properties.set(name, property(def, code));
        names.push(name);
      }
      // Complex elements are required by the JSON Schema.
      if (def.min > 0 && (def.choice || names.every((n) => properties.get(n)?.primitive === true)))
        required.push({ def, properties: names });
    }
    const plan: TypePlan = { type, properties, required, rules: (definitions.type(type)?.constraints ?? []).map(rule) };
    plans.set(type, plan);
    return plan;
  };
}
