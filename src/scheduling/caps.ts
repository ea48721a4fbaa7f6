/** How many visits a day, week or month may have: of a provider, a service, a patient, or of patients who have not been there before. */
import { sql } from '../platform/database/sql.ts';
import type { Actor } from './actor.ts';
import type { Offer } from './directory.ts';
import type { FreeStart } from './find.ts';
import { capPeriod } from './model/policy.ts';
import type { Cap } from './model/rules.ts';
import type { Source } from './state.ts';

/** One cap of one period, as `scheduling_apply` counts it. */
export interface CapRow {
  /** Equal for those who count the same. */
  readonly key: string;
  readonly of: Cap['of'];
  readonly practitioner: string | null;
  readonly service: string | null;
  readonly patient: string | null;
  readonly from: string;
  readonly upto: string;
  readonly most: number;
}

/** The caps that a visit counts for. @param patients `Patient/1` */
export function capRows(offer: Offer, start: number, patients: readonly string[]): CapRow[] {
  const { zone, actors, reference } = offer.entry;
  if (!zone || offer.parameters.caps.length === 0) return [];
  const practitioner = actors.find((a) => a.reference.startsWith('Practitioner/'))?.reference ?? null;
  const service = offer.serviceReference ?? null;
  return offer.parameters.caps.flatMap((cap) => {
    const { start: from, end: upto } = capPeriod(cap, start, zone, offer.parameters.weekStart ?? 'mon');
    // A provider's visits are all of theirs; where there is no service, the Schedule's practitioner stands for it.
    const counted = cap.of === 'provider' ? null : service;
    const row = (patient: string | null, who: string | null): CapRow => ({
      key: [cap.of, cap.per, who ?? '', counted ?? (cap.of === 'provider' ? '' : reference), patient ?? '', from].join(
        ' ',
      ),
      of: cap.of,
      practitioner: who,
      service: counted,
      patient,
      from: new Date(from).toISOString(),
      upto: new Date(upto).toISOString(),
      most: cap.limit,
    });
    if (cap.of === 'patient') return patients.map((p) => row(p, null));
    return [row(null, cap.of === 'service' && service !== null ? null : practitioner)];
  });
}

/** Since when somebody of the patients has been with each practitioner, by whom they are new no more: ms. */
async function firstVisits(
  { repository }: Source,
  rows: Iterable<CapRow>,
  patients: readonly string[],
): Promise<ReadonlyMap<string | null, number>> {
  const whom = new Set([...rows].flatMap((row) => (row.of === 'new-patient' ? [row.practitioner] : [])));
  const found = new Map<string | null, number>();
  if (patients.length === 0) return found;
  for (const practitioner of whom) {
    const [[first] = []] = await repository.query(
      sql`select (extract(epoch from min(e.date)) * 1000)::int8 from appointment e where e.patient && ${patients}::text[]
          and (${practitioner}::text is null or e.practitioner @> array[${practitioner}::text]) and e.status in ('booked', 'arrived', 'checked-in', 'fulfilled')`,
    );
    if (first !== null && first !== undefined) found.set(practitioner, Number(first));
  }
  return found;
}

/** Without the starts at which one more visit would exceed a cap. Whether a patient is new is known only when there is one. */
export async function capsLeft(
  source: Source,
  starts: readonly FreeStart[],
  { also }: { readonly also: readonly Actor[] },
): Promise<readonly FreeStart[]> {
  if (starts.every((s) => s.offer.parameters.caps.length === 0)) return starts;
  const patients = also.map((a) => a.reference);
  const rows = new Map<string, CapRow>();
  const each = starts.map((s) => {
    const mine = capRows(s.offer, s.start, patients);
    for (const row of mine) rows.set(row.key, row);
    return mine;
  });
  const counted = await source.repository.query(
    sql`select c.key, scheduling_count(c.of, c.practitioner, c.service, c.patient, c.from, c.upto)::text
        from json_to_recordset(${JSON.stringify([...rows.values()])}::json)
          c("key" text, "of" text, "practitioner" text, "service" text, "patient" text, "from" timestamptz, "upto" timestamptz)`,
  );
  const counts = new Map(counted.map(([key, n]) => [String(key), Number(n)]));
  const known = await firstVisits(source, rows.values(), patients);
  const hasRoom = (row: CapRow, start: number): boolean =>
    (counts.get(row.key) ?? 0) < row.most ||
    (row.of === 'new-patient' && (known.get(row.practitioner) ?? Infinity) < start);
  return starts.filter(({ start }, i) => each[i]?.every((row) => hasRoom(row, start)) === true);
}
