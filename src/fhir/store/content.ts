/**
 * The codec between a resource's text and what stands in the `content` column. Rows of types that speak of a person will
 * be ciphertext bound to type, id and version, so that a row moves from the current table to the history unchanged.
 */

export interface ContentCodec {
  encode(type: string, id: string, version: number, text: string): string;
  decode(type: string, id: string, version: number, stored: string): string;
}

/** Content as it is served. */
export const plainContent: ContentCodec = {
  encode: (_type, _id, _version, text) => text,
  decode: (_type, _id, _version, stored) => stored,
};
