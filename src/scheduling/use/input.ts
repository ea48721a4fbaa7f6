/** Parameters of scheduling's operations, read. @see https://hl7.org/fhir/R4/parameters.html */
import type { OperationInput } from '../../fhir/operation-parameters.ts';
import { badRequest } from '../../fhir/outcome.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import type { SchedulingParts } from '../parts.ts';

/** `Type/id` of every value. @throws FhirError 400 for one by identifier alone */
export function referencesIn({ engine }: SchedulingParts, input: OperationInput, name: string): string[] {
  return input.references(name).map(({ reference }) => {
    if (reference === undefined) throw badRequest('not-supported', `Parameter ${name} is named by Type/id here.`, name);
    return localReference(reference, engine.baseUrl);
  });
}
