/** Technical details of a service. @see https://hl7.org/fhir/R4/endpoint.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Endpoint',
  sealed: false,
});
