/**
 * What a Reference says about its target, against the types that its element allows. Whether the target exists is for the store to say.
 * @see https://hl7.org/fhir/R4/references.html
 */
import type { Definitions } from '../definitions/registry.ts';
import type { ElementDef } from '../definitions/model.ts';
import type { Findings } from './findings.ts';
import { shownValue } from './structure.ts';

const RELATIVE = /^([A-Za-z][A-Za-z0-9]*)\/([^/?#]+)(?:\/_history\/([^/?#]+))?$/;
const CONDITIONAL = /^([A-Z][A-Za-z0-9]*)\?./;
const ABSOLUTE =
  /^https?:\/\/[^?#]*\/([A-Z][A-Za-z0-9]*)\/[A-Za-z0-9.-]{1,64}(?:\/_history\/[A-Za-z0-9.-]{1,64})?(?:#.*)?$/;
const ID = /^[A-Za-z0-9.-]{1,64}$/;
const URN = /^urn:[a-z0-9][a-z0-9-]{1,31}:\S+$/i;

/** Kinds of reference and the type that each names. */
function referenceType(url: string, isType: (name: string) => boolean): string | undefined {
  const type = RELATIVE.exec(url)?.[1] ?? CONDITIONAL.exec(url)?.[1] ?? ABSOLUTE.exec(url)?.[1];
  return type !== undefined && isType(type) ? type : undefined;
}

const list = (names: readonly string[]): string =>
  names.length > 1 ? `${names.slice(0, -1).join(', ')} or ${names.at(-1) ?? ''}` : (names[0] ?? '');

/** Target types of an element's Reference; empty when any will do. */
const targetsOf = (def: ElementDef): readonly string[] => {
  const targets = def.types.find((t) => t.code === 'Reference')?.targets ?? [];
  return targets.includes('Resource') ? [] : targets;
};

interface Reference {
  readonly reference?: unknown;
  readonly type?: unknown;
}

/** @param containedType of the resource whose `contained` a `#id` points into */
export function checkReference(
  definitions: Definitions,
  types: ReadonlySet<string>,
  def: ElementDef,
  value: Reference,
  containedType: ContainedType,
  findings: Findings,
): void {
  const url = typeof value.reference === 'string' ? value.reference : undefined;
  const declared = typeof value.type === 'string' ? value.type : undefined;
  let target: string | undefined;
  if (url !== undefined && url !== '') {
    if (url.startsWith('#')) {
      target = containedType(url.slice(1));
    } else {
      const relative = RELATIVE.exec(url);
      if (relative) {
        const [, type = '', id = '', version] = relative;
        if (!types.has(type))
          findings.error('value', `${shownValue(url)} names no resource type of R4: write Type/id.`, 'reference');
        else if (!ID.test(id) || (version !== undefined && !ID.test(version)))
          findings.error('value', `${shownValue(url)} has no valid id: 1 to 64 of A-Z a-z 0-9 - .`, 'reference');
      } else if (!URN.test(url) && !/^[a-z][a-z0-9+.-]*:/i.test(url) && !CONDITIONAL.test(url)) {
        findings.error(
          'value',
          `${shownValue(url)} is no reference: write Type/id, an absolute URL, urn:uuid:… or #id of a contained resource.`,
          'reference',
        );
      }
      target = referenceType(url, (name) => types.has(name));
    }
  }
  if (declared !== undefined && target !== undefined && declared !== target && types.has(declared)) {
    findings.error('value', `type says ${declared}, reference says ${target}: correct one of them.`, 'type');
  }
  const named = target ?? declared;
  const targets = targetsOf(def);
  if (
    named === undefined ||
    !types.has(named) ||
    targets.length === 0 ||
    targets.some((t) => t === named || definitions.navigator.derives(named, t))
  )
    return;
  findings.error(
    'value',
    `${named} cannot stand here: refer to ${list(targets)}.`,
    target === undefined ? 'type' : 'reference',
  );
}

const typeOf = (value: unknown): string | undefined => {
  const type =
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>)['resourceType'] : undefined;
  return typeof type === 'string' ? type : undefined;
};

/** Type of a contained resource by its id; '' is the container itself. */
export type ContainedType = (id: string) => string | undefined;

/** Worked out once, at the first question. */
export function containedTypes(container: unknown): ContainedType {
  let types: ReadonlyMap<unknown, string | undefined> | undefined;
  return (id) => {
    if (id === '') return typeOf(container);
    const list =
      typeof container === 'object' && container !== null
        ? (container as Record<string, unknown>)['contained']
        : undefined;
    types ??= new Map(
      Array.isArray(list) ? list.map((r) => [(r as Record<string, unknown> | null)?.['id'], typeOf(r)]) : [],
    );
    return types.get(id);
  };
}
