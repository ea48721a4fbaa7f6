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
import { person, worksHere, type Person } from './person.ts';
import type { PolicyRole } from './policy.ts';
import { readingAccess } from './reading-access.ts';
import { STANDING_MS, standingOf } from './standing.ts';

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

/** What of the table the roles of an account are. Who is staff of no kind sits at the front desk. */
export function policyRoles({ roles, staffKinds }: Pick<Account, 'roles' | 'staffKinds'>): readonly PolicyRole[] {
  const found: PolicyRole[] = [];
  for (const role of ['patient', 'physician', 'admin', 'privacy-officer'] as const)
    if (roles.includes(role)) found.push(role);
  if (!roles.includes('staff')) return found;
  return [...found, ...(staffKinds.length === 0 ? (['front-desk'] as const) : staffKinds)];
}

/** They work here. */
export const isWorkforce = ({ roles }: Pick<Account, 'roles'>): boolean => roles.some((role) => role !== 'patient');

/** An account, as far as access goes. */
export type Acting = Pick<Account, 'roles' | 'staffKinds' | 'profiles'>;

/** What an account has a right to, and until when that holds. @param charts ids of patients whose chart an EHR has opened for it, in this session */
export async function rightsOf(
  engine: Engine,
  account: Acting,
  charts: readonly string[] = [],
): Promise<{ readonly rights: Person; readonly until: number }> {
  const roles = policyRoles(account);
  const isPhysician = roles.includes('physician');
  const [relations, standing] = await Promise.all([
    roles.includes('patient') ? relationsOf(engine, account.profiles) : undefined,
    isPhysician ? standingOf(engine, account.profiles) : undefined,
  ]);
  const patients = (relations?.patients ?? []).map((p) => p.patient).sort();
  const relatives = relations ? account.profiles.filter((p) => p.startsWith('RelatedPerson/')).sort() : [];
  return {
    rights: person(roles, { patients, relatives, charts, ...standing }),
    until: Math.min(relations?.until ?? Infinity, isPhysician ? engine.clock.now() + STANDING_MS : Infinity),
  };
}

/** Whether an account may, now, act for a patient. @param patient id; undefined: nobody is meant */
export async function mayActFor(
  { engine }: { readonly engine: Engine },
  account: Acting,
  patient: string | undefined,
): Promise<boolean> {
  if (patient === undefined) return true;
  const { rights } = await rightsOf(engine, account);
  if (rights.patients.includes(patient)) return true;
  if (!worksHere(rights)) return false;
  const access = readingAccess(engine, account, rights);
  return (await engine.repository.existing([`Patient/${patient}`], access.to('read'))).size > 0;
}
