/**
 * Who may do what with which rows: the one table that the SQL of every access, the access matrix of the tests and docs/access.md are made of. What a
 * token's scopes leave of it is the token's access. What consents take away and breaking the glass adds will be conditions of this table as well.
 * @see https://hl7.org/fhir/R4/security.html#authorization
 */
import type { Act, Interaction } from '../../fhir/access.ts';
import type { Letter } from '../smart/scope.ts';

/** A person has the union of what their roles may; `patient`: also who acts for one, as their RelatedPerson. */
export const ROLES_OF_POLICY = [
  'anonymous',
  'patient',
  'physician',
  'front-desk',
  'billing',
  'admin',
  'privacy-officer',
] as const;
export type PolicyRole = (typeof ROLES_OF_POLICY)[number];

/** Which rows. */
export type Where = 'all' | 'public' | 'own' | 'own alone' | 'mine' | 'seen';

export const WHERE: Readonly<Record<Where, string>> = {
  all: 'every row',
  public: 'what the directory says of the type',
  own: 'in the compartment of a patient whom they act for, shown without other people',
  'own alone': 'the same, while in no other patient’s',
  mine: 'that name the Practitioner whom they are, or a role of theirs; Slots of their Schedules',
  seen: 'of patients with whom they have an appointment, or had one within 24 months',
};

export interface Rule {
  readonly who: PolicyRole;
  readonly types: readonly string[];
  /** As in scopes: create, read, update, delete, search. */
  readonly may: string;
  readonly where: Where;
  /** Only these elements are shown. */
  readonly elements?: readonly string[];
}

const rule = (who: PolicyRole, types: string, may: string, where: Where, elements?: string): Rule => ({
  who,
  types: types.split(' '),
  may,
  where,
  ...(elements === undefined ? {} : { elements: elements.split(' ') }),
});

const DEFINED = 'CodeSystem CompartmentDefinition OperationDefinition SearchParameter StructureDefinition ValueSet';
const PLACES = 'HealthcareService Location Organization Practitioner PractitionerRole';
const TIMES = 'Schedule Slot';
const EQUIPMENT = 'ChargeItemDefinition Device Endpoint';
const OPEN = `${DEFINED} ${PLACES} ${TIMES}`;
const VISITS = 'Appointment AppointmentResponse';
const MONEY = 'Account ChargeItem Coverage Invoice PaymentNotice PaymentReconciliation';
const CARE = 'Basic Communication CommunicationRequest Consent Encounter ServiceRequest';
const PEOPLE = 'Patient RelatedPerson';
const OF_PATIENTS = `${VISITS} ${CARE} Coverage Provenance ${PEOPLE}`;
const RECORD = `${OF_PATIENTS} Task`;
const COMPARTMENT = `${OF_PATIENTS} Account AuditEvent ChargeItem Invoice Schedule`;
const DEMOGRAPHICS =
  'active identifier name telecom gender birthDate address patient relationship managingOrganization';
const IDENTITY = 'active identifier name birthDate patient relationship';

