/** What apps read first: where to authorize, and what can be asked for. @see https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html */
import type { AuthParts } from '../parts.ts';

const PLAIN = [
  'openid',
  'fhirUser',
  'profile',
  'launch',
  'launch/patient',
  'launch/encounter',
  'offline_access',
  'online_access',
];
const RESOURCES = ['patient', 'user', 'system'].flatMap((level) =>
  ['rs', 'cruds', 'read', 'write', '*'].map((action) => `${level}/*.${action}`),
);

/** Each is a promise. @see https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#capability-sets */
const CAPABILITIES = [
  'launch-ehr',
  'launch-standalone',
  'authorize-post',
  'client-public',
  'client-confidential-symmetric',
  'client-confidential-asymmetric',
  'sso-openid-connect',
  'context-banner',
  'context-style',
  'context-ehr-patient',
  'context-ehr-encounter',
  'context-standalone-patient',
  'permission-offline',
  'permission-online',
  'permission-patient',
  'permission-user',
  'permission-v1',
  'permission-v2',
];

type Addresses = Pick<AuthParts, 'issuer' | 'publicUrl' | 'settings'>;

export const registrationUrl = ({ issuer, settings }: Addresses): string | undefined =>
  settings.registrationToken === undefined ? undefined : `${issuer}/register`;

/** The document at `[base]/.well-known/smart-configuration`. */
export function smartConfiguration(parts: Addresses): Readonly<Record<string, unknown>> {
  const { issuer, publicUrl } = parts;
  const registration = registrationUrl(parts);
  return {
    issuer,
    jwks_uri: `${issuer}/jwks`,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    introspection_endpoint: `${issuer}/introspect`,
    revocation_endpoint: `${issuer}/revoke`,
    userinfo_endpoint: `${issuer}/userinfo`,
    end_session_endpoint: `${issuer}/logout`,
    management_endpoint: `${publicUrl}/account/apps`,
    ...(registration === undefined ? {} : { registration_endpoint: registration }),
    grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    token_endpoint_auth_signing_alg_values_supported: ['RS384', 'ES384'],
    scopes_supported: [...PLAIN, ...RESOURCES],
    capabilities: CAPABILITIES,
  };
}

export const styleUrl = ({ publicUrl }: Pick<AuthParts, 'publicUrl'>): string => `${publicUrl}/smart-style.json`;

/** How our pages look, for apps that want to look alike. @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#styling */
export const SMART_STYLE: Readonly<Record<string, string>> = {
  color_background: '#ffffff',
  color_error: '#b3261e',
  color_highlight: '#0b57d0',
  color_modal_backdrop: 'rgba(0, 0, 0, 0.5)',
  color_success: '#146c2e',
  color_text: '#1b1b1f',
  dim_border_radius: '6px',
  dim_font_size: '16px',
  dim_spacing_size: '16px',
  font_family_body: 'system-ui, sans-serif',
  font_family_heading: 'system-ui, sans-serif',
};
