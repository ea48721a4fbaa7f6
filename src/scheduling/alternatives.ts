/** Other times for who came too late. @see https://profiles.ihe.net/ITI/Scheduling/ITI-115.html */
import type { Appointment } from '@medplum/fhirtypes';
import type { Directory } from './directory.ts';
import { findStarts, type FreeStart } from './find.ts';
import { endOf } from './generation-plan.ts';
import { DAY } from './model/dates.ts';
import { overlaps, type Interval } from './model/interval.ts';
import type { Channel } from './model/rules.ts';
import type { SchedulingParts } from './parts.ts';
import { proposedAppointment } from './proposed.ts';
import { ANYTHING } from './select.ts';
import type { Visit } from './visit.ts';

const COUNT = 3;
/** The nearest are looked for first; a full week is followed by two more. */
const SPANS = [3 * DAY, 21 * DAY];

/** Colleagues whose times are looked through. */
const MOST_COLLEAGUES = 20;

/** The free starts of some offers that are nearest to a visit's. @param but starts of visits that would meet this time are left out @param ignoring an appointment that is there, and not in its own way */
async function nearest(
  parts: SchedulingParts,
  schedules: readonly string[],
  { offer, start = 0, patients }: Visit,
  channel: Channel,
  count: number,
  { but, ignoring }: { readonly but?: Interval; readonly ignoring?: string | undefined } = {},
): Promise<readonly FreeStart[]> {
  if (schedules.length === 0 || count <= 0) return [];
  const services = offer?.serviceReference === undefined ? [] : [offer.serviceReference];
  for (const span of SPANS) {
    const now = parts.engine.clock.now();
    const found = await findStarts(parts, {
      wanted: { ...ANYTHING, schedules, services },
      channel,
      now,
      start: Math.max(now, start - span),
      end: start + span,
      also: patients,
      ...(ignoring === undefined ? {} : { ignoring }),
    });
    const free = found
      .page(0, found.total)
      .filter((s) => !but || !overlaps({ start: s.start, end: endOf(s.offer, s.start) }, but));
    if (free.length < count && span !== SPANS.at(-1)) continue;
    return free.toSorted((a, b) => Math.abs(a.start - start) - Math.abs(b.start - start)).slice(0, count);
  }
  return [];
}

const proposalsOf = ({ proposals }: SchedulingParts, starts: readonly FreeStart[]): readonly Appointment[] =>
  starts
    .toSorted((a, b) => a.start - b.start)
    .map((s) => proposedAppointment(s.offer, s.start, proposals.idOf(s.offer, s.start)));

/** The free starts of the same offer that are nearest to a visit's, as proposals. */
export async function alternativesTo(
  parts: SchedulingParts,
  visit: Visit,
  channel: Channel,
  ignoring?: string,
): Promise<readonly Appointment[]> {
  if (!visit.offer || visit.start === undefined) return [];
  return proposalsOf(parts, await nearest(parts, [visit.offer.entry.reference], visit, channel, COUNT, { ignoring }));
}

/** In place of a visit whose time is given up: other times of the same offer, and where these are too few, times of colleagues at the same place. */
export async function insteadOf(
  parts: SchedulingParts,
  directory: Directory,
  visit: Visit,
  channel: Channel,
): Promise<readonly Appointment[]> {
  const { offer, start, end } = visit;
  if (!offer || start === undefined || end === undefined) return [];
  const own = await nearest(parts, [offer.entry.reference], visit, channel, COUNT, { but: { start, end } });
  const colleagues = directory
    .offering(offer.serviceReference ?? '')
    .filter((e) => e !== offer.entry && e.location?.id === offer.entry.location?.id)
    .slice(0, MOST_COLLEAGUES)
    .map((e) => e.reference);
  const others = await nearest(parts, colleagues, visit, channel, COUNT - own.length);
  return proposalsOf(parts, [...own, ...others]);
}
