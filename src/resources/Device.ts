/** A manufactured item used in care. @see https://hl7.org/fhir/R4/device.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Device',
  sealed: false,
});
