/** A record of an access; read-only to clients, made of the compact rows of the record (docs/audit.md). @see https://hl7.org/fhir/R4/auditevent.html */
import { READ_ONLY, defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'AuditEvent',
  // Names nobody: its rows hold pseudonymous ids, and seal the one text that may say more, the query.
  sealed: false,
  interactions: READ_ONLY,
  storage: 'relation',
});
