/** `npm run jobs -- status | run <name> | retry`: what jobs do, from the command line, beside a running server or without one. See docs/jobs.md. */
import { setTimeout as sleep } from 'node:timers/promises';
import { openKairos, type Kairos } from '../compose.ts';
import { startWorker } from '../compose-worker.ts';
import { readArguments, runCommand } from '../platform/command.ts';
import { loadProcessConfig } from '../platform/config.ts';
import { runsOfJobs } from '../platform/job-runs.ts';
import { statusText } from '../platform/job-status.ts';
import { addToOutbox, countOutbox, deadOutbox, outboxStatus, reviveOutbox } from '../platform/outbox.ts';
import { StartError } from '../platform/start-error.ts';

const USAGE = `npm run jobs -- <command>
  status      every job: when it runs, how it went, what waits
  run <name>  runs a job once, now
  retry       tries once more what has failed, and what is dead in the outbox`;

/** undefined: the queue does not answer. */
const unlessAway = <T>(promise: Promise<T>): Promise<T | undefined> => promise.catch(() => undefined);

async function status({ jobs, pool, config }: Kairos): Promise<string> {
  const [declared, runs, outbox, dead, queue] = await Promise.all([
    jobs.declared(),
    runsOfJobs(pool),
    countOutbox(pool),
    deadOutbox(pool),
    unlessAway(jobs.queue().then((queue) => queue.look())),
  ]);
  const place = config.redisUrl === undefined ? 'PostgreSQL' : `Redis at ${new URL(config.redisUrl).host}`;
  return statusText({ jobs: declared, runs, outbox, dead, place, queue, now: Date.now() });
}

/** Works until a row is settled, where no other process does. */
async function workFor(kairos: Kairos, row: string): Promise<string> {
  const worker = await startWorker(kairos);
  try {
    for (;;) {
      const now = (await outboxStatus(kairos.pool, row)) ?? 'done';
      if (now !== 'pending' && now !== 'sent') return now;
      await sleep(100);
    }
  } finally {
    await worker.close();
  }
}

/** By the way of every side effect, so that it is not lost on it. */
async function run(kairos: Kairos, name: string): Promise<string> {
  const { jobs, pool, database } = kairos;
  const job = (await jobs.declared()).find((j) => j.name === name);
  if (!job) throw new StartError(`There is no job ${name}: npm run jobs -- status lists them.`);
  const row = await addToOutbox(pool, name, job.schedule?.payload ?? {});
  if (!database.embedded || database.joined)
    return `${name} is queued: the running server or worker does it. npm run jobs -- status tells how it went.`;
  if ((await workFor(kairos, row)) === 'dead')
    throw new StartError(`${name} has failed: npm run jobs -- status tells why.`);
  return `${name} is done.`;
}

async function retry({ jobs, pool }: Kairos): Promise<string> {
  const rows = await reviveOutbox(pool);
  const failed = await unlessAway(jobs.queue().then((queue) => queue.retry()));
  const again = `${rows} dead ${rows === 1 ? 'row' : 'rows'} of the outbox`;
  return failed === undefined
    ? `Tried once more: ${again}. The queue does not answer: its failed jobs stay.`
    : `Tried once more: ${again}, ${failed} failed ${failed === 1 ? 'job' : 'jobs'} of the queue.`;
}

await runCommand(async () => {
  const [command, name, ...more] = readArguments(USAGE, {}, true).positionals;
  const isRight =
    more.length === 0 &&
    (command === 'run' ? name !== undefined : name === undefined && /^(?:status|retry)$/.test(command ?? ''));
  if (!isRight) throw new StartError(USAGE);
  const kairos = await openKairos(loadProcessConfig(), { say: (text) => process.stderr.write(`${text}\n`) });
  try {
    console.log(
      await (command === 'run' ? run(kairos, name ?? '') : command === 'retry' ? retry(kairos) : status(kairos)),
    );
  } finally {
    await kairos.close();
  }
});
