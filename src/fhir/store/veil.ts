/** Veils: resources shown without other people in them, or as a few elements only. @see https://hl7.org/fhir/R4/security-labels.html */
import type { Veil } from '../access.ts';
import type { SearchParam } from '../definitions/registry.ts';
import { localReference } from '../search/type/reference.ts';

type Tree = Record<string, unknown>;

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);

/** What a veil of others needs to know. */
export interface OthersOptions {
  readonly baseUrl: string;
  /** `Patient/1`, `RelatedPerson/2`: whoever looks, and those they act for. */
  readonly own: ReadonlySet<string>;
  /** Types of people: the first is served, the others come along. */
  readonly persons: readonly [string, ...string[]];
  /** Types that anybody may know of: references to them stay in what is shared. */
  readonly open: ReadonlySet<string>;
  /** Extensions below this address are the server's own, and say nothing of others. */
  readonly ownExtensions: string;
}

/** Elements in which whoever wrote them may have written of anybody. */
const FREE_TEXTS: ReadonlySet<string> = new Set(['text', 'contained', 'comment', 'note']);
const MASKED = {
  extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason', valueCode: 'masked' }],
};
/** In the place of what may not be seen. */
const GONE = Symbol('gone');

const typeOf = (reference: string): string => /([A-Za-z]+)\/[^/]*$/.exec(reference)?.[1] ?? '';

/** Whether somebody else who is served is named anywhere: only then is a resource several people's. Relatives alone are no strangers. */
function namesOthers(value: unknown, options: OthersOptions): boolean {
  if (Array.isArray(value)) return value.some((each) => namesOthers(each, options));
  if (!isTree(value)) return false;
  const [served] = options.persons;
  const { reference, type, resourceType } = value;
  if (typeof reference === 'string') {
    const local = localReference(reference, options.baseUrl);
    if (typeOf(local) === served && !options.own.has(local)) return true;
  } else if (resourceType === served || type === served) return true;
  return Object.values(value).some((each) => namesOthers(each, options));
}

function isForeign({ ownExtensions }: OthersOptions, extension: unknown): boolean {
  const url = isTree(extension) ? extension['url'] : undefined;
  // Within an extension of ours the addresses are relative.
  return typeof url !== 'string' || (url.includes(':') && !url.startsWith(ownExtensions));
}

/** What remains of a reference: it leads to oneself, or to what is open to all. */
function stays(reference: unknown, { baseUrl, own, open }: OthersOptions): boolean {
  if (typeof reference !== 'string' || reference.startsWith('#')) return false;
  const local = localReference(reference, baseUrl);
  return own.has(local) || open.has(typeOf(local));
}

/** @param inList the value can go without leaving a hole, and goes as a whole: what else it says is said of who is hidden */
function veiled(value: unknown, inList: boolean, options: OthersOptions): unknown {
  if (Array.isArray(value)) {
    const kept = value.map((each: unknown) => veiled(each, true, options)).filter((each) => each !== GONE);
    return kept.length > 0 ? kept : GONE;
  }
  if (!isTree(value)) return value;
  // Of a logical reference nobody can tell whom it means.
  const { type } = value;
  const isReference = 'reference' in value || (typeof type === 'string' && /^[A-Z]/.test(type));
  if (isReference || ('display' in value && 'identifier' in value))
    return stays(value['reference'], options) ? value : inList ? GONE : MASKED;
  const shown: Tree = {};
  for (const [name, inner] of Object.entries(value)) {
    const isExtension = (name === 'extension' || name === 'modifierExtension') && Array.isArray(inner);
    const left: unknown = isExtension ? inner.filter((each) => !isForeign(options, each)) : inner;
    const kept = name.startsWith('_') ? GONE : veiled(left, false, options);
    if (kept === MASKED && inList) return GONE;
    if (kept !== GONE) shown[name] = kept;
  }
  return shown;
}

/**
 * Without other people: who else takes part, is billed or is written to in a resource that is theirs as well. Where somebody else is named, texts and
 * extensions that could speak of them go too, and references other than to oneself and to what is open to all.
 */
export function othersVeil(options: OthersOptions): Veil {
  const { baseUrl, own, persons } = options;
  const mention = new RegExp(`(?:${persons.join('|')})(?:/[A-Za-z0-9.-]{1,64})?`, 'g');

  /** Looks at the text alone: most resources name nobody else. */
  const mayNameOthers = (text: string): boolean => {
    for (const { 0: found, index } of text.matchAll(mention)) {
      if (own.has(found) && (text[index - 1] === '"' || text.startsWith(`${baseUrl}/`, index - baseUrl.length - 1)))
        continue;
      if (!text.startsWith(`{"resourceType":"${found}"`) || index !== '{"resourceType":"'.length) return true;
    }
    return false;
  };

  return {
    hides({ type, paths }) {
      const [first] = paths[0]?.steps ?? [];
      if (first?.property === 'id' || first?.property === 'meta') return 'none';
      const plain = paths.every(
        ({ compute, steps }) =>
          compute === undefined && steps.length === 1 && !FREE_TEXTS.has(steps[0]?.property ?? 'text'),
      );
      return plain && type !== 'reference' && type !== 'composite' && type !== 'special' ? 'none' : 'some';
    },
    shown(text) {
      if (!mayNameOthers(text)) return text;
      const { resourceType, id, meta, ...rest } = JSON.parse(text) as Tree;
      if (!namesOthers(rest, options)) return text;
      const spoken = Object.entries(rest).filter(([name]) => !FREE_TEXTS.has(name));
      return JSON.stringify({
        resourceType,
        id,
        meta,
        ...(veiled(Object.fromEntries(spoken), false, options) as Tree),
      });
    },
  };
}

/** Elements that every resource is shown with. */
const ALWAYS = ['resourceType', 'id', 'meta'];

/** Only these elements of the resource itself. @param elements their names */
export function elementsVeil(elements: readonly string[]): Veil {
  const kept = new Set([...ALWAYS, ...elements]);
  const isKept = ({ paths }: SearchParam): boolean =>
    paths.every(({ steps, compute }) => compute === undefined && kept.has(steps[0]?.property ?? ''));
  return {
    hides: (param) => (isKept(param) ? 'none' : 'all'),
    shown: (text) =>
      JSON.stringify(
        Object.fromEntries(
          Object.entries(JSON.parse(text) as Tree).filter(([name]) => kept.has(name.replace(/^_/, ''))),
        ),
      ),
  };
}
