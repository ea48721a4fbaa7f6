/** Through which door somebody comes, as the rules of a clinic tell them apart: as a patient, or as one who works there. */
import type { Principal } from '../fhir/access.ts';
import type { Channel } from './model/rules.ts';

const WORKFORCE: ReadonlySet<string> = new Set(['physician', 'staff', 'admin']);

/** The installation itself, and systems that act for it, count as staff. */
export const channelOf = ({ kind, roles = [] }: Principal): Channel =>
  kind === 'system' || roles.some((r) => WORKFORCE.has(r)) ? 'staff' : 'patient';

/** For whom a patient's app was opened: whom it means when it names nobody. */
export const patientMeant = (principal: Principal): string | undefined =>
  channelOf(principal) === 'patient' ? principal.patient : undefined;
