/**
 * Holds a resource against profiles: cardinality, types, patterns, slices, bindings and invariants beyond the base.
 * @see https://hl7.org/fhir/R4/profiling.html#resources
 */
import type { Environment } from '../definitions/fhirpath/compile.ts';
import type { Node } from '../definitions/fhirpath/node.ts';
import { UnsupportedValue } from '../definitions/fhirpath/values.ts';
import { referencedType } from '../definitions/reference.ts';
import type { Definitions } from '../definitions/registry.ts';
import type { Terminology } from '../engine.ts';
import { checkBinding } from './bindings.ts';
import type { Findings } from './findings.ts';
import type { RuleCompiler } from './plan.ts';
import type { Discriminator, ElementRule, Profile, ProfilesFile, Slice } from './profile-model.ts';

export interface ProfileCheck {
  readonly definitions: Definitions;
  readonly terminology: Terminology;
  readonly rule: RuleCompiler;
  readonly profiles: Profiles;
  readonly findings: Findings;
  readonly env: Environment;
  /** What the messages name as asking: the profile, or an extension. */
  readonly subject?: string;
}

const subjectOf = (check: ProfileCheck): string => check.subject ?? 'The profile';

export interface Profiles {
  /** By canonical URL, with or without version; also by the URL of a profile that it stands for. */
  find(canonical: string): Profile | undefined;
  /** Whether the URL is one that only we define. */
  owns(url: string): boolean;
}

const namespace = (url: string): string => url.slice(0, url.lastIndexOf('/') + 1);

/** URL of an extension (or of anything that has one). */
export function urlOf(value: unknown): string | undefined {
  const url = typeof value === 'object' && value !== null && 'url' in value ? value.url : undefined;
  return typeof url === 'string' ? url : undefined;
}

export function createProfiles(file: ProfilesFile): Profiles {
  const byUrl = new Map<string, Profile>();
  for (const profile of file) {
    for (const { url, version } of [profile, ...profile.standsFor]) {
      byUrl.set(url, profile);
      byUrl.set(`${url}|${version}`, profile);
    }
  }
  const namespaces = new Set(file.map((profile) => namespace(profile.url)));
  return { find: (canonical) => byUrl.get(canonical), owns: (url) => namespaces.has(namespace(url)) };
}

/** Whether the value holds everything that the pattern has. @see https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.pattern_x_ */
export function matchesPattern(value: unknown, pattern: unknown): boolean {
  if (typeof pattern !== 'object' || pattern === null) return value === pattern;
  if (Array.isArray(pattern))
    return Array.isArray(value) && pattern.every((p) => value.some((v) => matchesPattern(v, p)));
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(pattern).every(([key, p]) => matchesPattern((value as Record<string, unknown>)[key], p));
}

const isEqual = (a: unknown, b: unknown): boolean => matchesPattern(a, b) && matchesPattern(b, a);

const list = (names: readonly string[]): string =>
  names.length > 1 ? `${names.slice(0, -1).join(', ')} or ${names.at(-1) ?? ''}` : (names[0] ?? '');

/** What a slice asks at a path below it: of its own rule, else of the profile of its type. */
function ruleAt(check: ProfileCheck, rule: ElementRule, path: readonly string[]): ElementRule | undefined {
  const [name, ...rest] = path;
  if (name === undefined) return rule;
  const child = rule.children.find((c) => c.name === name);
  if (child) return ruleAt(check, child, rest);
  for (const url of rule.types?.flatMap((t) => t.profiles ?? []) ?? []) {
    const found = check.profiles.find(url);
    if (found) return ruleAt(check, found.root, path);
  }
  return undefined;
}

function nodesAt(check: ProfileCheck, from: Node, path: readonly string[]): readonly Node[] {
  let nodes: Node[] = [from];
  for (const name of path) {
    const next: Node[] = [];
    for (const n of nodes) check.definitions.navigator.child(n, name, next);
    nodes = next;
  }
  return nodes;
}

function discriminates(check: ProfileCheck, slice: Slice, { kind, path }: Discriminator, item: Node): boolean {
  const wanted = ruleAt(check, slice.rule, path);
  const nodes = nodesAt(check, item, path);
  if (kind === 'exists') return nodes.length > 0 === (wanted?.max !== 0);
  if (wanted === undefined) return false;
  if (kind === 'type') return nodes.some((n) => wanted.types?.some((t) => t.code === n.type) === true);
  return nodes.some(
    ({ value }) =>
      (wanted.fixed !== undefined && isEqual(value, wanted.fixed)) ||
      (wanted.pattern !== undefined && matchesPattern(value, wanted.pattern)),
  );
}

function count(check: ProfileCheck, rule: ElementRule, found: number, what: string): void {
  const { findings } = check;
  const subject = subjectOf(check);
  if (rule.min !== undefined && found < rule.min) {
    findings.error(
      'required',
      `${subject} asks for ${rule.min === 1 ? '' : `at least ${rule.min} times `}${what}: add it.`,
      rule.name,
    );
  }
  if (rule.max !== undefined && found > rule.max) {
    findings.error(
      'structure',
      rule.max === 0
        ? `${subject} does not allow ${what}: remove it.`
        : `${subject} allows ${what} at most ${rule.max} time${rule.max === 1 ? '' : 's'}, not ${found}: remove some.`,
      rule.name,
    );
  }
}

