/** What tests ask of generated Slots: those that the rules want, those that there are, and whether their status is the true one. */
import type { TestKairos } from '../support/kairos.ts';
import { generateAfterChange } from '../../src/scheduling/generate-after-change.ts';
import type { Offer } from '../../src/scheduling/directory.ts';
import { freshDirectory } from '../../src/scheduling/fresh-directory.ts';
import { DAY } from '../../src/scheduling/model/dates.ts';
import { bookable, startsBetween } from '../../src/scheduling/offered.ts';
import { slotId } from '../../src/scheduling/slot-id.ts';

export const partsOf = (kairos: TestKairos) => kairos.scheduling.parts;

export async function rowsOf(kairos: TestKairos, text: string, values: unknown[] = []): Promise<string[][]> {
  const { rows } = await kairos.pool.query<string[]>({ text, values, rowMode: 'array' });
  return rows;
}

async function offersOf(kairos: TestKairos): Promise<readonly Offer[]> {
  const directory = await freshDirectory(partsOf(kairos));
  return directory.entries.flatMap((e) => (e.calendar && e.zone ? e.offers : []));
}

/** Ids of all starts that the rules offer within the horizon, by the days of the model, which generation does not use. */
export async function wantedIds(kairos: TestKairos): Promise<string[]> {
  const now = kairos.engine.clock.now();
  return (await offersOf(kairos))
    .flatMap((offer) => {
      const { earliest, latest } = bookable(offer, 'staff', now);
      const end = Math.min(latest, now + 100 * DAY);
      return startsBetween(offer, earliest, end).map(({ start }) =>
        slotId(offer.entry.reference, offer.serviceReference, start),
      );
    })
    .sort();
}

/** Ids of future Slots that were generated, but for those that somebody has and that are not offered any more. */
export async function storedIds(kairos: TestKairos): Promise<string[]> {
  const now = new Date(kairos.engine.clock.now()).toISOString();
  const rows = await rowsOf(
    kairos,
    `select s.id from slot s left join scheduling_slot x on x.slot = s.id
     where s.start >= $1 and 'generated' = any (s._tag) and x.withdrawn is not true order by 1`,
    [now],
  );
  return rows.map(([id]) => id ?? '');
}

/** Slots whose status is not the true one, or whose text or history says something else than their row. */
export async function untrue(kairos: TestKairos): Promise<string[][]> {
  const found: string[][] = [];
  for (const { entry, serviceReference, parameters, pool } of await offersOf(kairos)) {
    const { before, after, capacity } = parameters;
    found.push(
      ...(await rowsOf(
        kairos,
        `select t.id, t.start, t.status, t.truth from (
           select s.id, s.start, s.status, s.content, s.version, scheduling_truth(s.schedule, $2, tstzrange(s.start, s."end"),
             tstzrange(s.start - make_interval(mins => $4), s."end" + make_interval(mins => $5)), $3::uuid[], coalesce(x.capacity, $6)::int, $7::uuid[]) as truth
           from slot s left join scheduling_slot x on x.slot = s.id
           where s.schedule = $1 and coalesce(s.service[1], '') = coalesce($2, '') and s.start > now() and s.status <> 'entered-in-error'
             and not exists (select from scheduling_time t where t.slot = s.id)) t
         where t.status <> t.truth or t.content::json->>'status' <> t.status or (t.content::json->'meta'->>'versionId')::int <> t.version`,
        [
          entry.reference,
          serviceReference ?? null,
          entry.actors.map((a) => a.key),
          before,
          after,
          capacity,
          pool.map((a) => a.key),
        ],
      )),
    );
  }
  return found;
}

/** Everything about generated Slots that a run which changes nothing must leave alone; `xmin` is the transaction that wrote the row. */
export async function snapshot(kairos: TestKairos): Promise<string> {
  const slots = await rowsOf(kairos, 'select id, version, xmin, content, status from slot order by id');
  const others = await rowsOf(kairos, 'select (select count(*) from slot_history), (select count(*) from outbox)');
  return JSON.stringify([slots, others]);
}

/** Does what the outbox asks of the job, as the relay and the queue would. @returns what each message said */
export async function generateAsAsked(kairos: TestKairos): Promise<Record<string, string[]>[]> {
  const rows = await rowsOf(
    kairos,
    `update outbox set status = 'done' where topic = 'generate-slots' and status = 'pending' returning payload::text`,
  );
  const asked = rows.map(([payload]) => JSON.parse(payload ?? '{}') as Record<string, string[]>);
  for (const { changed = [], released = [] } of asked) await generateAfterChange(partsOf(kairos), changed, released);
  return asked;
}

/** How the Slots that there are differ from those that the rules want; empty when they do not. */
export async function mismatch(kairos: TestKairos): Promise<string[]> {
  const [wanted, stored] = [new Set(await wantedIds(kairos)), new Set(await storedIds(kairos))];
  const described = async (ids: ReadonlySet<string>): Promise<string[]> =>
    (
      await rowsOf(kairos, `select schedule || ' ' || start || ' ' || status from slot where id = any($1) limit 5`, [
        [...ids],
      ])
    ).flat();
  const extra = stored.difference(wanted);
  const missing = wanted.difference(stored);
  return [
    ...(extra.size > 0 ? [`${extra.size} too many`, ...(await described(extra))] : []),
    ...(missing.size > 0 ? [`${missing.size} too few`] : []),
  ];
}
