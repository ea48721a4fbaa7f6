/** Corrections to the published definitions, from `fhir-profiles/overrides.json`; listed in docs/definitions.md. */
import type { ElementDef, TypeDef } from './model.ts';

interface ElementOverride {
  readonly why: string;
  readonly remove?: boolean;
  /** The only type that the element then has. */
  readonly type?: string;
  readonly removeTargets?: readonly string[];
}

export interface Overrides {
  /** By invariant key. */
  readonly invariants: Readonly<Record<string, { readonly expression: string; readonly why: string }>>;
  /** Types that are left out, with the reason. */
  readonly types: Readonly<Record<string, string>>;
  /** By path; `Resource.x` holds for every resource. */
  readonly elements: Readonly<Record<string, ElementOverride>>;
}

function correct(def: ElementDef, override: ElementOverride | undefined): ElementDef {
  if (!override) return def;
  if (override.type) return { ...def, types: [{ code: override.type }] };
  const removed = new Set(override.removeTargets);
  return {
    ...def,
    types: def.types.map((t) => (t.targets ? { ...t, targets: t.targets.filter((name) => !removed.has(name)) } : t)),
  };
}

/** @throws when an override speaks of an element that is not there: it has become needless */
export function applyOverrides(types: readonly TypeDef[], overrides: Overrides): TypeDef[] {
  const used = new Set<string>();
  const find = (def: ElementDef, kind: TypeDef['kind']): ElementOverride | undefined => {
    const path =
      kind === 'resource' && def.path.split('.').length === 2 && overrides.elements[def.path] === undefined
        ? `Resource.${def.name}`
        : def.path;
    const found = overrides.elements[path];
    if (found) used.add(path);
    return found;
  };
  const corrected = types
    .filter((t) => overrides.types[t.name.split('.')[0] ?? ''] === undefined)
    .map((t) => ({
      ...t,
      elements: t.elements.flatMap((def) => {
        const override = find(def, t.kind);
        return override?.remove ? [] : [correct(def, override)];
      }),
    }));
  const needless = Object.keys(overrides.elements).filter((path) => !used.has(path));
  if (needless.length > 0)
    throw new Error(`fhir-profiles/overrides.json: nothing to correct at ${needless.join(', ')}`);
  return corrected;
}
