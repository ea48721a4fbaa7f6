/** What a Reference says of its target. @see https://hl7.org/fhir/R4/references.html */

/** Resource type that a Reference names, by its URL or else by `type`. */
export function referencedType(reference: unknown): string | undefined {
  if (typeof reference !== 'object' || reference === null) return undefined;
  const { reference: url, type } = reference as { reference?: unknown; type?: unknown };
  if (typeof url === 'string') {
    const match = /(?:^|\/)([A-Z][A-Za-z]+)\/[A-Za-z0-9.-]{1,64}(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/.exec(url);
    if (match?.[1]) return match[1];
  }
  return typeof type === 'string' ? type : undefined;
}
