/**
 * Blind indexes: columns of what identifies a person or speaks of health hold keyed tags in place of values. Who has the database without the keys can
 * neither read them nor make them.
 * @see https://www.rfc-editor.org/rfc/rfc2104
 */
import { hmac } from '../../../platform/hmac.ts';
import type { Keys } from '../../../platform/keys.ts';
import type { Definitions, SearchParam } from '../../definitions/registry.ts';
import type { ResourceDeclaration } from '../../resource.ts';

/** The tag of a lookup form: 128 bits of its HMAC-SHA-256 in hex, as a column of `uuid` takes it. */
export type Tagger = (form: string) => string;

export interface Blind {
  /** The columns of the parameter hold tags. */
  hides(param: Pick<SearchParam, 'resourceType' | 'code' | 'type'>): boolean;
  /** The type is sealed: of its logical references, identifiers are hidden too. */
  seals(type: string): boolean;
  /** Each column has a key of its own: equal values of two columns do not look alike. */
  tagger(type: string, column: string): Tagger;
}

/** What columns, and conditions on them, depend on. */
export interface ColumnSource {
  readonly definitions: Definitions;
  readonly blind: Blind;
}

/** Base columns of every table, in which no value of a resource stands. */
const BASE = new Set(['_id', '_lastUpdated']);

/** So many tags are kept in mind: names and codes come again. */
const KNOWN = 50_000;

/**
 * @param resources their `sealed` says which parameters stay plain; a relation made by hand says itself what it holds
 * @param keys asked for at first use: the keys may come later than the declarations
 */
export function createBlind(
  resources: Iterable<Pick<ResourceDeclaration, 'type' | 'sealed' | 'storage'>>,
  keys: () => Pick<Keys, 'derive'>,
): Blind {
  const plain = new Map<string, ReadonlySet<string>>();
  for (const { type, sealed, storage } of resources)
    if (sealed !== false && storage !== 'relation') plain.set(type, new Set(sealed.plain));
  const taggers = new Map<string, Tagger>();
  const all: Map<string, string>[] = [];
  let count = 0;

  function make(name: string): Tagger {
    let key: Uint8Array | undefined;
    const known = new Map<string, string>();
    all.push(known);
    return (form) => {
      const before = known.get(form);
      if (before !== undefined) return before;
      key ??= keys().derive(`search ${name}`);
      const tag = hmac(key, form, 'hex').slice(0, 32);
      if (form.length >= 100) return tag;
      if (++count > KNOWN) {
        for (const each of all) each.clear();
        count = 1;
      }
      known.set(form, tag);
      return tag;
    };
  }

  return {
    seals: (type) => plain.has(type),
    hides({ resourceType, code, type }) {
      const open = plain.get(resourceType);
      return open !== undefined && type !== 'composite' && !BASE.has(code) && !open.has(code);
    },
    tagger(type, column) {
      const name = `${type}.${column}`;
      let tagger = taggers.get(name);
      if (!tagger) taggers.set(name, (tagger = make(name)));
      return tagger;
    },
  };
}
