/**
 * JSON as FHIR needs it: decimals keep their digits, duplicate keys and hostile input are refused with the place named.
 * @see https://hl7.org/fhir/R4/json.html#decimal
 */

/** Digits of decimals that a JavaScript number would lose: by property, on the object that holds them. Invisible to JSON.stringify and Object.keys. */
export const DIGITS: unique symbol = Symbol('digits');

export interface JsonLimits {
  readonly maxDepth: number;
}
