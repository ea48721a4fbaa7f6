/** Slots are written ahead for a while only; times beyond are asked for by `$find`. @see https://hl7.org/fhir/R4/slot.html */
import type { Issue } from '../fhir/outcome.ts';
import type { Query } from '../fhir/search/contract.ts';
import { DAY } from './model/dates.ts';

const LATER = /^(?:ge|gt|sa|eq)?(\d{4}-\d{2}-\d{2})/;

const adviceOf = (days: number): readonly Issue[] => [
  {
    severity: 'information',
    code: 'incomplete',
    diagnostics: `Free Slots are written ${days} days ahead at most: for later times ask Appointment/$find.`,
    expression: ['start'],
  },
];
const NOTHING: readonly Issue[] = [];

/** What a search for Slots that start later than they are written should know. @param days ahead for which Slots are written, unless a service says less */
export function beyondHorizon(query: Query, now: number, days: number): readonly Issue[] {
  for (const [name, value] of query) {
    if (name !== 'start') continue;
    const date = LATER.exec(value)?.[1];
    if (date !== undefined && Date.parse(date) > now + days * DAY) return adviceOf(days);
  }
  return NOTHING;
}
