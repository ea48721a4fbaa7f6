/** A clinic's own OpenID Connect provider, as a client sees it. @see https://openid.net/specs/openid-connect-discovery-1_0.html */
import type { UpstreamSettings } from '../../platform/identity-settings.ts';
import type { Remote } from '../federation/remote.ts';
import type { AuthParts } from '../parts.ts';

export const upstreamRemote = ({ issuer, clientId, clientSecret }: UpstreamSettings): Remote => ({
  discovery: issuer,
  clientId,
  clientSecret,
});

/** The redirect address to register with the provider. */
export const upstreamRedirect = (
  { publicUrl }: Pick<AuthParts, 'publicUrl'>,
  { id }: Pick<UpstreamSettings, 'id'>,
): string => `${publicUrl}/signin/callback/${id}`;
