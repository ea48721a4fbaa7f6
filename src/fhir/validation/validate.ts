/**
 * Validation of a resource: JSON Schema, then the walk, then profiles; every error at once, each with its element.
 * @see https://hl7.org/fhir/R4/validation.html
 */
import { node } from '../definitions/fhirpath/node.ts';
import type { Definitions } from '../definitions/registry.ts';
import type { Terminology, ValidationOptions, Validator } from '../engine.ts';
import type { Issue } from '../outcome.ts';
import { Findings, MAX_ISSUES } from './findings.ts';
import { createPlans, createRuleCompiler } from './plan.ts';
import { EXCHANGE_TYPES } from './schema.ts';
import { compileStructure } from './structure-compile.ts';
import { loadStructures, structureIssues, type StructureCheck, type Structures } from './structure.ts';
import { checkProperties, isTree, type Walk } from './walk.ts';

export interface ValidatorOptions {
  /** Served types: their resources, and those of exchanges (Bundle, Parameters …), are checked in full. */
  readonly types: Iterable<string>;
  /** Compiled JSON Schemas; from the build unless given. */
  readonly structures?: Structures;
}

const fault = (code: Issue['code'], diagnostics: string, expression?: string): readonly Issue[] => [
  { severity: 'error', code, diagnostics, ...(expression === undefined ? {} : { expression: [expression] }) },
];


export function createValidator(definitions: Definitions, terminology: Terminology, options: ValidatorOptions): Validator {
  const full = new Set([...options.types, ...EXCHANGE_TYPES]);
  const structures = options.structures ?? loadStructures();
  const types = new Set(definitions.resourceTypes);
  const plans = createPlans(definitions, createRuleCompiler(definitions));
  const compiled = new Map<string, StructureCheck>();
  const structure = (type: string): StructureCheck => {
    const known = structures(type) ?? compiled.get(type);
    if (known) return known;
    const check = compileStructure(definitions, type);
    compiled.set(type, check);
    return check;
  };

  /** Shape of a resource of a type that is not served: objects, no empty values. */
  const checkShape = (value: unknown, findings: Findings): void => {
    if (findings.full) return;
    if (value === '' || (Array.isArray(value) && value.length === 0) || (isTree(value) && Object.keys(value).length === 0)) {
      findings.error('structure', 'An empty value is not allowed: remove it.');
    } else if (Array.isArray(value)) {
      for (const [i, item] of value.entries()) {
        findings.path.push(i);
        checkShape(item, findings);
        findings.path.pop();
      }
    } else if (isTree(value)) {
      for (const [key, item] of Object.entries(value)) {
        findings.path.push(/^\w{1,64}$/.test(key) ? key : '`?`');
        checkShape(item, findings);
        findings.path.pop();
      }
    }
  };

  const checkResource = (value: unknown, findings: Findings, container: Walk | undefined, property: string): void => {
    if (!isTree(value)) {
      if (container === undefined || typeof value !== 'object') findings.error('structure', 'A resource must be a JSON object with a resourceType.');
      return;
    }
    const { resourceType: type } = value;
    if (typeof type !== 'string' || !types.has(type)) {
      findings.error(type === undefined ? 'required' : 'value', type === undefined ? 'resourceType is missing: add it.' : `${JSON.stringify(type).slice(0, 64)} is no resource type of R4: correct resourceType.`, 'resourceType');
      return;
    }
    if (!full.has(type)) {
      checkShape(value, findings);
      return;
    }
    const own = structureIssues(definitions, structure(type), type, value, findings.expression(), MAX_ISSUES - findings.issues.length);
    findings.issues.push(...own);
    const resource = node(value, type);
    const isContained = container !== undefined && property === 'contained';
    const walk: Walk = {
      definitions,
      terminology,
      plans,
      types,
      findings,
      env: { resource, rootResource: isContained ? container.env.rootResource : resource },
      nested: (inner, name) => checkResource(inner, findings, walk, name),
    };
    checkProperties(walk, plans(type), value);
  };

  return {
    validate(resource: unknown, { advice = false }: ValidationOptions = {}): readonly Issue[] {
      if (!isTree(resource)) return fault('structure', 'A resource must be a JSON object with a resourceType.');
      const { resourceType } = resource;
      if (typeof resourceType === 'string' && types.has(resourceType) && !full.has(resourceType)) {
        return fault('not-supported', `${resourceType} is not served here.`, 'resourceType');
      }
      const name = typeof resourceType === 'string' && types.has(resourceType) ? resourceType : 'Resource';
      const findings = new Findings([name], advice);
      checkResource(resource, findings, undefined, '');
      return findings.issues;
    },
  };
}
