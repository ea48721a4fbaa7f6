/** Which id a resource of the input gets, and how references within the input are told. */
import { hash } from 'node:crypto';
import { stringify } from '../fhir/json.ts';
import type { Item } from './source.ts';

const UUID_URN = /^urn:uuid:([0-9a-f-]{36})$/i;
const URN = /^urn:(?:uuid|oid):/i;
const REST_ADDRESS = /^https?:\/\/.*\/[A-Z][A-Za-z]+\/([A-Za-z0-9.-]{1,64})(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/;

const typeOf = (item: Item): string => (typeof item.tree['resourceType'] === 'string' ? item.tree['resourceType'] : '');

/** An id that is the same whenever the content is. */
function contentId(text: string): string {
  const digits = hash('sha256', text, 'hex');
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `8${digits.slice(13, 16)}`,
    `a${digits.slice(17, 20)}`,
    digits.slice(20, 32),
  ].join('-');
}

/** The resource's own id, else the one that its fullUrl gives, else one made of its content. */
export function idOf(item: Item): string {
  const own = item.tree['id'];
  if (typeof own === 'string') return own;
  const given =
    item.fullUrl === undefined
      ? undefined
      : (UUID_URN.exec(item.fullUrl)?.[1]?.toLowerCase() ?? REST_ADDRESS.exec(item.fullUrl)?.[1]);
  return given ?? contentId(stringify(item.tree));
}

/** `Type/id`. */
export const keyOf = (item: Item): string => `${typeOf(item)}/${idOf(item)}`;

/** 52 bits of the content's digest: tells whether two resources of one id are the same. */
export const fingerprint = (tree: unknown): number =>
  Number.parseInt(hash('sha1', stringify(tree), 'hex').slice(0, 13), 16);

/** Whether a reference names an entry of a Bundle by its fullUrl. */
export const isUrn = (reference: string): boolean => URN.test(reference);

/**
 * The tree with `urn:` references replaced by `Type/id`; itself where there are none. Objects that change are copied, with their symbols.
 * @param resolve undefined: not known, the reference stays
 */
export function withResolved(tree: unknown, resolve: (urn: string) => string | undefined): unknown {
  if (Array.isArray(tree)) {
    let copy: unknown[] | undefined;
    tree.forEach((value: unknown, i) => {
      const next = withResolved(value, resolve);
      if (next !== value) (copy ??= [...(tree as unknown[])])[i] = next;
    });
    return copy ?? tree;
  }
  if (typeof tree !== 'object' || tree === null) return tree;
  let copy: Record<string, unknown> | undefined;
  for (const [key, value] of Object.entries(tree)) {
    const next =
      key === 'reference' && typeof value === 'string' && isUrn(value)
        ? (resolve(value) ?? value)
        : withResolved(value, resolve);
    if (next !== value) (copy ??= { ...tree })[key] = next;
  }
  return copy ?? tree;
}
