/**
 * Keeps the Slots of the rolling horizon what the rules say: every hour for the day that comes in sight, every night Slot by Slot, and at once when rules
 * have changed.
 * @see https://hl7.org/fhir/R4/slot.html
 */
import type { JobContext } from '../job-context.ts';
import type { JobDeclaration, JobPayload } from '../platform/job.ts';
import { generateAfterChange } from '../scheduling/generate-after-change.ts';
import { generateSlots, type GenerateReport } from '../scheduling/generate.ts';
import { sweepSlots } from '../scheduling/sweep-slots.ts';

const HOUR = 3_600_000;
/** UTC. */
const NIGHT = 3;

const references = (payload: JobPayload, name: 'changed' | 'released'): readonly string[] => {
  const list = payload[name];
  return Array.isArray(list) ? list.filter((r): r is string => typeof r === 'string') : [];
};

export default {
  name: 'generate-slots',
  description: 'keeps free Slots for the horizon: hourly, and after changes of rules; compares all of them nightly',
  schedule: { cron: '4 * * * *', zone: 'UTC' },
  retries: 5,
  backoffMs: 2_000,
  // A million Slots on a busy machine.
  timeoutMs: HOUR,
  async run({ scheduling }, { log, payload, signal, progress }) {
    const say = ({ created, rewritten, deleted, settled, left }: GenerateReport): void => {
      if (created + rewritten + deleted + settled > 0)
        log.info('Slots generated', { count: created, changed: rewritten + deleted + settled });
      if (left.length > 0) log.warn('Some Slots are left for the next run', { count: left.length });
    };
    const changed = references(payload, 'changed');
    const released = references(payload, 'released');
    if (changed.length + released.length > 0) {
      const report = await generateAfterChange(scheduling, changed, released, { signal, progress });
      say(report);
      if (report.left.length > 0) throw new Error('Some Slots were in use: tried again in a moment');
      return;
    }
    const now = scheduling.engine.clock.now();
    const isNight = new Date(now).getUTCHours() === NIGHT;
    // What was compared a short while ago, before the job was interrupted, is not compared again; after a night without a worker it is at any hour.
    say(await generateSlots(scheduling, { signal, progress, comparedBefore: now - (isNight ? 4 : 48) * HOUR }));
    if (isNight) log.info('Past Slots swept', { count: await sweepSlots(scheduling, signal) });
  },
} satisfies JobDeclaration<JobContext>;
