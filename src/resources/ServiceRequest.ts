/** An order or referral. @see https://hl7.org/fhir/R4/servicerequest.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'ServiceRequest',
  profiles: ['https://kairos.example/fhir/StructureDefinition/service-request'],
  sealed: { plain: ['status', 'patient', 'subject', 'intent', 'encounter', 'performer', 'requester', 'authored'] },
});
