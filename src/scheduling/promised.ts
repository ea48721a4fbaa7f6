/**
 * Appointments whose wall-clock time is no longer the one that was promised, because the rules of their zone, or the zone of their place, have changed: they keep
 * their instant until somebody decides.
 * @see https://www.iana.org/time-zones
 */
import type { Appointment, Task } from '@medplum/fhirtypes';
import { grantAll } from '../fhir/access.ts';
import { settle } from '../fhir/interaction/write.ts';
import { newId } from '../platform/id.ts';
import { sql } from '../platform/database/sql.ts';
import { extensionOf } from './extension.ts';
import { zoneOf } from './model/zone.ts';
import type { SchedulingParts } from './parts.ts';
import { PROMISED_TIME } from './urls.ts';

const SYSTEM = grantAll({ kind: 'system', name: 'scheduling' });
const PAGE = 500;

/** The wall time that was promised, and in which zone. */
function promiseOf(appointment: Appointment): { readonly local: string; readonly zone: string } | undefined {
  const said = extensionOf(appointment, PROMISED_TIME);
  const local = extensionOf(said, 'local')?.valueString;
  const zone = extensionOf(said, 'timezone')?.valueCode;
  return local === undefined || zone === undefined ? undefined : { local, zone };
}

/** @param zone by which it is read now; undefined: by the one of the promise, as its rules are today */
export function isBroken(appointment: Appointment, zone?: string): boolean {
  const promise = promiseOf(appointment);
  const now = promise && zoneOf(zone ?? promise.zone);
  if (!promise || !now || appointment.start === undefined) return false;
  return now.format(Date.parse(appointment.start)).slice(0, 16) !== promise.local;
}

/** Live appointments to come, in pages. @param location only those at this place, `Location/1` */
export async function* upcoming(parts: SchedulingParts, location?: string): AsyncGenerator<Appointment> {
  const { repository, clock } = parts.engine;
  const at = location === undefined ? sql`true` : sql`a.actor @> array[${location}]`;
  for (let after = ''; ;) {
    const rows = await repository.query(
      sql`select a.id from appointment a where a.status in ('pending', 'booked') and a.date > ${new Date(clock.now()).toISOString()}::timestamptz
          and ${at} and a.id > ${after} order by a.id limit ${PAGE}`,
    );
    for (const [id] of rows) {
      const stored = await repository.read('Appointment', String(id), SYSTEM.to('read'));
      if (stored?.content !== undefined) yield JSON.parse(stored.content) as Appointment;
    }
    if (rows.length < PAGE) return;
    after = String(rows.at(-1)?.[0] ?? '');
  }
}

const IDENTIFIER = 'https://kairos.example/fhir/identifier/promised-time';

/** The zone of the place where a visit is, today. */
async function zoneToday(parts: SchedulingParts, appointment: Appointment): Promise<string | undefined> {
  const directory = await parts.directory.current();
  const people = appointment.participant.map((p) => directory.resolve(p.actor?.reference ?? ''));
  const places = new Set(people.filter((p) => p.startsWith('Location/')));
  const entry = people.flatMap((p) => directory.of(p)).find((e) => places.has(`Location/${e.location?.id ?? ''}`));
  return entry?.zone?.name;
}

/** Puts a Task for the front desk on the list for each broken promise, once for each start. @returns how many were added */
export async function reviewPromises(parts: SchedulingParts, signal: AbortSignal): Promise<number> {
  const { engine } = parts;
  let added = 0;
  for await (const appointment of upcoming(parts)) {
    if (signal.aborted) break;
    if (!isBroken(appointment) && !isBroken(appointment, await zoneToday(parts, appointment))) continue;
    const value = `${appointment.id ?? ''} ${appointment.start ?? ''}`;
    const known = await engine.repository.query(
      sql`select from task t where t.identifier @> array[${`${IDENTIFIER}|${value}`}] limit 1`,
    );
    if (known.length > 0) continue;
    const now = engine.clock.now();
    const task: Task = {
      resourceType: 'Task',
      identifier: [{ system: IDENTIFIER, value }],
      status: 'requested',
      intent: 'order',
      description: `The clocks have changed: this visit was promised for ${promiseOf(appointment)?.local ?? ''}, and is at another time of day now. Move it, or tell the patient.`,
      focus: { reference: `Appointment/${appointment.id ?? ''}` },
      authoredOn: new Date(now).toISOString(),
    };
    const write = settle(engine, task, { id: newId(now), version: 1, lastUpdated: new Date(now), method: 'POST' });
    await engine.repository.create(write, SYSTEM.to('create'));
    added++;
  }
  return added;
}
