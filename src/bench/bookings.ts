/**
 * Free starts, each to be booked once: by the server, or by the floor's script, which writes the same rows in one round trip.
 * @see https://profiles.ihe.net/ITI/Scheduling/ITI-117.html
 */
import { Client, type ClientConfig } from 'pg';
import type { Appointment } from '@medplum/fhirtypes';
import type { ColumnSource } from '../fhir/search/blind/blind.ts';
import { columnsOf } from '../fhir/search/columns.ts';
import { BASE_COLUMNS } from '../fhir/store/layout.ts';
import { actorKey } from '../scheduling/actor.ts';
import type { Offer } from '../scheduling/directory.ts';
import { written } from '../scheduling/proposed.ts';
import { calendarId, doctorId, roomId, serviceId, serviceOf, SLOT_MS, type CalendarSize } from './calendars.ts';
import { rowColumns, rowOf } from './load.ts';
import { patientId } from './population.ts';

export interface FreeStart {
  readonly calendar: number;
  readonly slot: string;
  readonly start: number;
}

/** Free ones from tomorrow on, spread over all calendars and days. */
export async function freeStarts(connection: ClientConfig, most: number): Promise<FreeStart[]> {
  const client = new Client(connection);
  await client.connect();
  try {
    const { rows } = await client.query<{ id: string; calendar: string; at: string }>(
      `select id, substr(schedule, length($1) + 1) as calendar, (extract(epoch from start) * 1000)::int8 as at from slot
        where schedule like $1 || '%' and status = 'free' and start > now() + interval '1 day' order by md5(id) limit $2`,
      [`Schedule/${calendarId(0).slice(0, -1)}`, most],
    );
    return rows.map(({ id, calendar, at }) => ({ calendar: Number(calendar), slot: id, start: Number(at) }));
  } finally {
    await client.end();
  }
}

/** Whoever books a start: at no time is a patient in two places. */
export const patientFor = ({ calendar, start }: FreeStart, size: CalendarSize, patients: number): string =>
  patientId((calendar + (start / SLOT_MS) * size.calendars) % patients);

/** Columns of an Appointment's row, but for its id. */
const others = (source: ColumnSource): string[] => rowColumns(source, 'Appointment').filter((c) => c !== 'id');

/** Appointment, occupancy, the Slot with its history, and the events, as one function; the occupancy in a table of its own, whose constraint is the same. */
export async function createBookFunction(owner: ClientConfig, app: ClientConfig, source: ColumnSource) {
  const types = new Map<string, string>([
    ...BASE_COLUMNS,
    ...columnsOf(source, 'Appointment').map((c) => [c.name, c.sqlType] as const),
  ]);
  const columns = ['id', ...others(source)];
  const client = new Client(owner);
  await client.connect();
  try {
    await client.query(`
      create schema if not exists bench;
      drop function if exists bench.book;
      drop table if exists bench.occupancy;
      create table bench.occupancy (like occupancy including all);
      create function bench.book(${columns.map((c, i) => `c${i} ${types.get(c) ?? 'text'}`).join(', ')},
          actors uuid[], starts timestamptz, ends timestamptz, slot_id text) returns void language plpgsql
          set enable_seqscan = off as $$
        declare held int; moved slot; at timestamptz := date_trunc('milliseconds', clock_timestamp());
        begin
          insert into appointment (${columns.map((c) => `"${c}"`).join(', ')}) values (${columns.map((_, i) => `c${i}`).join(', ')});
          insert into bench.occupancy
            select c0, a, '{[65,128)}', tstzrange(starts, ends), false, 1, 1, false, null from unnest(actors) a order by a on conflict do nothing;
          get diagnostics held = row_count;
          if held <> cardinality(actors) then raise exception 'taken' using errcode = 'KB001'; end if;
          with changed as (
            update slot set status = 'busy', version = version + 1, last_updated = at, method = 'PUT',
                content = replace(replace(content, '"status":"free"', '"status":"busy"'), '"versionId":"1"', '"versionId":"2"')
              where id = slot_id and status = 'free' returning old.*)
          insert into slot_history (id, version, last_updated, method, content) select id, version, last_updated, method, content from changed;
          get diagnostics held = row_count;
          if held <> 1 then raise exception 'taken' using errcode = 'KB001'; end if;
          insert into outbox (topic, payload, status) values
            ('event', jsonb_build_object('type', 'Appointment', 'id', c0, 'version', 1), 'done'),
            ('event', jsonb_build_object('type', 'Slot', 'id', slot_id, 'start', starts, 'end', ends, 'status', 'busy'), 'done');
        end $$;
      grant usage on schema bench to ${client.escapeIdentifier(app.user ?? '')};
      grant select, insert on bench.occupancy to ${client.escapeIdentifier(app.user ?? '')}`);
  } finally {
    await client.end();
  }
}

export const bookStatement = (source: ColumnSource): string =>
  `select bench.book(${['id', ...others(source), 'actors', 'starts', 'ends', 'slot'].map((_, i) => `$${i + 1}`).join(', ')})`;

/** An appointment that the server has booked, and the start that it is of. */
export interface Sample {
  readonly appointment: Appointment;
  readonly of: FreeStart;
}

/** Rows like those of an appointment that the server has booked, for other starts. */
export function bookRow(
  source: ColumnSource,
  size: CalendarSize,
  patients: number,
  sample: Sample,
  offerOf: (calendar: number) => Offer,
): (start: FreeStart) => (string | null)[] {
  /** What differs from one start to another, as it stands in the text. */
  const partsOf = (free: FreeStart): string[] => {
    const offer = offerOf(free.calendar);
    const [start, end] = [written(offer, free.start), written(offer, free.start + SLOT_MS)];
    const ids = [doctorId(free.calendar), roomId(free.calendar), serviceId(serviceOf(size, free.calendar))];
    return [
      ...[...ids, patientFor(free, size, patients), free.slot].map((id) => `/${id}"`),
      ...[start, end, start.slice(0, 16)].map((time) => `"${time}"`),
    ];
  };
  const from = partsOf(sample.of);
  const pattern = new RegExp(from.map((part) => part.replaceAll('+', '\\+')).join('|'), 'g');
  const text = JSON.stringify(sample.appointment);
  const at = new Date().toISOString();
  const idAt = rowColumns(source, 'Appointment').indexOf('id');
  return (free) => {
    const to = partsOf(free);
    const like = text.replace(pattern, (part) => to[from.indexOf(part)] ?? part);
    const row = rowOf(source, JSON.parse(like) as Appointment, at).filter((_, i) => i !== idAt);
    const actors = [
      `Practitioner/${doctorId(free.calendar)}`,
      `Location/${roomId(free.calendar)}`,
      `Patient/${patientFor(free, size, patients)}`,
    ];
    const times = [free.start, free.start + SLOT_MS].map((ms) => new Date(ms).toISOString());
    return [...row, `{${actors.map(actorKey).join(',')}}`, ...times, free.slot];
  };
}
