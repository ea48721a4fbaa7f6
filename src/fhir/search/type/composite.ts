/**
 * Composite parameters: no column of their own; their components' columns narrow, the tuples are compared on the resource.
 * @see https://hl7.org/fhir/R4/search.html#composite
 */
import type { ColumnKind } from '../kind.ts';

export const compositeColumns: ColumnKind = {
  shapes: () => [],
  extractor: () => () => undefined,
};
