/**
 * Finds the references of a resource, so that the existence of their targets can be asked for.
 * @see https://hl7.org/fhir/R4/references.html
 */
import type { Definitions } from '../definitions/registry.ts';

type Tree = Readonly<Record<string, unknown>>;

export interface FoundReference {
  /** As written: `Type/id`, absolute, `urn:…`, `#id`, or conditional `Type?…`. */
  readonly reference: string;
  /** FHIRPath of the Reference's `reference`. */
  readonly expression: string;
  /** Resource types that the element allows; empty: any, or not known. */
  readonly targets: readonly string[];
}

/** Names that may stand in an expression: a tree that is not valid may hold any. */
const NAME = /^\w{1,64}$/;

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);

/** A Reference, told from an Expression, which has a `reference` of its own. */
const isReference = (value: Tree): boolean => typeof value['reference'] === 'string' && value['language'] === undefined;

/**
 * All references of a resource, valid or not, contained resources included; `#id` and identifiers-only References too where they have a `reference`.
 * @param definitions makes `expression` exact for choices (`value` for `valueReference`) and gives `targets`
 */
export function collectReferences(resource: unknown, definitions?: Definitions): FoundReference[] {
  const out: FoundReference[] = [];
  const visit = (value: unknown, path: string, type: string, targets: readonly string[]): void => {
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++)
        if (typeof value[i] === 'object') visit(value[i], `${path}[${i}]`, type, targets);
      return;
    }
    if (!isTree(value)) return;
    if (isReference(value))
      out.push({ reference: String(value['reference']), expression: `${path}.reference`, targets });
    const own = typeof value['resourceType'] === 'string' ? value['resourceType'] : type;
    for (const key in value) {
      const item = value[key];
      if (typeof item !== 'object' || item === null) continue;
      const sibling = key.startsWith('_');
      const name = sibling ? key.slice(1) : key;
      const element = definitions?.element(own, name);
      const allowed =
        element?.type === 'Reference' ? (element.def.types.find((t) => t.code === 'Reference')?.targets ?? []) : [];
      visit(
        item,
        `${path}.${element?.def.name ?? (NAME.test(name) ? name : '`?`')}`,
        sibling ? 'Element' : (element?.type ?? ''),
        allowed.includes('Resource') ? [] : allowed,
      );
    }
  };
  const type = isTree(resource) && typeof resource['resourceType'] === 'string' ? resource['resourceType'] : 'Resource';
  visit(resource, type, type, []);
  return out;
}
