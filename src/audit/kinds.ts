/**
 * What is recorded, as FHIR codes it: one line a kind of event. The table `audit_kind` holds the same for searches; a test compares them.
 * @see https://profiles.ihe.net/ITI/BALP/content.html
 */
import type { Coding } from '@medplum/fhirtypes';

export const SYSTEMS = {
  type: 'http://terminology.hl7.org/CodeSystem/audit-event-type',
  rest: 'http://hl7.org/fhir/restful-interaction',
  dicom: 'http://dicom.nema.org/resources/ontology/DCM',
  ihe: 'urn:ihe:event-type-code',
  authorization: 'https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType',
  entity: 'https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType',
  participation: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType',
  entityType: 'http://terminology.hl7.org/CodeSystem/audit-entity-type',
  role: 'http://terminology.hl7.org/CodeSystem/object-role',
  source: 'http://terminology.hl7.org/CodeSystem/security-source-type',
  own: 'https://kairos.example/fhir/CodeSystem/audit-event',
  operation: 'https://kairos.example/fhir/CodeSystem/operation',
  client: 'https://kairos.example/fhir/NamingSystem/client',
  account: 'https://kairos.example/fhir/NamingSystem/account',
  accountRole: 'https://kairos.example/fhir/CodeSystem/account-role',
  server: 'https://kairos.example/fhir/NamingSystem/server',
} as const;

export type Action = 'C' | 'R' | 'U' | 'D' | 'E';

interface KindCodes {
  readonly action: Action;
  readonly type: Coding;
  readonly subtype: readonly Coding[];
  /** System of the code that the row adds to the subtypes (`detail`). */
  readonly detail?: string;
}

const REST: Coding = { system: SYSTEMS.type, code: 'rest', display: 'RESTful Operation' };
const ALERT: Coding = { system: SYSTEMS.dicom, code: '110113', display: 'Security Alert' };
const SIGN_IN: Coding = { system: SYSTEMS.dicom, code: '110114', display: 'User Authentication' };
const ACTIVITY: Coding = { system: SYSTEMS.dicom, code: '110100', display: 'Application Activity' };

const coding = (system: string, ...codes: readonly string[]): Coding[] => codes.map((code) => ({ system, code }));

const rest = (action: Action, ...codes: readonly string[]): KindCodes => ({
  action,
  type: REST,
  subtype: coding(SYSTEMS.rest, ...codes),
  detail: SYSTEMS.operation,
});

/** The transactions of IHE Scheduling are audited as the creation of something about a patient. */
const ihe = (transaction: string): KindCodes => ({
  action: 'C',
  type: REST,
  subtype: [...coding(SYSTEMS.rest, 'create'), ...coding(SYSTEMS.ihe, transaction)],
});

const own = (type: Coding, code: string, subtype: readonly Coding[] = []): KindCodes => ({
  action: 'E',
  type,
  subtype: [...subtype, ...coding(SYSTEMS.own, code)],
  detail: SYSTEMS.own,
});

export const KINDS = {
  read: rest('R', 'read'),
  vread: rest('R', 'vread'),
  'history-instance': rest('R', 'history', 'history-instance'),
  'history-type': rest('R', 'history', 'history-type'),
  'history-system': rest('R', 'history', 'history-system'),
  'search-type': rest('E', 'search', 'search-type'),
  'search-system': rest('E', 'search', 'search-system'),
  create: rest('C', 'create'),
  update: rest('U', 'update'),
  patch: rest('U', 'patch'),
  delete: rest('D', 'delete'),
  capabilities: rest('R', 'capabilities'),
  operation: rest('E', 'operation'),
  batch: rest('E', 'batch'),
  transaction: rest('E', 'transaction'),
  find: ihe('ITI-115'),
  hold: ihe('ITI-116'),
  book: ihe('ITI-117'),
  /** A request that leads nowhere. */
  other: own(ACTIVITY, 'request'),
  /** The detail is the interaction that was refused. */
  denied: {
    action: 'E',
    type: ALERT,
    subtype: coding(SYSTEMS.authorization, 'AuthZ-Role'),
    detail: SYSTEMS.rest,
  },
  login: own(SIGN_IN, 'login', coding(SYSTEMS.dicom, '110122')),
  logout: own(SIGN_IN, 'logout', coding(SYSTEMS.dicom, '110123')),
  token: own(SIGN_IN, 'token-issued'),
  refused: own(ALERT, 'token-refused'),
  consent: own(ALERT, 'consent'),
  revoked: own(ALERT, 'grant-revoked'),
  client: own(ALERT, 'client-changed', coding(SYSTEMS.dicom, '110136')),
  account: own(ALERT, 'account-changed', coding(SYSTEMS.dicom, '110137')),
  job: own(ACTIVITY, 'job'),
} as const satisfies Readonly<Record<string, KindCodes>>;

export type Kind = keyof typeof KINDS;

export const codesOf = (kind: string): KindCodes => (KINDS as Readonly<Record<string, KindCodes>>)[kind] ?? KINDS.other;
