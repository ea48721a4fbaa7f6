/**
 * Validation of a resource: JSON Schema, then the walk, then profiles; every error at once, each with its element.
 * @see https://hl7.org/fhir/R4/validation.html
 */
import { readFileSync } from 'node:fs';
import { node } from '../definitions/fhirpath/node.ts';
import type { Definitions } from '../definitions/registry.ts';
import type { Terminology, ValidationOptions, Validator } from '../engine.ts';
import type { Issue } from '../outcome.ts';
import { isResourceId, RESOURCE_ID_HINT } from '../resource-id.ts';
import { Findings, MAX_ISSUES } from './findings.ts';
import { createPlans, createRuleCompiler } from './plan.ts';
import { checkOwnExtensions } from './extension.ts';
import { checkProfile, createProfiles, type ProfileCheck, type Profiles } from './profile.ts';
import type { ProfilesFile } from './profile-model.ts';
import { containedTypes } from './reference-rules.ts';
import { EXCHANGE_TYPES } from './schema.ts';
import { compileStructure } from './structure-compile.ts';
import { loadStructures, shownValue, structureIssues, type StructureCheck, type Structures } from './structure.ts';
import { checkProperties, isTree, type Walk } from './walk.ts';

const CORE = 'http://hl7.org/fhir/StructureDefinition/';
/** Each may be asked for by each, so what they cost grows faster than they do. */
const MAX_CONTAINED = 1000;
/** Profiles of one resource that are looked at. */
const MAX_PROFILES = 20;

const loadProfiles = (): ProfilesFile =>
  JSON.parse(readFileSync(new URL('../../../.build/profiles.json', import.meta.url), 'utf8')) as ProfilesFile;

export interface ValidatorOptions {
  /** Served types: their resources, and those of exchanges (Bundle, Parameters …), are checked in full. */
  readonly types: Iterable<string>;
  /** Compiled JSON Schemas; from the build unless given. */
  readonly structures?: Structures;
  /** From the build unless given. */
  readonly profiles?: ProfilesFile;
}

const fault = (code: Issue['code'], diagnostics: string, expression?: string): readonly Issue[] => [
  { severity: 'error', code, diagnostics, ...(expression === undefined ? {} : { expression: [expression] }) },
];

export function createValidator(
  definitions: Definitions,
  terminology: Terminology,
  options: ValidatorOptions,
): Validator {
  const full = new Set([...options.types, ...EXCHANGE_TYPES]);
  const structures = options.structures ?? loadStructures();
  const types = new Set(definitions.resourceTypes);
  const rule = createRuleCompiler(definitions);
  const plans = createPlans(definitions, rule);
  let own: Profiles | undefined;
  const loaded = (): Profiles => (own ??= createProfiles(options.profiles ?? loadProfiles()));
  const profiles: Profiles = {
    find: (canonical) => loaded().find(canonical),
    owns: (url) => loaded().owns(url),
  };
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
    if (
      value === '' ||
      (Array.isArray(value) && value.length === 0) ||
      (isTree(value) && Object.keys(value).length === 0)
    ) {
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

  const checkProfiles = (check: ProfileCheck, claimed: unknown, asked: readonly string[]): void => {
    const { findings, env } = check;
    const done = new Set<string>();
    const hold = (canonical: string, demanded: boolean): void => {
      const [url = ''] = canonical.split('|');
      if (url === `${CORE}${env.resource.type}`) return;
      const profile = profiles.find(canonical);
      if (profile === undefined) {
        const message = `The profile ${canonical.slice(0, 200)} is not known here, so nothing was checked against it.`;
        findings.add({
          severity: demanded ? 'error' : 'warning',
          code: 'not-supported',
          diagnostics: message,
          expression: [findings.expression('meta.profile')],
        });
      } else if (!done.has(profile.url)) {
        done.add(profile.url);
        checkProfile(check, profile, env.resource);
      }
    };
    for (const canonical of asked) hold(canonical, true);
    if (Array.isArray(claimed))
      for (const canonical of claimed.slice(0, MAX_PROFILES)) if (typeof canonical === 'string') hold(canonical, false);
  };

  const checkResource = (
    value: unknown,
    findings: Findings,
    container: Walk | undefined,
    property: string,
    asked: readonly string[] = [],
  ): void => {
    if (!isTree(value)) {
      if (container === undefined || typeof value !== 'object')
        findings.error('structure', 'A resource must be a JSON object with a resourceType.');
      return;
    }
    const { resourceType: type } = value;
    if (typeof type !== 'string' || !types.has(type)) {
      findings.error(
        type === undefined ? 'required' : 'value',
        type === undefined
          ? 'resourceType is missing: add it.'
          : `${JSON.stringify(type).slice(0, 64)} is no resource type of R4: correct resourceType.`,
        'resourceType',
      );
      return;
    }
    if (!full.has(type)) {
      checkShape(value, findings);
      return;
    }
    const { contained } = value;
    if (Array.isArray(contained) && contained.length > MAX_CONTAINED) {
      findings.error(
        'too-costly',
        `A resource may contain ${MAX_CONTAINED} others; this one has ${contained.length}: store them by themselves.`,
        'contained',
      );
      return;
    }
    const found = structureIssues(
      definitions,
      structure(type),
      type,
      value,
      findings.expression(),
      MAX_ISSUES - findings.issues.length,
    );
    findings.issues.push(...found);
    const { id } = value;
    const place = findings.expression('id');
    if (typeof id === 'string' && !isResourceId(id) && !found.some((f) => f.expression?.[0] === place))
      findings.error('value', `${shownValue(id)} is no id: it must be ${RESOURCE_ID_HINT}.`, 'id');
    const resource = node(value, type);
    const isContained = container !== undefined && property === 'contained';
    const env = { resource, rootResource: isContained ? container.env.rootResource : resource };
    const check: ProfileCheck = { definitions, terminology, rule, profiles, findings, env };
    const walk: Walk = {
      definitions,
      terminology,
      plans,
      types,
      findings,
      env,
      contained: isContained ? container.contained : containedTypes(value),
      nested: (inner, name) => checkResource(inner, findings, walk, name),
      extensions: (inner, parent, name) => {
        checkOwnExtensions(check, inner, parent, name);
      },
    };
    checkProperties(walk, plans(type), value);
    const claimed = isTree(value['meta']) ? value['meta']['profile'] : undefined;
    if (claimed !== undefined || asked.length > 0) checkProfiles(check, claimed, asked);
  };

  return {
    validate(resource: unknown, { advice = false, profiles: asked = [] }: ValidationOptions = {}): readonly Issue[] {
      if (!isTree(resource)) return fault('structure', 'A resource must be a JSON object with a resourceType.');
      const { resourceType } = resource;
      if (typeof resourceType === 'string' && types.has(resourceType) && !full.has(resourceType)) {
        return fault('not-supported', `${resourceType} is not served here.`, 'resourceType');
      }
      const name = typeof resourceType === 'string' && types.has(resourceType) ? resourceType : 'Resource';
      const findings = new Findings([name], advice);
      checkResource(resource, findings, undefined, '', asked);
      return findings.issues;
    },
  };
}
