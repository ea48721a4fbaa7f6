/**
 * Who may do what with which rows: the table that every access is made of. What a token's scopes leave of it is the token's access.
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
 */
import type { Act, Interaction } from '../../fhir/access.ts';
import type { Letter } from '../smart/scope.ts';

/**
 * What is anybody's to look at: what is offered, where, by whom and when. `impersonal`: only what refers to no patient and no related person;
 * a list: only what meets these search parameters.
 */
export const DIRECTORY: Readonly<Record<string, 'all' | 'impersonal' | readonly (readonly [string, string])[]>> = {
  CodeSystem: 'all',
  CompartmentDefinition: 'all',
  HealthcareService: 'all',
  Location: 'all',
  OperationDefinition: 'all',
  Organization: 'all',
  Practitioner: 'all',
  PractitionerRole: 'all',
  Schedule: 'impersonal',
  SearchParameter: 'all',
  Slot: [['status', 'free']],
  StructureDefinition: 'all',
  ValueSet: 'all',
};

/** What may be named besides: whether somebody still has the time of a Slot is the calendar's to say; of a hold that has run out the Slot does not know yet. */
export const NAMED: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  Slot: [['status', 'free,busy,busy-tentative']],
};

/** Compartments of persons who are served: what lies in one is not in the directory. */
export const PERSONAL_COMPARTMENTS = ['Patient', 'RelatedPerson'] as const;

/** What may be done with the directory. */
export const DIRECTORY_ACTS: ReadonlySet<Act> = new Set<Act>(['read', 'get', 'search', 'refer']);

/** What nobody needs to sign in for. Versions of what was public once are not. */
export const ANONYMOUS: ReadonlySet<Interaction> = new Set<Interaction>(['capabilities', 'read', 'search-type']);

/** Roles that see every row; their scopes decide the types. */
export const ALL_ROWS: ReadonlySet<string> = new Set(['physician', 'staff', 'admin', 'privacy-officer']);

/** What is not written under `patient/` scopes, by whomever, although it lies in the compartment: it says who may act for patients, or is kept about them. */
export const NOT_IN_CONTEXT: ReadonlySet<string> = new Set(['AuditEvent', 'Provenance', 'RelatedPerson']);

/** Not to delete: what was is kept, with a status that says that it holds no more. */
const WRITES: ReadonlySet<Act> = new Set<Act>(['create', 'update']);

/**
 * What patients may write of what lies in their compartment; the rest of it is the clinic's. Not Patient: by its identifiers and birth date
 * others find it, by its links it stands for another.
 */
export const BY_PATIENTS: Readonly<Record<string, ReadonlySet<Act>>> = {
  Appointment: WRITES,
  AppointmentResponse: WRITES,
  Communication: WRITES,
  CommunicationRequest: WRITES,
  Consent: WRITES,
  Coverage: WRITES,
};

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
