/** What of the configuration concerns identity: its shapes, and the readers of its lists. */

/** A clinic's own OpenID Connect provider that people may sign in with. */
export interface UpstreamSettings {
  /** Short name in URLs: lower-case letters, digits, hyphens. */
  readonly id: string;
  /** As the sign-in page shows it. */
  readonly name: string;
  /** Exactly as it calls itself, with a slash at the end if it does so. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string | undefined;
  readonly scope: string;
  /** Values of `acr` by which it says that a second factor was shown; `mfa` in `amr` says so too. */
  readonly mfaAcr: readonly string[];
}

/** An EHR that may launch Kairos. */
export interface EhrSettings {
  /** Its redirect address is `/launch/callback/<id>`; undefined: `/launch/callback`. */
  readonly id: string | undefined;
  readonly name: string;
  /** FHIR base URL, as it comes in `iss`. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string | undefined;
  readonly scope: string;
  /** Identifier systems by which its patients are found here. */
  readonly identifierSystems: readonly string[];
  readonly mfaAcr: readonly string[];
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
  /** Only this machine reaches the port. */
  readonly loopback: boolean;
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
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.username + url.password + url.search + url.hash !== '')
    throw new Error(
      `a JSON array of objects whose "${name}" is an http or https URL without user name, query and fragment`,
    );
  return value;
}

function demandId(fields: Fields): string {
  const id = demandText(fields, 'id');
  if (!/^[a-z0-9-]{1,40}$/.test(id))
    throw new Error('a JSON array of objects whose "id" has lower-case letters, digits and hyphens');
  return id;
}

function texts(fields: Fields, name: string, fallback: readonly string[]): readonly string[] {
  const list = fields[name] ?? fallback;
  if (!Array.isArray(list) || list.some((s) => typeof s !== 'string' || s === ''))
    throw new Error(`a JSON array of objects whose "${name}" is an array of texts`);
  return list as string[];
}

function demandDifferent(ids: readonly unknown[], what: string): void {
  if (new Set(ids).size < ids.length) throw new Error(`a JSON array of objects with different ${what}`);
}

const optionalText = (fields: Fields, name: string): string | undefined =>
  fields[name] === undefined ? undefined : demandText(fields, name);

/** REFEDS' name for it is the one that several products send. */
const MFA_ACR = ['https://refeds.org/profile/mfa'];

export function parseUpstreams(text: string): readonly UpstreamSettings[] {
  const list = objects(text).map((fields) => ({
    id: demandId(fields),
    name: demandText(fields, 'name'),
    issuer: demandUrl(fields, 'issuer'),
    clientId: demandText(fields, 'client_id'),
    clientSecret: optionalText(fields, 'client_secret'),
    scope: optionalText(fields, 'scope') ?? 'openid profile',
    mfaAcr: texts(fields, 'mfa_acr', MFA_ACR),
  }));
  if (list.some((u) => !u.scope.split(' ').includes('openid')))
    throw new Error('a JSON array of objects whose "scope" has openid in it');
  demandDifferent(
    list.map((u) => u.id),
    'ids',
  );
  return list;
}

const EHR_SCOPE = 'launch openid fhirUser patient/Patient.rs offline_access';

export function parseEhrs(text: string): readonly EhrSettings[] {
  const list = objects(text).map((fields): EhrSettings => {
    const identifierSystems = texts(fields, 'identifier_systems', []);
    if (identifierSystems.length === 0)
      throw new Error('a JSON array of objects that each have "identifier_systems", at least one');
    const unknownPatient = fields['unknown_patient'] ?? 'refuse';
    if (unknownPatient !== 'import' && unknownPatient !== 'refuse')
      throw new Error('a JSON array of objects whose "unknown_patient" is import or refuse');
    const scope = optionalText(fields, 'scope') ?? EHR_SCOPE;
    if (!['launch', 'openid'].every((s) => scope.split(' ').includes(s)))
      throw new Error('a JSON array of objects whose "scope" has launch and openid in it');
    return {
      id: fields['id'] === undefined ? undefined : demandId(fields),
      name: demandText(fields, 'name'),
      issuer: demandUrl(fields, 'issuer').replace(/\/+$/, ''),
      clientId: demandText(fields, 'client_id'),
      clientSecret: optionalText(fields, 'client_secret'),
      scope,
      identifierSystems,
      mfaAcr: texts(fields, 'mfa_acr', MFA_ACR),
      unknownPatient,
    };
  });
  demandDifferent(
    list.map((e) => e.issuer),
    'issuers',
  );
  // One redirect address for several would let one of them pass off its answers as those of another.
  if (list.length > 1) {
    demandDifferent(
      list.map((e) => e.id ?? ''),
      'ids',
    );
    if (list.some((e) => e.id === undefined)) throw new Error('a JSON array of objects that each have an "id"');
  }
  return list;
}
