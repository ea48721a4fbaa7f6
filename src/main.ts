/** `npm start`: the server, from the socket to the last flushed page. */
import path from 'node:path';
import { openKairos, type Kairos } from './compose.ts';
import { demoGreeting } from './compose-demo.ts';
import { listen, safeHeaders, type Listener } from './compose-http.ts';
import { isPrepared, prepareApart } from './compose-prepare.ts';
import { keepStarting, type RunningWorker } from './compose-worker.ts';
import { loadProcessConfig, type Config } from './platform/config.ts';
import type { OpenDatabase } from './platform/database/open.ts';
import { errorFields } from './platform/log.ts';
import { observeProcess } from './platform/metrics.ts';
import { sentence, StartError } from './platform/start-error.ts';

const DRAIN_MS = 20_000;

/** What has been started so far, in the order it was. */
interface Running {
  listener?: Listener;
  kairos?: Kairos;
  worker?: Promise<RunningWorker | undefined>;
}

async function claimFolder(database: OpenDatabase, config: Config): Promise<void> {
  if (await database.claim('server')) return;
  throw new StartError(
    `Another Kairos already serves from the data folder ${config.dataDir}: stop it, or choose another DATA_DIR.`,
  );
}

async function greet(kairos: Kairos, seconds: number): Promise<void> {
  const { config, engine, database } = kairos;
  const home = engine.baseUrl.slice(0, -'/fhir/R4'.length);
  const folder = path.relative(process.cwd(), config.dataDir);
  const data = database.embedded
    ? `embedded PostgreSQL in ${folder.startsWith('..') ? config.dataDir : folder}`
    : 'DATABASE_URL';
  console.log(
    [
      `Kairos is ready after ${seconds.toFixed(1)} s.`,
      `  Home  ${home}`,
      `  FHIR  ${engine.baseUrl}`,
      `  Data  ${data}`,
      ...(await demoGreeting(kairos)),
      'Ctrl-C stops it, the database too.',
    ].join('\n'),
  );
}

async function start(running: Running): Promise<void> {
  const configured = loadProcessConfig();
  running.listener = await listen(configured.host, configured.port);
  const config: Config = { ...configured, port: running.listener.port };
  const say = (line: string): void => console.log(line);
  const opened = async (database: OpenDatabase): Promise<void> => {
    await claimFolder(database, config);
    if (!(await isPrepared(database.roles, config))) await prepareApart(config, interrupt.signal);
  };
  const kairos = await openKairos(config, { say, opened });
  running.kairos = kairos;
  observeProcess(kairos.metrics);
  // Reads the compiled validators now, so that no request waits for them.
  kairos.engine.validator.validate({ resourceType: 'Patient' });
  running.listener.serve(
    (request, env) => kairos.app.fetch(request, env),
    { issuer: kairos.identity.issuer, handle: kairos.oauth },
    safeHeaders(kairos.identity.publicUrl),
  );
  await greet(kairos, process.uptime());
  // Jobs start after the server: what they load takes a moment, and nobody waits for them or their queue.
  if (config.worker) running.worker = keepStarting(kairos, interrupt.signal);
}

/** Readiness first, then the socket, then jobs, then the database: nothing that runs loses what it stands on. */
async function stop({ listener, kairos, worker }: Running): Promise<void> {
  kairos?.unready();
  await listener?.drain(kairos ? DRAIN_MS : 0);
  await (await worker)?.close();
  await kairos?.close();
}

const running: Running = {};
/** Cuts a long preparation short. */
const interrupt = new AbortController();
const starting = start(running);
let stopping: Promise<void> | undefined;
let stoppingSince = 0;

function shutDown(code: number): void {
  if (stopping) {
    // Asked again: nobody waits any longer for requests. npm passes a Ctrl-C on that has come by itself already.
    if (performance.now() - stoppingSince > 500) running.listener?.cut();
    return;
  }
  stoppingSince = performance.now();
  interrupt.abort();
  stopping = starting
    .catch(() => undefined)
    .then(() => stop(running))
    .catch((error: unknown) => {
      console.error(sentence(error));
      process.exitCode = 1;
    })
    .finally(() => process.exit(process.exitCode ?? code));
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (!stopping) console.log('Stopping …');
    shutDown(0);
  });
}
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    if (running.kairos) running.kairos.log.error('Unexpected error: the server stops', errorFields(error));
    else console.error(error);
    shutDown(1);
  });
}

try {
  await starting;
  running.kairos?.database.onLost((error) => {
    running.kairos?.log.error('The database is lost: the server stops', errorFields(error));
    shutDown(1);
  });
} catch (error) {
  if (!stopping) {
    console.error(error instanceof StartError ? `Kairos cannot start. ${sentence(error)}` : error);
    shutDown(1);
  }
}
