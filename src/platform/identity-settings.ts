/** What of the configuration concerns identity: its shapes, and the readers of its lists. */

/** A clinic's own OpenID Connect provider that people may sign in with. */
export interface UpstreamSettings {
  /** Short name in URLs: lower-case letters, digits, hyphens. */
  readonly id: string;
  /** As the sign-in page shows it. */
  readonly name: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string | undefined;
}

/** An EHR that may launch Kairos. */
export interface EhrSettings {
  readonly name: string;
  /** FHIR base URL, as it comes in `iss`. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string | undefined;
  readonly scope: string;
  /** Identifier systems by which its patients are found here. */
  readonly identifierSystems: readonly string[];
  /** What of the patient is stored when none is found: `import`, or `refuse`. */
  readonly unknownPatient: 'import' | 'refuse';
}

export interface IdentitySettings {
  readonly hasher: 'bcrypt' | 'argon2id';
  /** Roles that must have a second factor. */
  readonly mfaRoles: readonly string[];
  /** `smtp://user:password@host:587`; undefined: messages are kept for the mailbox page. */
  readonly smtpUrl: string | undefined;
  readonly mailFrom: string;
  /** Hosts and ranges that guarded fetches may reach besides public ones: for tests, and EHRs in a clinic's own network. */
  readonly outboundPrivate: boolean;
  readonly upstreams: readonly UpstreamSettings[];
  readonly ehrs: readonly EhrSettings[];
  readonly registrationToken: string | undefined;
  readonly bootstrap: { readonly clientId: string; readonly clientSecret: string; readonly scopes: string } | undefined;
  /** Addresses of proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  /** Demo accounts and the mailbox page exist. */
  readonly demo: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

/** A JSON array of objects. @throws Error that completes "NAME must be …" */
function objects(text: string): readonly Fields[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('a JSON array of objects');
  }
  if (!Array.isArray(value) || value.some((v) => typeof v !== 'object' || v === null || Array.isArray(v)))
    throw new Error('a JSON array of objects');
  return value as Fields[];
}

function demandText(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string' || value === '')
    throw new Error(`a JSON array of objects that each have a text "${name}"`);
  return value;
}

function demandUrl(fields: Fields, name: string): string {
  const value = demandText(fields, name);
  if (!URL.canParse(value) || !['http:', 'https:'].includes(new URL(value).protocol))
    throw new Error(`a JSON array of objects whose "${name}" is an http or https URL`);
  return value.replace(/\/+$/, '');
}

const optionalText = (fields: Fields, name: string): string | undefined =>
  fields[name] === undefined ? undefined : demandText(fields, name);

export function parseUpstreams(text: string): readonly UpstreamSettings[] {
  const list = objects(text).map((fields) => {
    const id = demandText(fields, 'id');
    if (!/^[a-z0-9-]{1,40}$/.test(id))
      throw new Error('a JSON array of objects whose "id" has lower-case letters, digits and hyphens');
    return {
      id,
      name: demandText(fields, 'name'),
      issuer: demandUrl(fields, 'issuer'),
      clientId: demandText(fields, 'client_id'),
      clientSecret: optionalText(fields, 'client_secret'),
    };
  });
  if (new Set(list.map((u) => u.id)).size < list.length) throw new Error('a JSON array of objects with different ids');
  return list;
}

const EHR_SCOPE = 'launch openid fhirUser patient/Patient.rs offline_access';

export function parseEhrs(text: string): readonly EhrSettings[] {
  return objects(text).map((fields) => {
    const systems = fields['identifier_systems'] ?? [];
    if (!Array.isArray(systems) || systems.some((s) => typeof s !== 'string'))
      throw new Error('a JSON array of objects whose "identifier_systems" is an array of texts');
    const unknownPatient = fields['unknown_patient'] ?? 'refuse';
    if (unknownPatient !== 'import' && unknownPatient !== 'refuse')
      throw new Error('a JSON array of objects whose "unknown_patient" is import or refuse');
    return {
      name: demandText(fields, 'name'),
      issuer: demandUrl(fields, 'issuer'),
      clientId: demandText(fields, 'client_id'),
      clientSecret: optionalText(fields, 'client_secret'),
      scope: optionalText(fields, 'scope') ?? EHR_SCOPE,
      identifierSystems: systems as string[],
      unknownPatient,
    };
  });
}
