/**
 * For whom an account may act: itself, by its own Patient profiles, and patients whose RelatedPerson it is, while that relation lasts.
 * @see https://hl7.org/fhir/R4/relatedperson-definitions.html#RelatedPerson.period
 */
import type { RelatedPerson } from '@medplum/fhirtypes';
import { grantAll } from '../../fhir/access.ts';
import type { Engine } from '../../fhir/engine.ts';
import { parseMoment } from '../../fhir/search/moment.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import type { Account } from '../accounts/account.ts';
import { ALL_ROWS } from './policy.ts';
import type { Rights } from './rights.ts';

/** Looks at relations on behalf of the installation: whom they concern is not known before. */
const SYSTEM = grantAll({ kind: 'system', name: 'identity' });

export interface ActsFor {
  /** Id of the patient. */
  readonly patient: string;
  readonly relation: 'self' | 'related';
}

export interface Relations {
  readonly patients: readonly ActsFor[];
  /** When one of the relations begins or ends by its period, in ms since the epoch. */
  readonly until: number;
}

const PATIENT = /^Patient\/([A-Za-z0-9.-]{1,64})$/;

/** The patient that a RelatedPerson speaks for now, and until when that holds. */
function related(
  engine: Engine,
  person: RelatedPerson,
  nowMs: number,
): { readonly patient: string | undefined; readonly until: number } {
  const begins = person.period?.start === undefined ? -Infinity : (parseMoment(person.period.start)?.low ?? Infinity);
  // An end that is a day includes the day.
  const ends = person.period?.end === undefined ? Infinity : (parseMoment(person.period.end)?.high ?? -Infinity);
  const until = nowMs < begins ? begins : nowMs < ends ? ends : Infinity;
  if (person.active === false || nowMs < begins || nowMs >= ends) return { patient: undefined, until };
  return { patient: PATIENT.exec(localReference(person.patient.reference ?? '', engine.baseUrl))?.[1], until };
}

/** @param profiles `Patient/1`, `RelatedPerson/2`, `Practitioner/3` */
export async function relationsOf(engine: Engine, profiles: readonly string[]): Promise<Relations> {
  const nowMs = engine.clock.now();
  const found = new Map<string, ActsFor>();
  let until = Infinity;
  const idsOf = (type: string): string[] =>
    profiles.filter((p) => p.startsWith(`${type}/`)).map((p) => p.slice(type.length + 1));
  for (const patient of idsOf('Patient')) found.set(patient, { patient, relation: 'self' });
  for (const id of idsOf('RelatedPerson')) {
    const version = await engine.repository.read('RelatedPerson', id, SYSTEM.to('read'));
    if (version?.content === undefined) continue;
    const relation = related(engine, JSON.parse(version.content) as RelatedPerson, nowMs);
    until = Math.min(until, relation.until);
    const { patient } = relation;
    if (patient !== undefined && !found.has(patient)) found.set(patient, { patient, relation: 'related' });
  }
  return { patients: [...found.values()], until };
}

export const isWorkforce = ({ roles }: Pick<Account, 'roles'>): boolean => roles.some((role) => ALL_ROWS.has(role));

/** Whether an account may, now, act for a patient. @param patient id; undefined: nobody is meant */
export async function mayActFor(
  { engine }: { readonly engine: Engine },
  account: Pick<Account, 'roles' | 'profiles'>,
  patient: string | undefined,
): Promise<boolean> {
  if (patient === undefined) return true;
  const { rights } = await rightsOf(engine, account);
  return rights.kind !== 'patients' || rights.patients.includes(patient);
}

/** What an account has a right to, and until when that holds. */
export async function rightsOf(
  engine: Engine,
  account: { readonly roles: readonly string[]; readonly profiles: readonly string[] },
): Promise<{ readonly rights: Rights; readonly until: number }> {
  if (account.roles.some((role) => ALL_ROWS.has(role))) return { rights: { kind: 'workforce' }, until: Infinity };
  if (!account.roles.includes('patient')) return { rights: { kind: 'patients', patients: [] }, until: Infinity };
  const { patients, until } = await relationsOf(engine, account.profiles);
  return { rights: { kind: 'patients', patients: patients.map((p) => p.patient).sort() }, until };
}