// prettier-ignore
export const POLICY: readonly Rule[] = [
  // who              which types                                          may      which rows    of them only
  rule('anonymous',       OPEN,                                                'rs',    'public'),

  rule('patient',         OPEN,                                                'rs',    'public'),
  rule('patient',         COMPARTMENT,                                         'rs',    'own'),
  rule('patient',         `${VISITS} Communication CommunicationRequest Consent Coverage`, 'cu', 'own alone'),

  rule('physician',       `${OPEN} ${EQUIPMENT}`,                              'rs',    'all'),
  rule('physician',       TIMES,                                               'cud',   'mine'),
  rule('physician',       VISITS,                                              'cruds', 'mine'),
  rule('physician',       RECORD,                                              'rs',    'seen'),
  rule('physician',       'Communication CommunicationRequest Encounter ServiceRequest Task', 'cu', 'seen'),

  rule('front-desk',      `${OPEN} ${EQUIPMENT}`,                              'rs',    'all'),
  rule('front-desk',      TIMES,                                               'cud',   'all'),
  rule('front-desk',      `${RECORD} ${MONEY} Binary Group`,                   'rs',    'all'),
  rule('front-desk',      `${VISITS} ${CARE} ${PEOPLE} Coverage Group Task`,        'cud',   'all'),
  rule('front-desk',      'Account Binary ChargeItem Invoice PaymentNotice',   'cu',    'all'),

  rule('billing',         `${DEFINED} ${PLACES} ${EQUIPMENT}`,                 'rs',    'all'),
  rule('billing',         `${MONEY} ChargeItemDefinition`,                     'cruds', 'all'),
  rule('billing',         PEOPLE,                                              'rs',    'all',        DEMOGRAPHICS),

  rule('admin',           OPEN,                                                'rs',    'all'),
  rule('admin',           `${PLACES} ${TIMES} ${EQUIPMENT} Subscription`,      'cruds', 'all'),

  rule('privacy-officer', `${DEFINED} ${PLACES} ${EQUIPMENT}`,                 'rs',    'all'),
  rule('privacy-officer', 'AuditEvent Consent Provenance',                     'rs',    'all'),
  rule('privacy-officer', PEOPLE,                                              'rs',    'all',        IDENTITY),
];

/** How long an appointment opens the record of the patient to the physician. */
export const SEEN_MONTHS = 24;

/** Appointments that open it: asked for and agreed ones, and those that took place; not what was only proposed, was called off, or is an error. */
export const SEEN_STATUSES = 'pending,booked,arrived,checked-in,fulfilled,noshow';

/**
 * What is anybody's to look at: what is offered, where, by whom and when. `impersonal`: only what refers to no patient and no related person;
 * a list: only what meets these search parameters.
 */
export const DIRECTORY: Readonly<Record<string, 'all' | 'impersonal' | readonly (readonly [string, string])[]>> = {
  ...Object.fromEntries(OPEN.split(' ').map((type) => [type, 'all'])),
  Schedule: 'impersonal',
  Slot: [['status', 'free']],
};

/** What may be named besides: whether somebody still has the time of a Slot is the calendar's to say; of a hold that has run out the Slot does not know yet. */
export const NAMED: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  Slot: [['status', 'free,busy,busy-tentative']],
};

/** People, those who are served first; their compartments: what lies in one is not in the directory. */
export const PERSONS = ['Patient', 'RelatedPerson'] as const;

/** What is in the compartment of each of its members, and names all of them: nobody sees it as theirs. */
export const NOT_OWN: ReadonlySet<string> = new Set(['Group']);

/** Types that say nothing of anybody: references to them stay in what is shared with others. */
export const OPEN_TYPES: ReadonlySet<string> = new Set(`${OPEN} ${EQUIPMENT}`.split(' '));

/** What nobody needs to sign in for. Versions of what was public once are not. */
export const ANONYMOUS: ReadonlySet<Interaction> = new Set<Interaction>(['capabilities', 'read', 'search-type']);

/** What is not written under `patient/` scopes, by whomever, although it lies in the compartment: it says who may act for patients, or is kept about them. */
export const NOT_IN_CONTEXT: ReadonlySet<string> = new Set(['AuditEvent', 'Provenance', 'RelatedPerson']);

/**
 * The letter of a scope that an act needs. To be referred to needs none: it tells that something exists which the person, or the system,
 * may act on anyway, and a scope to book would be worth nothing if it could not name the patient and the practitioner.
 */
export const LETTER_OF: Readonly<Record<Act, Letter | undefined>> = {
  create: 'c',
  read: 'r',
  get: 'r',
  update: 'u',
  delete: 'd',
  search: 's',
  refer: undefined,
};

/** Rules of a role for a type and an act. To be referred to is for what they may see. */
export const rulesFor = (roles: ReadonlySet<PolicyRole>, type: string, act: Act): readonly Rule[] => {
  const letter = LETTER_OF[act] ?? 'r';
  return POLICY.filter((r) => roles.has(r.who) && r.may.includes(letter) && r.types.includes(type));
};
