/**
 * What a redirect address is to `form-action`: browsers apply it to where the redirects after a form lead, so a consent form could not end in
 * its app without. @see https://www.w3.org/TR/CSP3/#directive-form-action
 */
export function formTarget(redirectUri: string | undefined): readonly string[] {
  if (redirectUri === undefined || !URL.canParse(redirectUri)) return [];
  const { protocol, hostname, origin } = new URL(redirectUri);
  if (protocol === 'https:' || protocol === 'http:') {
    // What else a host may be cannot be written in a policy: an IPv6 address, signs that separate its parts.
    return /^[a-z0-9.-]+$/.test(hostname) ? [origin] : [];
  }
  return /^[a-z][a-z0-9+.-]*:$/.test(protocol) && protocol !== 'javascript:' && protocol !== 'data:' ? [protocol] : [];
}
