/**
 * Content of types that speak of a person, sealed: `v1.<key>.<nonce, ciphertext and tag in base64>`. Base64 in a text column, since bytes would come as
 * twice as many characters of hex. A key for each subject of a compartment, so that without it nothing about that subject can be read; a resource in the
 * compartments of none or of several has the key of its table.
 * @see https://hl7.org/fhir/R4/compartmentdefinition.html
 */
import type { Resource } from '@medplum/fhirtypes';
import { decrypt, encrypt, fromBase64 } from '../../platform/aead.ts';
import type { DataKeys, Scope } from '../../platform/data-keys.ts';
import { scopeName } from '../../platform/data-keys.ts';
import type { Row } from '../../platform/database/named-query.ts';
import type { ResourceDeclaration } from '../resource.ts';
import { UnreadableContent, type ContentCodec } from './content.ts';
import { tableOf } from './layout.ts';

const VERSION = 'v1';
/** `v1.` and a key of ten characters. */
const KEY_AT = VERSION.length + 1;
const KEY_CHARACTERS = 10;
const TEXT_AT = KEY_AT + KEY_CHARACTERS + 1;
const DOT = 46;

/** SQL for the key of a content column; null where there is none. */
export const keySql = (column: string): string => `substr(${column}, ${KEY_AT + 1}, ${KEY_CHARACTERS})`;

/**
 * SQL for bytes that a stored content has at least when it is opened: what is counted by it to end a page is never less than what was asked for.
 * Base64 is longer by a third, and may end in two characters that stand for nothing; nonce and tag are 28 bytes.
 */
export const leastBytesSql = (column: string): string =>
  `greatest((coalesce(octet_length(${column}), 0) - ${TEXT_AT}) * 3 / 4 - 30, 0)`;

/** The key that a value is sealed with; undefined: it is no sealed content. */
export function keyIn(value: string | null): string | undefined {
  if (value === null || value.length <= TEXT_AT || value.charCodeAt(TEXT_AT - 1) !== DOT) return undefined;
  return value.charCodeAt(KEY_AT - 1) === DOT && value.startsWith(VERSION)
    ? value.slice(KEY_AT, TEXT_AT - 1)
    : undefined;
}

const boundTo = (type: string, id: string, version: number, key: string): string =>
  `${tableOf(type)}|content|${id}|${version}|${key}`;

/** The subject whose compartment alone a resource is in; undefined: none, or several. */
export type SubjectOf = (type: string, id: string, resource: Resource) => string | undefined;

/** Whether the repository seals the type's content. A relation is written by whoever keeps it. */
export const isSealed = (declaration: Pick<ResourceDeclaration, 'sealed' | 'storage'> | undefined): boolean =>
  declaration !== undefined && declaration.sealed !== false && declaration.storage !== 'relation';

export function scopeOf(subjectOf: SubjectOf, type: string, id: string, resource: Resource): Scope {
  const subject = subjectOf(type, id, resource);
  return subject === undefined ? { kind: 'table', subject: tableOf(type) } : { kind: 'subject', subject };
}

export function createSealedContent(
  resources: Iterable<Pick<ResourceDeclaration, 'type' | 'sealed' | 'storage'>>,
  keys: Pick<DataKeys, 'ready' | 'get' | 'prepare' | 'use'>,
  subjectOf: SubjectOf,
): ContentCodec {
  const sealed = new Set([...resources].filter(isSealed).map((r) => r.type));

  return {
    prepare(writes) {
      const personal = writes.filter((w) => sealed.has(w.type));
      return personal.length === 0
        ? undefined
        : keys.prepare(personal.map((w) => scopeOf(subjectOf, w.type, w.id, w.resource)));
    },
    ready(rows: readonly Row[]) {
      let found: Set<string> | undefined;
      for (const row of rows) {
        for (const value of row) {
          const key = keyIn(value);
          if (key !== undefined) (found ??= new Set()).add(key);
        }
      }
      return found && keys.ready(found);
    },
    encode({ type, id, version, content, resource }) {
      if (!sealed.has(type)) return content;
      const keyId = keys.use(scopeName(scopeOf(subjectOf, type, id, resource)));
      return `${VERSION}.${keyId}.${encrypt(keys.get(keyId), boundTo(type, id, version, keyId), content).toString('base64')}`;
    },
    decode(type, id, version, stored) {
      if (!sealed.has(type)) return stored;
      const refuse = (why: string, cause?: unknown): UnreadableContent =>
        // The log gets it, where no id of a person's resource may stand: the data key tells whose it is to whoever may look.
        new UnreadableContent(`A content of ${type}, version ${version}, data key ${keyIn(stored) ?? 'none'}, ${why}`, {
          cause,
        });
      const keyId = keyIn(stored);
      if (keyId === undefined) throw refuse('is not sealed: it was not written by Kairos');
      try {
        return decrypt(keys.get(keyId), boundTo(type, id, version, keyId), fromBase64(stored.slice(TEXT_AT))).toString(
          'utf8',
        );
      } catch (error) {
        throw refuse('cannot be opened: it, or its key, was changed, belongs elsewhere, or is gone', error);
      }
    },
  };
}
