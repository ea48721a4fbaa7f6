/** Where forms may lead. @see https://www.w3.org/TR/CSP3/#directive-form-action */

/**
 * What a redirect address is to `form-action`: browsers apply it to where the redirects after a form lead, so a consent form could not end in
 * its app without. @see https://www.w3.org/TR/CSP3/#directive-form-action
 */
export function formTarget(redirectUri: string | undefined): readonly string[] {
  if (redirectUri === undefined || !URL.canParse(redirectUri)) return [];
  const { protocol, hostname, origin } = new URL(redirectUri);
  // An own scheme has no origin, and an IPv6 address cannot be written in a policy.
  if ((protocol === 'https:' || protocol === 'http:') && !hostname.startsWith('[')) return [origin];
  return /^[a-z][a-z0-9+.-]*:$/.test(protocol) && protocol !== 'javascript:' && protocol !== 'data:' ? [protocol] : [];
}
