/**
 * Generates the Slots of all offers for a rolling horizon: a projection of the rules, for those who search for Slots. An offer whose rules and horizon are
 * as they were is not looked at. Beside bookings nothing is locked for long; how no Slot stays free whose time is taken is told in second-look.ts.
 * @see https://hl7.org/fhir/R4/slot.html
 */
import { breather } from '../fhir/breathe.ts';
import { sql } from '../platform/database/sql.ts';
import type { Directory, ScheduleEntry } from './directory.ts';
import { generateOffer, removeOffer, type Generated, type Known, type Run } from './generate-offer.ts';
import type { SchedulingParts } from './parts.ts';
import { freshDirectory } from './fresh-directory.ts';
import { RulesChanged } from './generation-turn.ts';
import { createSecondLooks } from './second-look.ts';

export interface GenerateOptions {
  /** Only these, `Schedule/1`; left out: all. */
  readonly schedules?: readonly string[] | undefined;
  /** Offers that were last compared before this time (ms) are compared, Slot by Slot, though their rules have not changed. */
  readonly comparedBefore?: number | undefined;
  /** No farther ahead than this, though the horizon may reach farther: the rest is left to the next run. */
  readonly days?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told of Schedules that are done. */
  readonly progress?: ((done: number, total: number) => void) | undefined;
}

/** Tries with rules that change meanwhile. */
const TRIES = 20;
/** Rounds for Schedules in which somebody took or gave back a Slot just then. */
const ROUNDS = 3;
/** One makes the Slots of an offer while the database writes those of another. */
const LANES = 2;
/** Offers between two second looks: none waits long for its own. */
const LOOK_AFTER = 20;

/** By Schedule, then by service. */
type Records = Map<string, Map<string, Known>>;

async function readRecords({ engine }: SchedulingParts, schedules: readonly string[] | undefined): Promise<Records> {
  const rows = await engine.repository.query(
    sql`select schedule, service, rules, (extract(epoch from upto) * 1000)::int8, (extract(epoch from compared) * 1000)::int8
        from scheduling_generated where ${schedules === undefined} or schedule = any(${schedules ?? []}::text[])`,
  );
  const records: Records = new Map();
  for (const [schedule, service, rules, upto, compared] of rows) {
    let of = records.get(String(schedule));
    if (!of) records.set(String(schedule), (of = new Map()));
    of.set(String(service), { rules: String(rules), upto: Number(upto), compared: Number(compared) });
  }
  return records;
}

const entriesOf = new WeakMap<Directory, ReadonlyMap<string, ScheduleEntry>>();

/** The Schedule, where it is active and says when it is open. */
function openEntry(directory: Directory, schedule: string): ScheduleEntry | undefined {
  let entries = entriesOf.get(directory);
  if (!entries) entriesOf.set(directory, (entries = new Map(directory.entries.map((e) => [e.reference, e]))));
  const entry = entries.get(schedule);
  return entry?.calendar && entry.zone ? entry : undefined;
}

/** A Schedule with all of its offers; once more, with the rules that hold, when they have changed meanwhile. @returns the directory that was right */
async function generateSchedule(
  run: Run,
  read: Directory,
  schedule: string,
  records: ReadonlyMap<string, Known> | undefined,
): Promise<Directory> {
  let directory = read;
  let known = records;
  for (let tries = 1; ; tries++) {
    try {
      const offers = openEntry(directory, schedule)?.offers ?? [];
      for (const offer of offers) await generateOffer(run, directory, offer, known?.get(offer.serviceReference ?? ''));
      const offered = new Set(offers.map((o) => o.serviceReference ?? ''));
      for (const service of known?.keys() ?? [])
        if (!offered.has(service)) await removeOffer(run, directory, schedule, service);
      return directory;
    } catch (error) {
      if (!(error instanceof RulesChanged) || tries === TRIES) throw error;
      directory = await freshDirectory(run.parts);
      known = (await readRecords(run.parts, [schedule])).get(schedule);
    }
  }
}

async function generateRound(run: Run, options: GenerateOptions): Promise<void> {
  const { parts } = run;
  const { schedules, signal, progress } = options;
  const directory = await freshDirectory(parts);
  const records = await readRecords(parts, schedules);
  const all = schedules ?? [...new Set([...directory.entries.map((e) => e.reference), ...records.keys()])];
  const queue = all.values();
  let done = 0;
  const lane = async (): Promise<void> => {
    const breathe = breather();
    let latest = directory;
    let looked = run.total.offers;
    for (const schedule of queue) {
      await breathe();
      if (signal?.aborted) throw new Error('The worker stops before all Slots are generated');
      latest = await generateSchedule(run, latest, schedule, records.get(schedule));
      progress?.(++done, all.length);
      if (run.total.offers < looked + LOOK_AFTER) continue;
      looked = run.total.offers;
      await run.looks.some();
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  // A long transaction is in the way, or the rules have changed: these are compared once more.
  for (const schedule of await run.looks.all(signal)) run.left.add(schedule);
}

export interface GenerateReport extends Readonly<Generated> {
  /** Schedules that are not done: the next run looks at them again. */
  readonly left: readonly string[];
}

/** May run any number of times at once, in any number of processes. @throws when it is told to stop, or the rules never stand still */
export async function generateSlots(parts: SchedulingParts, options: GenerateOptions = {}): Promise<GenerateReport> {
  const total: Generated = { offers: 0, created: 0, rewritten: 0, deleted: 0, unchanged: 0, settled: 0 };
  const looks = createSecondLooks(parts, (count) => (total.settled += count));
  let { schedules } = options;
  for (let round = 1; ; round++) {
    const left = new Set<string>();
    const { comparedBefore = 0, days = parts.slotHorizonDays } = options;
    const run: Run = {
      parts,
      now: parts.engine.clock.now(),
      days: Math.min(days, parts.slotHorizonDays),
      comparedBefore,
      looks,
      total,
      left,
    };
    await generateRound(run, { ...options, schedules });
    if (left.size === 0 || round === ROUNDS) return { ...total, left: [...left] };
    schedules = [...left];
  }
}
