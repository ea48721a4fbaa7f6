/** Parts that are not shown to everybody who sees a resource; where nothing is withheld, its text goes out as it is stored. @see https://hl7.org/fhir/R4/security.html#access */
import type { Act, Rows } from '../access.ts';
import type { ResourceDeclaration } from '../resource.ts';
import type { StoredVersion } from './repository.ts';

/** Who reads in order to write gets the whole, so that nothing is lost. */
const SHOWS: ReadonlySet<Act> = new Set<Act>(['read', 'get', 'search']);

type Declarations = ReadonlyMap<string, Pick<ResourceDeclaration, 'withheld'>>;

/** A part of resources of a type. */
export interface Withheld {
  /** Stands in the text wherever the part is. */
  readonly mark: string;
  /** Takes it out. @param resource parsed from its text, changed in place */
  remove(resource: Record<string, unknown>): void;
}

/** A top-level element. */
export const element = (name: string): Withheld => ({
  mark: `"${name}"`,
  remove(resource) {
    delete resource[name];
    delete resource[`_${name}`];
  },
});

/** Whether anything of the type's resources may be hidden from whoever asks. */
export const hidesFrom = (resources: Declarations, type: string, access: Rows): boolean =>
  SHOWS.has(access.act) && (resources.get(type)?.withheld !== undefined || access.veil(type) !== undefined);

/** The text as whoever asks may see it. */
export function shownText(resources: Declarations, type: string, stored: string, access: Rows): string {
  if (!SHOWS.has(access.act)) return stored;
  const text = access.veil(type)?.shown(stored) ?? stored;
  const all = resources.get(type)?.withheld?.(access.principal) ?? [];
  const found = all.filter(({ mark }) => text.includes(mark));
  if (found.length === 0) return text;
  const resource = JSON.parse(text) as Record<string, unknown>;
  for (const each of found) each.remove(resource);
  return JSON.stringify(resource);
}

export function shown<T extends StoredVersion | undefined>(resources: Declarations, version: T, access: Rows): T {
  if (version?.content === undefined) return version;
  const content = shownText(resources, version.type, version.content, access);
  return content === version.content ? version : { ...version, content };
}
