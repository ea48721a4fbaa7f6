/** Addresses below the server's own base URL. @see https://hl7.org/fhir/R4/references.html#literal */

const SLASH = 47;

/** Scheme and host are the same in any case of letters, the path is not. @see https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2.1 */
function sameBase(url: string, baseUrl: string): boolean {
  const scheme = baseUrl.indexOf('://');
  if (scheme === -1) return false;
  const slash = baseUrl.indexOf('/', scheme + 3);
  const path = slash === -1 ? baseUrl.length : slash;
  return (
    url.startsWith(baseUrl.slice(path), path) &&
    url.slice(0, path).toLowerCase() === baseUrl.slice(0, path).toLowerCase()
  );
}

/** The address relative to the server's base; unchanged when it leads elsewhere. Asked of every reference: most are told by one character. */
export function relativeToBase(url: string, baseUrl: string): string {
  const { length } = baseUrl;
  if (length === 0 || url.charCodeAt(length) !== SLASH) return url;
  return url.startsWith(baseUrl) || sameBase(url, baseUrl) ? url.slice(length + 1) : url;
}
