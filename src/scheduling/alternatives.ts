/** Other times for who came too late. @see https://profiles.ihe.net/ITI/Scheduling/ITI-115.html */
import type { Appointment } from '@medplum/fhirtypes';
import { findStarts } from './find.ts';
import { DAY } from './model/dates.ts';
import type { Channel } from './model/rules.ts';
import type { SchedulingParts } from './parts.ts';
import { proposedAppointment } from './proposed.ts';
import { ANYTHING } from './select.ts';
import type { Visit } from './visit.ts';

const COUNT = 3;
/** The nearest are looked for first; a full week is followed by two more. */
const SPANS = [3 * DAY, 21 * DAY];

/** The free starts of the same offer that are nearest to a visit's, as proposals. @param ignoring an appointment that is there, and not in its own way */
export async function alternativesTo(
  parts: SchedulingParts,
  { offer, start, patients }: Visit,
  channel: Channel,
  ignoring?: string,
): Promise<readonly Appointment[]> {
  if (!offer || start === undefined) return [];
  const { engine, proposals } = parts;
  const wanted = {
    ...ANYTHING,
    schedules: [offer.entry.reference],
    services: offer.serviceReference === undefined ? [] : [offer.serviceReference],
  };
  for (const span of SPANS) {
    const now = engine.clock.now();
    const found = await findStarts(parts, {
      wanted,
      channel,
      now,
      start: Math.max(now, start - span),
      end: start + span,
      also: patients,
      ...(ignoring === undefined ? {} : { ignoring }),
    });
    if (found.total < COUNT && span !== SPANS.at(-1)) continue;
    return found
      .page(0, found.total)
      .toSorted((a, b) => Math.abs(a.start - start) - Math.abs(b.start - start))
      .slice(0, COUNT)
      .sort((a, b) => a.start - b.start)
      .map((s) => proposedAppointment(s.offer, s.start, proposals.idOf(s.offer, s.start)));
  }
  return [];
}
