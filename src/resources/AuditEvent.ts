/** A record of an access; read-only to clients, made of the compact rows of the record (docs/audit.md). @see https://hl7.org/fhir/R4/auditevent.html */
import { READ_ONLY, defineResource } from '../fhir/resource.ts';
import type { Withheld } from '../fhir/store/withheld.ts';

/** Queries of others may name whom the reader knows nothing of. */
const QUERIES: Withheld = {
  mark: '"query"',
  remove(event) {
    const { entity } = event;
    if (Array.isArray(entity)) for (const each of entity as Record<string, unknown>[]) delete each['query'];
  },
};

const READ_WHOLE: ReadonlySet<string> = new Set(['admin', 'privacy-officer']);

export default defineResource({
  type: 'AuditEvent',
  // Names nobody: its rows hold pseudonymous ids, and seal the one text that may say more, the query.
  sealed: false,
  interactions: READ_ONLY,
  storage: 'relation',
  withheld: ({ kind, roles = [] }) => (kind === 'system' || roles.some((r) => READ_WHOLE.has(r)) ? [] : [QUERIES]),
});
