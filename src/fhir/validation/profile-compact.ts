/**
 * Reads the differentials of own StructureDefinitions; runs in the build.
 * @see https://hl7.org/fhir/R4/elementdefinition.html
 */
import type { ElementDefinition, StructureDefinition } from '@medplum/fhirtypes';
import { constraintsOf, withoutVersion } from '../definitions/compact.ts';
import type { Discriminator, ElementRule, Profile, Slice } from './profile-model.ts';

const lastSegment = (url: string): string => url.slice(url.lastIndexOf('/') + 1);
const CORE = 'http://hl7.org/fhir/StructureDefinition/';

interface Building {
  readonly definition: ElementDefinition | undefined;
  readonly name: string;
  readonly children: Map<string, Building>;
  readonly slices: Map<string, Building>;
}

const building = (name: string, definition?: ElementDefinition): Building => ({
  name,
  definition,
  children: new Map(),
  slices: new Map(),
});

/** Value of a property whose name begins so: `patternCoding`, `fixedUri`. */
function valueOf(definition: ElementDefinition, start: string): unknown {
  return Object.entries(definition).find(([key]) => new RegExp(`^${start}[A-Z]`).test(key))?.[1] as unknown;
}

/** @param urls resource type of each profile by URL, for targets that are profiles */
function typesOf(definition: ElementDefinition, urls: ReadonlyMap<string, string>): Pick<ElementRule, 'types'> {
  if (!definition.type) return {};
  const target = (url: string): string =>
    url.startsWith(CORE) ? lastSegment(url) : (urls.get(url) ?? lastSegment(url));
  return {
    types: definition.type.map((t) => ({
      code: t.code ?? '',
      ...(t.targetProfile ? { targets: t.targetProfile.map(target) } : {}),
      ...(t.profile ? { profiles: t.profile.map(withoutVersion) } : {}),
    })),
  };
}

function discriminators(definition: ElementDefinition): Discriminator[] {
  return (definition.slicing?.discriminator ?? []).map(({ type, path }) => {
    if (type === 'profile' || type === undefined)
      throw new Error(`${definition.id}: slicing by ${type ?? 'nothing'} is not supported`);
    return { kind: type, path: path === '$this' || path === undefined ? [] : path.split('.') };
  });
}

function toRule(node: Building, urls: ReadonlyMap<string, string>): ElementRule {
  const { definition } = node;
  const slices = [...node.slices.values()].map((s): Slice => ({
    name: s.definition?.sliceName ?? '',
    rule: toRule(s, urls),
  }));
  const binding = definition?.binding;
  const strict = binding?.strength === 'required' || binding?.strength === 'extensible';
  const fixed = definition && valueOf(definition, 'fixed');
  const pattern = definition && valueOf(definition, 'pattern');
  return {
    name: node.name,
    ...(definition?.min === undefined ? {} : { min: definition.min }),
    ...(definition?.max === undefined || definition.max === '*' ? {} : { max: Number(definition.max) }),
    ...(definition ? typesOf(definition, urls) : {}),
    ...(fixed === undefined ? {} : { fixed }),
    ...(pattern === undefined ? {} : { pattern }),
    ...(binding?.valueSet && strict
      ? { binding: { valueSet: withoutVersion(binding.valueSet), required: binding.strength === 'required' } }
      : {}),
    constraints: definition ? constraintsOf(definition, {}) : [],
    ...(definition?.slicing
      ? {
          slicing: {
            discriminators: discriminators(definition),
            closed: definition.slicing.rules === 'closed',
            slices,
          },
        }
      : {}),
    children: [...node.children.values()].map((c) => toRule(c, urls)),
  };
}

/** @param profiles all own profiles, which may refer to each other */
export function compactProfiles(profiles: readonly StructureDefinition[]): Profile[] {
  const urls = new Map(profiles.map((sd) => [sd.url ?? '', sd.type ?? '']));
  return profiles.map((sd) => {
    const [first, ...rest] = sd.differential?.element ?? [];
    if (first?.path !== sd.type) throw new Error(`${sd.url}: the differential must begin with ${sd.type}`);
    const root = building(sd.type ?? '', first);
    for (const definition of rest) {
      let at = root;
      const steps = (definition.id ?? '').split('.').slice(1);
      for (const [i, step] of steps.entries()) {
        const [name = '', slice] = step.replace('[x]', '').split(':');
        const last = i === steps.length - 1;
        let child = at.children.get(name);
        if (!child)
          at.children.set(name, (child = building(name, last && slice === undefined ? definition : undefined)));
        if (slice !== undefined) {
          let inner = child.slices.get(slice);
          if (!inner) child.slices.set(slice, (inner = building(name, last ? definition : undefined)));
          child = inner;
        }
        at = child;
      }
    }
    return {
      url: sd.url ?? '',
      version: sd.version ?? '',
      standsFor: (sd.mapping ?? [])
        .filter((m) => m.identity?.startsWith('stands-for') && m.uri)
        .map((m) => {
          const [url = '', version = ''] = (m.uri ?? '').split('|');
          return { url, version };
        }),
      type: sd.type ?? '',
      ...(sd.context ? { contexts: sd.context.map((c) => c.expression ?? '') } : {}),
      root: toRule(root, urls),
    };
  });
}
