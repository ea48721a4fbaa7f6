/** Codes and small shapes that the demo clinic's resources share. */
import type {
  CodeableConcept,
  Coding,
  ContactPoint,
  Identifier,
  Meta,
  Money,
  Reference,
  Resource,
} from '@medplum/fhirtypes';

/** Base of the identifiers and codes that are our own. */
const OWN = 'https://kairos.example/fhir';
const US_CORE = 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-';
const SNOMED = 'http://snomed.info/sct';
const HL7 = 'http://terminology.hl7.org/CodeSystem';

/** On everything that the generator makes: `?_tag=demo` finds it again. */
const DEMO_TAG: Coding = { system: `${OWN}/CodeSystem/data-origin`, code: 'demo', display: 'Demo data' };

/** Standard extension for the time zone of a place. @see https://hl7.org/fhir/R4/extension-timezone.html */
export const TIMEZONE_EXTENSION = 'http://hl7.org/fhir/StructureDefinition/timezone';

/** @param usCore name of the US Core profile that the resource follows */
export const meta = (usCore?: string): Meta => ({
  ...(usCore ? { profile: [US_CORE + usCore] } : {}),
  tag: [DEMO_TAG],
});

export const concept = (system: string, code: string, display: string): CodeableConcept => ({
  coding: [{ system, code, display }],
});
export const snomed = (code: string, display: string): CodeableConcept => concept(SNOMED, code, display);
/** A code of one of HL7's own code systems, named by the last part of its URL. */
export const hl7 = (system: string, code: string, display: string): CodeableConcept =>
  concept(`${HL7}/${system}`, code, display);

export const identifier = (kind: string, value: string, type?: CodeableConcept): Identifier => ({
  ...(type ? { type } : {}),
  system: `${OWN}/identifier/${kind}`,
  value,
});

export const reference = <T extends Resource = Resource>(
  resource: T & { id?: string },
  display?: string,
): Reference<T> => ({
  reference: `${resource.resourceType}/${resource.id}`,
  ...(display ? { display } : {}),
});

/** A number of the range kept for fiction. */
export const phone = (areaCode: string, n: number, use: 'home' | 'work' | 'mobile'): ContactPoint => ({
  system: 'phone',
  value: `+1 ${areaCode} 555 01${String(n % 100).padStart(2, '0')}`,
  use,
});

export const dollars = (value: number): Money => ({ value, currency: 'USD' });

export const twoDigits = (n: number): string => String(n).padStart(2, '0');

/** Without accents, lower case, letters only: for e-mail addresses. */
export const ascii = (text: string): string =>
  text
    .normalize('NFD')
    .replaceAll('ł', 'l')
    .replaceAll('ø', 'o')
    .replaceAll('đ', 'd')
    .replaceAll('ı', 'i')
    .replaceAll('ß', 'ss')
    .toLowerCase()
    .replace(/[^a-z]/g, '');
