/** A record of an access; read-only to clients, its rows live in a hand-made relation. @see https://hl7.org/fhir/R4/auditevent.html */
import { READ_ONLY, defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'AuditEvent',
  sealed: { plain: [] },
  interactions: READ_ONLY,
  storage: 'relation',
});
