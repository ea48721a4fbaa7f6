/**
 * Makes the Slots of one offer what its rules say: those that are there are compared with those that are wanted, and what differs is written, a part of
 * the horizon in a transaction. Slots that somebody has stay; those of them that are not offered any more are marked, and go when they are given back.
 * @see https://hl7.org/fhir/R4/slot.html
 */
import { randomUUID } from 'node:crypto';
import type { Transaction } from '../fhir/store/repository.ts';
import { sql } from '../platform/database/sql.ts';
import type { Directory, Offer } from './directory.ts';
import { matches, slotPattern } from './generated-slot.ts';
import { takeTurn } from './generation-turn.ts';
import { endOf, fingerprintOf, horizonOf, startsWithin } from './generation-plan.ts';
import type { Interval } from './model/interval.ts';
import type { Candidate } from './model/starts.ts';
import type { SchedulingParts } from './parts.ts';
import { written } from './proposed.ts';
import type { SecondLooks } from './second-look.ts';
import { slotId } from './slot-id.ts';
import {
  insertSlots,
  keepPeculiar,
  removeSlots,
  rewriteSlots,
  storedSlots,
  truthOfOffer,
  type Peculiar,
  type SlotTarget,
  type StoredSlot,
  type WantedSlot,
} from './write-slots.ts';

/** What is on record of the Slots of an offer. Times in ms. */
export interface Known {
  readonly rules: string;
  readonly upto: number;
  readonly compared: number;
}

/** What a run did, in Slots. */
export interface Generated {
  /** Offers that were looked at. */
  offers: number;
  created: number;
  rewritten: number;
  deleted: number;
  unchanged: number;
  /** Had another status than the true one. */
  settled: number;
}

export interface Run {
  readonly parts: SchedulingParts;
  readonly now: number;
  /** Horizons reach no farther. */
  readonly days: number;
  /** Offers that were last compared before this time are compared, Slot by Slot, though their rules have not changed. */
  readonly comparedBefore: number;
  readonly looks: SecondLooks;
  readonly total: Generated;
  /** Schedules that were not done, since somebody took or gave back a Slot just then. */
  readonly left: Set<string>;
}

const iso = (ms: number): string => new Date(ms).toISOString();
const isHeld = ({ status }: StoredSlot): boolean => status === 'busy' || status === 'busy-tentative';
/** By whoever made a block or an opening of it, or said that it is a mistake. */
const isTheirs = ({ own, status }: StoredSlot): boolean => own || status === 'entered-in-error';

/** Subscribers ask for the free times of a Schedule again. */
async function tellChanged(tx: Transaction, schedule: string): Promise<void> {
  const event = { type: 'Schedule', id: schedule.slice('Schedule/'.length) };
  await tx.execute(
    sql`insert into outbox (topic, payload, status) values ('event', ${JSON.stringify(event)}::jsonb, 'done')`,
  );
}

interface Difference {
  readonly insert: WantedSlot[];
  readonly rewrite: WantedSlot[];
  readonly remove: string[];
  readonly peculiar: Peculiar[];
  unchanged: number;
}

function compare(
  { pattern, offer }: SlotTarget,
  wanted: readonly WantedSlot[],
  stored: readonly StoredSlot[],
): Difference {
  const found: Difference = { insert: [], rewrite: [], remove: [], peculiar: [], unchanged: 0 };
  const left = new Map(stored.map((s) => [s.id, s]));
  for (const slot of wanted) {
    const { id, start, end } = slot;
    const there = left.get(id);
    const capacity = slot.capacity === offer.parameters.capacity ? undefined : slot.capacity;
    left.delete(id);
    if (!there) {
      found.insert.push(slot);
      if (capacity !== undefined) found.peculiar.push({ id, capacity, withdrawn: false });
      continue;
    }
    const same =
      there.content === undefined || matches(pattern, there.content, id, written(offer, start), written(offer, end));
    // One of an old length, say: whoever has it keeps it, and after them it is not offered so.
    const withdrawn = there.content === undefined ? there.withdrawn : !same && isHeld(there);
    if (there.capacity !== capacity || there.withdrawn !== withdrawn) found.peculiar.push({ id, capacity, withdrawn });
    if (same || isHeld(there) || isTheirs(there)) found.unchanged++;
    else found.rewrite.push(slot);
  }
  for (const there of left.values()) {
    const { id, capacity, withdrawn } = there;
    if (isTheirs(there)) continue;
    if (!isHeld(there)) found.remove.push(id);
    else if (!withdrawn) found.peculiar.push({ id, capacity, withdrawn: true });
  }
  return found;
}

function wantedOf(offer: Offer, starts: readonly Candidate[]): WantedSlot[] {
  const { entry, serviceReference } = offer;
  return starts.map(({ start, capacity }) => ({
    id: slotId(entry.reference, serviceReference, start),
    start,
    end: endOf(offer, start),
    capacity,
  }));
}

