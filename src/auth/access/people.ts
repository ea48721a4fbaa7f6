/** Whom a person may open an app for: themselves, those they are related to; who works here finds any patient. */
import type { Bundle, Patient } from '@medplum/fhirtypes';
import { grantAll, type Access } from '../../fhir/access.ts';
import type { RequestContext } from '../../fhir/context.ts';
import { search } from '../../fhir/search/search.ts';
import { newId } from '../../platform/id.ts';
import type { AuthParts } from '../parts.ts';
import { isWorkforce, mayActFor as actsFor, relationsOf, rightsOf, type Acting } from './acts-for.ts';
import { readingAccess } from './reading-access.ts';

export interface PatientChoice {
  /** `Patient/1` */
  readonly reference: string;
  readonly name: string;
  /** As FHIR writes it: perhaps a year alone. */
  readonly birthDate?: string;
  /** `any`: found by whoever works here. */
  readonly relation: 'self' | 'related' | 'any';
}

type Parts = Pick<AuthParts, 'engine'>;

const SYSTEM = grantAll({ kind: 'system', name: 'identity' });
export const MOST_FOUND = 20;

const idOf = (patient: string): string => (patient.startsWith('Patient/') ? patient.slice('Patient/'.length) : patient);

/** The name in use, as a line. */
function nameOf({ name = [], id }: Patient): string {
  const rank = ['official', 'usual'];
  const [best] = [...name]
    .filter((n) => n.use !== 'old')
    .sort((a, b) => Number(!rank.includes(a.use ?? '')) - Number(!rank.includes(b.use ?? '')));
  const line = best?.text ?? [...(best?.given ?? []), best?.family].filter((part) => part !== undefined).join(' ');
  return line === '' ? `Patient/${id ?? ''}` : line;
}

const choiceOf = (patient: Patient, relation: PatientChoice['relation']): PatientChoice => ({
  reference: `Patient/${patient.id ?? ''}`,
  name: nameOf(patient),
  ...(patient.birthDate === undefined ? {} : { birthDate: patient.birthDate }),
  relation,
});

async function readPatient({ engine }: Parts, id: string): Promise<Patient | undefined> {
  const version = await engine.repository.read('Patient', id, SYSTEM.to('read'));
  return version?.content === undefined ? undefined : (JSON.parse(version.content) as Patient);
}

/** How a patient is shown. @param patient `Patient/1`, or its id @returns undefined when there is none */
export async function patientChoice(parts: Parts, patient: string): Promise<PatientChoice | undefined> {
  const found = await readPatient(parts, idOf(patient));
  return found && choiceOf(found, 'any');
}

/** Name of a patient; the id where there is none. @param patient `Patient/1`, or its id */
export async function patientName(parts: Parts, patient: string): Promise<string> {
  return (await patientChoice(parts, patient))?.name ?? `Patient/${idOf(patient)}`;
}

const DATE = /^\d{4}-\d{2}-\d{2}$/;

/** What was typed as search parameters: a date is the birth date, what has a digit or a bar an identifier, all else names. */
function searchOf(query: string): (readonly [string, string])[] {
  const escaped = (text: string): string => text.replace(/[\\,$]/g, (c) => `\\${c}`);
  return query
    .split(/\s+/)
    .filter((word) => word !== '')
    .slice(0, 8)
    .map((word): readonly [string, string] =>
      DATE.test(word)
        ? ['birthdate', word]
        : /[\d|]/.test(word)
          ? ['identifier', escaped(word)]
          : ['name', escaped(word.replaceAll('|', ''))],
    );
}

/** Patients that match what was typed, of those that they may see. */
async function findPatients({ engine }: Parts, access: Access, query: string): Promise<readonly Patient[]> {
  const criteria = searchOf(query);
  if (criteria.length === 0) return [];
  const ctx: RequestContext = {
    requestId: newId(),
    access,
    clock: engine.clock,
    baseUrl: engine.baseUrl,
    emit: () => undefined,
  };
  const asked = [...criteria, ['_count', String(MOST_FOUND)], ['_total', 'none']] as const;
  const { body } = await search(engine, ctx, { type: 'Patient' }, asked, { strict: false });
  return ((JSON.parse(body) as Bundle).entry ?? []).flatMap(({ resource }) =>
    resource?.resourceType === 'Patient' ? [resource] : [],
  );
}

/**
 * For whom the account may open an app. @param query what was typed: name, identifier, birth date; only who works here searches
 * @throws FhirError 400 when what was typed cannot be searched for
 */
export async function patientsFor(parts: Parts, account: Acting, query?: string): Promise<readonly PatientChoice[]> {
  if (isWorkforce(account) && query !== undefined && query.trim() !== '') {
    const { rights } = await rightsOf(parts.engine, account);
    const found = await findPatients(parts, readingAccess(parts.engine, account, rights), query);
    return found.map((patient) => choiceOf(patient, 'any'));
  }
  const { patients } = await relationsOf(parts.engine, account.profiles);
  const found = await Promise.all(
    patients.map(async ({ patient, relation }) => {
      const resource = await readPatient(parts, patient);
      return resource ? [choiceOf(resource, relation)] : [];
    }),
  );
  return found.flat();
}

/** Whether the account may act for the patient, who must exist. @param patient `Patient/1` */
export async function mayActFor(parts: Parts, account: Acting, patient: string): Promise<boolean> {
  const [, id] = /^Patient\/([A-Za-z0-9.-]{1,64})$/.exec(patient) ?? [];
  if (id === undefined || !(await readPatient(parts, id))) return false;
  return actsFor(parts, account, id);
}
