/** The endpoints under their names in the CapabilityStatement. @see http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris */
import type { OAuthUris } from '../../fhir/engine.ts';
import type { AuthParts } from '../parts.ts';
import { smartConfiguration } from './configuration.ts';

const NAMES = {
  authorize: 'authorization_endpoint',
  token: 'token_endpoint',
  register: 'registration_endpoint',
  introspect: 'introspection_endpoint',
  revoke: 'revocation_endpoint',
  manage: 'management_endpoint',
} as const;

export function oauthUris(parts: Pick<AuthParts, 'issuer' | 'publicUrl' | 'settings'>): OAuthUris {
  const document = smartConfiguration(parts);
  return Object.entries(NAMES).flatMap(([name, member]) => {
    const url = document[member];
    return typeof url === 'string' ? [[name, url] as const] : [];
  });
}
