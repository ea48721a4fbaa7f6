/**
 * Appointments whose wall-clock time is no longer the one that was promised, because the rules of their zone, or the zone of their place, have changed: they keep
 * their instant until somebody decides.
 * @see https://www.iana.org/time-zones
 */
import type { Appointment, Location, Task } from '@medplum/fhirtypes';
import { grantAll } from '../fhir/access.ts';
import { settle } from '../fhir/interaction/write.ts';
import { conditionsSql, exactConditions } from '../fhir/search/own-condition.ts';
import { meaningOf } from '../fhir/search/run.ts';
import { localReference } from '../fhir/search/type/reference.ts';
import { newId } from '../platform/id.ts';
import { and, sql, type Sql } from '../platform/database/sql.ts';
import type { Directory } from './directory.ts';
import { extensionOf } from './extension.ts';
import { freshDirectory } from './fresh-directory.ts';
import { zoneOf, type Zone } from './model/zone.ts';
import type { SchedulingParts } from './parts.ts';
import { isWrittenIn, localIn, promiseOf, whereIs, type Promised, type Whereabouts } from './promise.ts';
import { readAvailability } from './rules/read-availability.ts';
import { readSlots, slotsOf } from './slots.ts';
import { TIMEZONE } from './urls.ts';

const SYSTEM = grantAll({ kind: 'system', name: 'scheduling' });
const PAGE = 500;

/** A visit to come, and where it is. */
interface Upcoming {
  readonly appointment: Appointment;
  readonly where: Whereabouts;
}

/** A visit that is at another time of day than promised. */
export interface Broken {
  readonly appointment: Appointment;
  readonly promised: Promised;
  readonly now: Promised;
}

/** Live appointments to come, in pages, in the order of their ids. @param which more than those that are wanted do no harm */
async function* upcoming(parts: SchedulingParts, directory: Directory, which: Sql): AsyncGenerator<Upcoming> {
  const { repository, clock, baseUrl } = parts.engine;
  for (let after = ''; ;) {
    const rows = await repository.query(
      sql`select a.id, a.version, a.content from appointment a where a.status in ('pending', 'booked')
          and a.date > ${new Date(clock.now()).toISOString()}::timestamptz and ${which} and a.id > ${after} order by a.id limit ${PAGE}`,
    );
    const page = rows.map(
      ([id, version, content]) =>
        JSON.parse(repository.decode('Appointment', String(id), Number(version), String(content))) as Appointment,
    );
    const slots = await readSlots(
      repository.query,
      page.flatMap((a) => slotsOf(a, baseUrl)),
    );
    for (const appointment of page) yield { appointment, where: whereIs(directory, baseUrl, appointment, slots) };
    if (rows.length < PAGE) return;
    after = String(rows.at(-1)?.[0] ?? '');
  }
}

/** What is not written is taken from the start: it was promised as it was written, where that was by the clock of its place, and else as the place's clock shows it. */
function promises(
  { engine }: SchedulingParts,
  directory: Directory,
): (visit: Upcoming) => Promise<Promised | undefined> {
  const known = new Map<string, Promise<readonly Zone[]>>();
  /** Zones that a place has had, the latest first. */
  const zonesOf = async (place: string): Promise<readonly Zone[]> => {
    const id = place.slice('Location/'.length);
    const versions = await engine.repository.history({ type: 'Location', id, count: PAGE }, SYSTEM.to('read'));
    const names = versions.map(({ content }) =>
      content === undefined ? undefined : extensionOf(JSON.parse(content) as Location, TIMEZONE)?.valueCode,
    );
    return [...new Set(names)].flatMap((name) => zoneOf(name ?? '') ?? []);
  };
  /** With what they are part of, from which they have their zone. */
  const around = ({ entries, places }: Whereabouts): ReadonlySet<string> => {
    const all = new Set([...entries.map((e) => `Location/${e.location?.id ?? ''}`), ...places]);
    for (const place of all) {
      const whole = localReference(directory.location(place)?.partOf?.reference ?? '', engine.baseUrl);
      if (whole.startsWith('Location/')) all.add(whole);
    }
    return all;
  };
  const earlier = async ({ appointment, where }: Upcoming): Promise<Zone | undefined> => {
    for (const place of around(where)) {
      let zones = known.get(place);
      if (!zones) known.set(place, (zones = zonesOf(place)));
      const found = (await zones).find((z) => isWrittenIn(z, appointment.start));
      if (found) return found;
    }
    return undefined;
  };
  return async (visit) => {
    const { appointment, where } = visit;
    const written = promiseOf(appointment);
    if (written || !where.zone || appointment.start === undefined) return written;
    const zone = isWrittenIn(where.zone, appointment.start) ? where.zone : ((await earlier(visit)) ?? where.zone);
    return { local: localIn(zone, Date.parse(appointment.start)), zone: zone.name };
  };
}

