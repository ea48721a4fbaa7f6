/**
 * Whom a resource is about: the patients in whose compartments it lies.
 * @see https://hl7.org/fhir/R4/compartmentdefinition-patient.html
 */
import type { Engine } from '../fhir/engine.ts';
import { compartmentParams } from '../fhir/search/compartment.ts';
import { localReference } from '../fhir/search/type/reference.ts';
import { asObject, asString, eachValue } from '../fhir/search/values.ts';

export type Definitions = Pick<Engine, 'definitions' | 'baseUrl'>;

const PATIENT = 'Patient/';

/** `Patient/1` of every compartment that the resource is in. */
export function patientsOf(engine: Definitions, type: string, id: string, resource: unknown): readonly string[] {
  const found = new Set<string>(type === 'Patient' ? [`${PATIENT}${id}`] : []);
  for (const param of compartmentParams(engine, 'Patient', type) ?? []) {
    eachValue(resource, param, (value) => {
      const local = localReference(asString(asObject(value)?.['reference']) ?? '', engine.baseUrl);
      if (local.startsWith(PATIENT)) found.add(local);
    });
  }
  return [...found];
}

/** Whether resources of the type ever lie in the compartment of a patient. */
export const isPersonal = (engine: Pick<Engine, 'definitions'>, type: string): boolean =>
  type === 'Patient' || (compartmentParams(engine, 'Patient', type)?.length ?? 0) > 0;

/** The same from a resource's text, which is parsed only where it names a patient. */
export function patientsIn(engine: Definitions, type: string, id: string, text: string): readonly string[] {
  if (type === 'Patient' && !text.includes('"link"')) return [`${PATIENT}${id}`];
  if (!text.includes(PATIENT) && type !== 'Patient') return [];
  return isPersonal(engine, type) ? patientsOf(engine, type, id, JSON.parse(text)) : [];
}