/** The text that put an item into none of the slices. */
function foundInstead(check: ProfileCheck, discriminators: readonly Discriminator[], item: Node): string {
  const [first] = discriminators.flatMap(({ path }) => nodesAt(check, item, path));
  return typeof first?.value === 'string' ? `, not ${first.value.slice(0, 64)}` : '';
}

/** Children of a node that a rule speaks of, with counts and slices. */
function checkChildren(check: ProfileCheck, parent: Node, rule: ElementRule): void {
  const nodes: Node[] = [];
  check.definitions.navigator.child(parent, rule.name, nodes);
  count(check, rule, nodes.length, rule.name);
  const repeats =
    check.definitions.element(parent.type, rule.name)?.def.max !== 1 && !isChoice(check, parent.type, rule.name);
  const { path } = check.findings;
  const counts = new Map<Slice, number>();
  nodes.forEach((item, i) => {
    path.push(rule.name);
    if (repeats) path.push(i);
    checkNode(check, item, rule);
    if (rule.slicing) {
      const { discriminators, slices, closed } = rule.slicing;
      const slice = slices.find((s) => discriminators.every((d) => discriminates(check, s, d, item)));
      if (slice) {
        counts.set(slice, (counts.get(slice) ?? 0) + 1);
        checkNode(check, item, slice.rule);
      } else if (closed) {
        check.findings.error(
          'structure',
          `${subjectOf(check)} allows here only ${list(slices.map((s) => s.name))}${foundInstead(check, discriminators, item)}.`,
        );
      }
    }
    if (repeats) path.pop();
    path.pop();
  });
  for (const slice of rule.slicing?.slices ?? [])
    count(check, slice.rule, counts.get(slice) ?? 0, `${rule.name} (${slice.name})`);
}

const isChoice = (check: ProfileCheck, type: string, name: string): boolean =>
  check.definitions.elements(type).some((e) => e.choice && e.name === name);

/** @returns false when the value is of a type that the profile does not allow: then nothing else of it need be said */
function checkTypes(check: ProfileCheck, item: Node, types: NonNullable<ElementRule['types']>): boolean {
  const type = types.find((t) => t.code === item.type);
  if (!type) {
    if (types.length === 0) return true;
    check.findings.error(
      'value',
      `${subjectOf(check)} allows here only ${list(types.map((t) => t.code))}, not ${item.type}.`,
    );
    return false;
  }
  const target = type.targets && referencedType(item.value);
  if (
    target !== undefined &&
    type.targets?.includes(target) === false &&
    check.definitions.resourceTypes.includes(target)
  ) {
    check.findings.error(
      'value',
      `${subjectOf(check)} allows here only references to ${list(type.targets)}, not ${target}.`,
      'reference',
    );
  }
  // Our own extensions are held against their definitions wherever they stand.
  if (item.type === 'Extension' && check.profiles.owns(urlOf(item.value) ?? '')) return true;
  for (const url of type.profiles ?? []) {
    const profile = check.profiles.find(url);
    if (profile) checkNode(check, item, profile.root);
  }
  return true;
}

/** A value against what a rule asks of it and below it. */
function checkNode(check: ProfileCheck, item: Node, rule: ElementRule): void {
  const { findings } = check;
  if (findings.full) return;
  if (rule.types && !checkTypes(check, item, rule.types)) return;
  if (rule.fixed !== undefined && item.value !== undefined && !isEqual(item.value, rule.fixed))
    findings.error('value', `${subjectOf(check)} asks for ${JSON.stringify(rule.fixed)} here.`);
  // A slice's own pattern is what put the value into the slice.
  if (rule.pattern !== undefined && item.value !== undefined && !matchesPattern(item.value, rule.pattern))
    findings.error('value', `${subjectOf(check)} asks for ${JSON.stringify(rule.pattern)} here.`);
  if (rule.binding)
    checkBinding(check.terminology, { type: item.type, binding: rule.binding, known: new Set() }, item.value, findings);
  for (const child of rule.children) checkChildren(check, item, child);
  for (const constraint of rule.constraints) {
    const compiled = check.rule(constraint);
    if (compiled.severity === 'warning' && !findings.advice) continue;
    let truth: boolean | undefined;
    try {
      truth = compiled.decide(check.env, [item]);
    } catch (error) {
      if (!(error instanceof UnsupportedValue) && !(error instanceof TypeError)) throw error;
      continue;
    }
    if (truth === true || (truth === undefined && compiled.undecided)) continue;
    const message = `${compiled.key}: ${compiled.human}`;
    if (compiled.severity === 'error') findings.error('invariant', message);
    else findings.warn('invariant', message);
  }
}

/** The profile's rules on a whole resource. */
export function checkProfile(check: ProfileCheck, profile: Profile, resource: Node): void {
  if (resource.type !== profile.type) {
    check.findings.error(
      'value',
      `The profile ${profile.url} is for ${profile.type}, not for ${resource.type}: remove it from meta.profile.`,
      'meta.profile',
    );
    return;
  }
  checkNode(check, resource, profile.root);
}

/** The rules of an extension's definition on an extension. */
export function checkExtensionProfile(check: ProfileCheck, profile: Profile, extension: Node): void {
  const name = profile.url.slice(namespace(profile.url).length);
  checkNode({ ...check, subject: `The extension ${name}` }, extension, profile.root);
}