function brokenIn({ appointment }: Upcoming, promised: Promised, zone: Zone | undefined): Broken | undefined {
  if (!zone || appointment.start === undefined) return undefined;
  const local = localIn(zone, Date.parse(appointment.start));
  return local === promised.local ? undefined : { appointment, promised, now: { local, zone: zone.name } };
}

/** Visits that are, or would be, at another time of day than promised if a place were in this zone. @param location `Location/1` */
export async function* brokenAt(parts: SchedulingParts, location: string, zone: Zone): AsyncGenerator<Broken> {
  const directory = await freshDirectory(parts);
  const promised = promises(parts, directory);
  const places = new Set(directory.following(location));
  const entries = new Set([...places].flatMap((p) => directory.of(p)));
  const schedules = [...entries].map((e) => e.reference);
  const actors = [...entries].flatMap((e) => e.actors);
  const named = [...places, ...actors.map((a) => a.reference)];
  const which = sql`(a.actor && ${named}::text[]
    or exists (select from occupancy o where o.appointment = a.id and o.actor = any(${actors.map((a) => a.key)}::uuid[]))
    or exists (select from unnest(a.slot) n join slot s on s.id = substr(n, 6) where s.schedule = any(${schedules})))`;
  /** A Schedule with a zone of its own keeps it. */
  const isThere = ({ where }: Upcoming): boolean =>
    where.entries.length > 0
      ? where.entries.some((e) => entries.has(e) && readAvailability(e.schedule)?.zone === undefined)
      : where.places.some((p) => places.has(p));
  for await (const visit of upcoming(parts, directory, which)) {
    const said = isThere(visit) ? await promised(visit) : undefined;
    const broken = said && brokenIn(visit, said, zone);
    if (broken) yield broken;
  }
}

const IDENTIFIER = 'https://kairos.example/fhir/identifier/promised-time';

const taskOf = ({ appointment, promised, now }: Broken, value: string, at: number): Task => ({
  resourceType: 'Task',
  identifier: [{ system: IDENTIFIER, value }],
  status: 'requested',
  intent: 'order',
  description: `The clocks have changed: this visit was promised for ${promised.local} (${promised.zone}), and is at ${now.local} (${now.zone}) now. Move it, or tell the patient.`,
  focus: { reference: `Appointment/${appointment.id ?? ''}` },
  authoredOn: new Date(at).toISOString(),
});

/** Puts a Task for the front desk on the list for each broken promise, once for each start. @returns how many were added */
export async function reviewPromises(parts: SchedulingParts, signal: AbortSignal): Promise<number> {
  const { engine } = parts;
  const directory = await freshDirectory(parts);
  const promised = promises(parts, directory);
  const meaning = meaningOf(engine, engine.clock.now());
  let added = 0;
  for await (const visit of upcoming(parts, directory, sql`true`)) {
    if (signal.aborted) break;
    const said = await promised(visit);
    const broken = said && (brokenIn(visit, said, zoneOf(said.zone)) ?? brokenIn(visit, said, visit.where.zone));
    if (!broken) continue;
    const value = `${visit.appointment.id ?? ''} ${visit.appointment.start ?? ''}`;
    const noted = exactConditions(engine, meaning, 'Task', [['identifier', `${IDENTIFIER}|${value}`]]) ?? [];
    const known = await engine.repository.query(
      sql`select from task t where ${and(conditionsSql(meaning, { type: 'Task', alias: 't' }, noted))} limit 1`,
    );
    if (known.length > 0) continue;
    const now = engine.clock.now();
    const write = settle(engine, taskOf(broken, value, now), {
      id: newId(now),
      version: 1,
      lastUpdated: new Date(now),
      method: 'POST',
    });
    await engine.repository.create(write, SYSTEM.to('create'));
    added++;
  }
  return added;
}
