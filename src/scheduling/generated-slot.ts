/**
 * The Slot that a start of an offer becomes, and its text as a pattern: a thousand Slots of an offer differ in six places only, so the database puts
 * them together itself.
 * @see https://hl7.org/fhir/R4/slot.html
 */
import type { HealthcareService, Schedule, Slot } from '@medplum/fhirtypes';
import type { Engine } from '../fhir/engine.ts';
import { stringify } from '../fhir/json.ts';
import { extract } from '../fhir/search/columns.ts';
import type { Offer } from './directory.ts';
import { GENERATED, SLOT_ORIGIN, SLOT_SERVICE } from './urls.ts';

/** @param start with the offset of the place, as `end` */
export function generatedSlot(
  schedule: Schedule,
  service: HealthcareService | undefined,
  id: string,
  start: string,
  end: string,
): Slot {
  const { serviceCategory, serviceType, specialty } = service
    ? { serviceCategory: service.category, serviceType: service.type, specialty: service.specialty }
    : schedule;
  return {
    resourceType: 'Slot',
    id,
    meta: { tag: [{ system: SLOT_ORIGIN, code: GENERATED }] },
    ...(service
      ? {
          extension: [{ url: SLOT_SERVICE, valueReference: { reference: `HealthcareService/${service.id ?? ''}` } }],
        }
      : {}),
    ...(serviceCategory ? { serviceCategory } : {}),
    ...(serviceType ? { serviceType } : {}),
    ...(specialty ? { specialty } : {}),
    schedule: { reference: `Schedule/${schedule.id ?? ''}` },
    status: 'free',
    start,
    end,
  };
}

export interface SlotPattern {
  /** Seven pieces of text; between them stand id, version, time of change, status, start and end. */
  readonly pieces: readonly [string, string, string, string, string, string, string];
  /** Values of the columns of search, in their order; those of start, end and status are not meant. */
  readonly columns: readonly (string | null)[];
}

const PLACE = '%';
const SOME_TIME = '2000-01-01T00:00:00Z';

export function slotPattern(engine: Pick<Engine, 'definitions' | 'blind' | 'baseUrl'>, offer: Offer): SlotPattern {
  const { schedule } = offer.entry;
  const { resourceType, id, meta, ...rest } = generatedSlot(schedule, offer.service, PLACE, PLACE, PLACE);
  const sample = {
    resourceType,
    id,
    meta: { versionId: PLACE, lastUpdated: PLACE, ...meta },
    ...rest,
    status: PLACE,
  };
  const text = stringify(sample);
  // The first three places come before anything that a clinic has written, the last three after it.
  const quoted = `"${PLACE}"`;
  const cuts: number[] = [];
  for (let i = 0, at = -1; i < 3; i++) cuts.push((at = text.indexOf(quoted, at + 1)));
  for (let i = 0, at = text.length; i < 3; i++) cuts.splice(3, 0, (at = text.lastIndexOf(quoted, at - 1)));
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = cuts;
  const piece = (after: number, before: number): string => text.slice(after + 2, before + 1);
  return {
    pieces: [text.slice(0, a + 1), piece(a, b), piece(b, c), piece(c, d), piece(d, e), piece(e, f), text.slice(f + 2)],
    columns: extract(
      engine,
      'Slot',
      { ...rest, resourceType, id, meta, start: SOME_TIME, end: SOME_TIME },
      engine.baseUrl,
    ),
  };
}

/** Whether a stored Slot says what the pattern says, whatever its version and status. */
export function matches(pattern: SlotPattern, stored: string, id: string, start: string, end: string): boolean {
  const [p0, p1, p2, p3, p4, p5, p6] = pattern.pieces;
  const head = p0 + id + p1;
  if (!stored.startsWith(head)) return false;
  const time = stored.indexOf(p2, head.length);
  const rest = time < 0 ? -1 : stored.indexOf(p3, time + p2.length);
  if (rest < 0) return false;
  const status = rest + p3.length;
  const tail = stored.slice(stored.indexOf('"', status));
  const wanted = p4 + start + p5 + end + p6;
  return tail === wanted || tail === `${wanted.slice(0, -1)},"overbooked":true}`;
}
