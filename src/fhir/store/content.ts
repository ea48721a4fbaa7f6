/**
 * The codec between a resource's text and what stands in the `content` column. Rows of types that speak of a person are
 * ciphertext bound to type, id and version, so that a row moves from the current table to the history unchanged. Keys come from the database, so they are
 * made ready before rows are written and after rows were read; the codec itself waits for nothing.
 */
import type { Row } from '../../platform/database/named-query.ts';
import type { PreparedWrite } from './repository.ts';

export type Encodable = Pick<PreparedWrite, 'type' | 'id' | 'version' | 'content' | 'resource'>;

export interface ContentCodec {
  /** Has what `encode` needs at hand, until whoever waits for it lets others run; undefined: it is. */
  prepare(writes: readonly Pick<Encodable, 'type' | 'id' | 'resource'>[]): Promise<void> | undefined;
  /** Has what `decode` needs for all contents in rows at hand; undefined: it is. */
  ready(rows: readonly Row[]): Promise<void> | undefined;
  encode(write: Encodable): string;
  /** @throws UnreadableContent when it was not written for this type, id and version, or was changed since */
  decode(type: string, id: string, version: number, stored: string): string;
}

/** What is stored is not what was written there. */
export class UnreadableContent extends Error {}

/** Content as it is served. */
export const plainContent: ContentCodec = {
  prepare: () => undefined,
  ready: () => undefined,
  encode: ({ content }) => content,
  decode: (_type, _id, _version, stored) => stored,
};
