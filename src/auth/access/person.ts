/** What somebody who acts has a right to, before scopes. */
import type { PolicyRole } from './policy.ts';

/** Whom a person is, and for whom they act. */
export interface Person {
  readonly kind: 'person';
  readonly roles: ReadonlySet<PolicyRole>;
  /** Ids of the patients that they may act for. */
  readonly patients: readonly string[];
  /** `RelatedPerson/1`: themselves. */
  readonly relatives: readonly string[];
  /** `Practitioner/1`, `PractitionerRole/2`: themselves. */
  readonly practitioners: readonly string[];
  /** `Schedule/1`: theirs. */
  readonly schedules: readonly string[];
  /** `Patient/1`: patients seen, when this was made; SQL asks for those seen when it runs. */
  readonly seen: ReadonlySet<string>;
  /** Ids of patients whose chart an EHR has opened here for them, in this session. */
  readonly charts: readonly string[];
}

export type Rights = { readonly kind: 'system' } | Person;

export const SYSTEM_RIGHTS: Rights = { kind: 'system' };

const NOBODY: ReadonlySet<string> = new Set();

/** A person of whom this is known. */
export const person = (roles: readonly PolicyRole[], more: Partial<Omit<Person, 'kind' | 'roles'>> = {}): Person => ({
  kind: 'person',
  roles: new Set(roles),
  patients: [],
  relatives: [],
  practitioners: [],
  schedules: [],
  seen: NOBODY,
  charts: [],
  ...more,
});

/** Equal texts: the same rows. Whom they have seen is the database's to say. */
export const rightsText = (rights: Rights): string =>
  rights.kind === 'system'
    ? 'system'
    : JSON.stringify([
        [...rights.roles].sort(),
        rights.patients,
        rights.relatives,
        rights.practitioners,
        rights.schedules,
        rights.charts,
      ]);

/** They see more than what is theirs. */
export const worksHere = ({ roles }: Person): boolean =>
  roles.difference(new Set<PolicyRole>(['patient', 'anonymous'])).size > 0;
