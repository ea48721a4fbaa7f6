/**
 * Slots after a change of rules. A Schedule concerns itself alone; a service, a place or a role may concern any number of Schedules, which are told by the
 * fingerprints of their rules. Of many such changes one after another, what is looked at once is not looked at again.
 * @see https://hl7.org/fhir/R4/slot.html
 */
import { createTurns, type Turns } from '../platform/database/turns.ts';
import { sql } from '../platform/database/sql.ts';
import { generateSlots, type GenerateOptions, type GenerateReport } from './generate.ts';
import type { SchedulingParts } from './parts.ts';

interface Done {
  readonly turns: Turns;
  /** All Slots follow from the rules of this revision. */
  revision: string | undefined;
}

const doneBy = new WeakMap<SchedulingParts, Done>();

function doneOf(parts: SchedulingParts): Done {
  let done = doneBy.get(parts);
  if (!done) doneBy.set(parts, (done = { turns: createTurns(1), revision: undefined }));
  return done;
}

const NOTHING: GenerateReport = {
  offers: 0,
  created: 0,
  rewritten: 0,
  deleted: 0,
  unchanged: 0,
  settled: 0,
  left: [],
};

const sum = (a: GenerateReport, b: GenerateReport): GenerateReport => ({
  offers: a.offers + b.offers,
  created: a.created + b.created,
  rewritten: a.rewritten + b.rewritten,
  deleted: a.deleted + b.deleted,
  unchanged: a.unchanged + b.unchanged,
  settled: a.settled + b.settled,
  left: [...a.left, ...b.left],
});

/** @param changed `Schedule/1`, `HealthcareService/2`, …: whose rules @param released Schedules that have got back time which is not offered any more */
export async function generateAfterChange(
  parts: SchedulingParts,
  changed: readonly string[],
  released: readonly string[],
  options: Pick<GenerateOptions, 'signal' | 'progress'> = {},
): Promise<GenerateReport> {
  const { engine } = parts;
  let report = NOTHING;
  const schedules = [...new Set(changed.filter((r) => r.startsWith('Schedule/')))];
  if (schedules.length > 0) report = sum(report, await generateSlots(parts, { ...options, schedules }));
  if (released.length > 0)
    report = sum(report, await generateSlots(parts, { ...options, schedules: released, comparedBefore: Infinity }));
  if (changed.length === schedules.length) return report;
  const done = doneOf(parts);
  return done.turns(async () => {
    const [[revision] = []] = await engine.repository.query(sql`select n from scheduling_revision`);
    if (done.revision === String(revision)) return report;
    const all = await generateSlots(parts, options);
    if (all.left.length === 0) done.revision = String(revision);
    return sum(report, all);
  });
}