/** Parts of a horizon, each with the span that it answers for: together these are all time from `since` on. */
function* partsOf(
  offer: Offer,
  horizon: Interval,
  since: number,
): Generator<readonly [readonly Candidate[], Interval]> {
  let from = since;
  let part: readonly Candidate[] = [];
  for (const next of startsWithin(offer, { start: Math.max(horizon.start, since), end: horizon.end })) {
    const boundary = next[0]?.start ?? from;
    if (part.length > 0) {
      yield [part, { start: from, end: boundary }];
      from = boundary;
    }
    part = next;
  }
  yield [part, { start: from, end: Infinity }];
}

/** @param was what is on record @throws RulesChanged */
export async function generateOffer(
  { parts, now, days, comparedBefore, looks, total, left }: Run,
  directory: Directory,
  offer: Offer,
  was: Known | undefined,
): Promise<void> {
  const { engine } = parts;
  const { reference: schedule } = offer.entry;
  const service = offer.serviceReference ?? '';
  const target = { offer, pattern: slotPattern(engine, offer) };
  const rules = fingerprintOf(offer, target.pattern);
  const horizon = horizonOf(offer, now, days);
  const isKept = was?.rules === rules && was.upto <= horizon.end && was.compared >= comparedBefore;
  if (isKept && was.upto === horizon.end) return;
  // Another day, by rules that are the same: nothing else has to be looked at.
  const since = isKept ? Math.max(was.upto, now) : now;
  // Whoever has begun last has the word.
  const token = randomUUID();
  let claimed = was?.rules;
  let complete = true;
  total.offers++;
  for (const [starts, span] of partsOf(offer, horizon, since)) {
    const wanted = wantedOf(offer, starts);
    const done = await engine.repository.transaction('read committed', async (tx) => {
      await takeTurn(tx, schedule, directory.revision);
      const stored = await storedSlots(tx, schedule, service, span, was?.rules !== rules);
      const found = compare(target, wanted, stored);
      const { insert, rewrite, remove, peculiar, unchanged } = found;
      const differs = insert.length + rewrite.length + remove.length + peculiar.length > 0;
      if (!differs) return { differs, unchanged, created: 0, rewritten: 0, deleted: 0, complete: true };
      const at = iso(engine.clock.now());
      await tx.execute(
        sql`insert into scheduling_generated (schedule, service, rules, upto, compared) values (${schedule}, ${service}, ${token}, 'epoch', 'epoch')
            on conflict (schedule, service) do update set rules = excluded.rules`,
      );
      await keepPeculiar(tx, schedule, peculiar);
      const deleted = await removeSlots(tx, remove, at);
      const rewritten = await rewriteSlots(tx, engine, target, rewrite, at);
      const created = await insertSlots(tx, engine, target, insert, at);
      await tellChanged(tx, schedule);
      const whole = deleted === remove.length && rewritten === rewrite.length;
      return { differs, unchanged, created, rewritten, deleted, complete: whole };
    });
    total.unchanged += done.unchanged;
    total.created += done.created;
    total.rewritten += done.rewritten;
    total.deleted += done.deleted;
    complete &&= done.complete;
    if (done.differs) claimed = token;
  }
  if (!complete) left.add(schedule);
  looks.add({
    revision: directory.revision,
    truth: truthOfOffer(offer),
    span: { start: since, end: Infinity },
    // Who began by other rules may restate Slots by them.
    waits: claimed === token || was?.rules !== rules,
    record: complete ? { claimed, rules, upto: horizon.end, compared: isKept ? was.compared : now } : undefined,
  });
}

/** Takes away the Slots of what is not offered any more. @throws RulesChanged */
export async function removeOffer(
  { parts, now, looks, total, left }: Run,
  directory: Directory,
  schedule: string,
  service: string,
): Promise<void> {
  const { engine } = parts;
  const span = { start: now, end: Infinity };
  total.offers++;
  total.deleted += await engine.repository.transaction('read committed', async (tx) => {
    await takeTurn(tx, schedule, directory.revision);
    const ours = (await storedSlots(tx, schedule, service, span, false)).filter((s) => !isTheirs(s));
    const kept = ours.filter((s) => isHeld(s) && !s.withdrawn);
    const free = ours.filter((s) => !isHeld(s)).map((s) => s.id);
    await keepPeculiar(
      tx,
      schedule,
      kept.map(({ id, capacity }) => ({ id, capacity, withdrawn: true })),
    );
    const gone = await removeSlots(tx, free, iso(engine.clock.now()));
    if (gone > 0) await tellChanged(tx, schedule);
    if (gone < free.length) left.add(schedule);
    else await tx.execute(sql`delete from scheduling_generated where schedule = ${schedule} and service = ${service}`);
    return gone;
  });
  const entry = directory.entry(schedule);
  // Whose time it is nobody knows any more, when the Schedule itself is gone.
  if (!entry) return;
  const { actors } = entry;
  const truth = {
    schedule,
    service: service === '' ? undefined : service,
    sole: false,
    actors,
    before: 0,
    after: 0,
    capacity: 1,
    pool: [],
  };
  looks.add({ revision: directory.revision, truth, span, waits: true, record: undefined });
}
