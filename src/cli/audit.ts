/**
 * `npm run audit -- verify [--root <hash>]`: holds the record of accesses of the configured database against its seals, and names the first row that was
 * changed. `npm run audit -- reconcile`: mixed requests to a server of its own, killed in the middle, against the log of those who sent them. See docs/audit.md.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { sealKey } from '../audit/merkle.ts';
import { publishedRoots } from '../audit/seal.ts';
import { verifyAudit } from '../audit/verify.ts';
import { runForKeys } from '../compose-keys.ts';
import { freePort, urlOf } from '../bench/processes.ts';
import { RECORDED, reconcile, sendMixed } from '../bench/reconcile.ts';
import { keepServer } from '../bench/storm/kept.ts';
import { writePeople } from '../bench/storm/people.ts';
import { createWire } from '../bench/storm/wire.ts';
import { seeded } from '../demo/random.ts';
import { readArguments, runCommand } from '../platform/command.ts';
import { loadProcessConfig } from '../platform/config.ts';
import { isMigrated, migrate } from '../platform/database/migrate.ts';
import { openDatabase } from '../platform/database/open.ts';
import { openPool, poolNamed, runNamed } from '../platform/database/pool.ts';
import { openEmbeddedPostgres } from '../platform/embedded-postgres.ts';
import { openInstallationKeys } from '../platform/installation-keys.ts';
import { openRootKeys } from '../platform/root-keys.ts';
import { StartError } from '../platform/start-error.ts';

const USAGE = `npm run audit -- <command> [<options>]
  verify                   holds the record of accesses against its seals and its published roots
    --root <hash>          a root that was published before: the record must contain it
    --public-key           prints the key that the seals are signed with
  reconcile                sends mixed requests to a server of its own, and looks for each in the record
    --requests <number>    how many (20000)
    --clients <number>     at the same time (16)
    --kills <number>       how often the server is killed meanwhile (1)`;

const { values: options, positionals } = readArguments(
  USAGE,
  {
    root: { type: 'string' },
    'public-key': { type: 'boolean', default: false },
    requests: { type: 'string', default: '20000' },
    clients: { type: 'string', default: '16' },
    kills: { type: 'string', default: '1' },
  },
  true,
);

/** @throws StartError */
function count(name: 'requests' | 'clients' | 'kills'): number {
  const value = Number(options[name]);
  if (!Number.isInteger(value) || value < 0) throw new StartError(`--${name} must be a whole number.`);
  return value;
}

const MINUTE = 60_000;

async function verify(): Promise<void> {
  const { root } = options;
  if (root !== undefined && !/^[0-9a-f]{64}$/.test(root)) throw new StartError('--root must be 64 hexadecimal digits.');
  const config = loadProcessConfig();
  const database = await openDatabase(config, (text) => process.stderr.write(`${text}\n`));
  const pool = openPool(database.roles.app, { max: 1, name: 'kairos audit', statementTimeoutMs: 10 * MINUTE });
  const forKeys = runForKeys(database.roles.app, MINUTE);
  try {
    if (!(await isMigrated(database.roles, { queue: config.redisUrl === undefined })))
      throw new StartError('The database is not of this version: run npm run migrate first.');
    const { keys, close } = await openInstallationKeys(forKeys.run, await openRootKeys(config));
    close();
    if (options['public-key']) return console.log(sealKey(keys).publicKey.trim());
    const published = await publishedRoots(config.auditRootsFile);
    const client = await pool.connect();
    await client.query('begin isolation level repeatable read read only');
    const result = await verifyAudit(async (text, values = []) => (await runNamed(client, text, values)).rows, keys, [
      ...published,
      ...(root === undefined ? [] : [{ hash: root }]),
    ]);
    await client.query('commit');
    client.release();
    console.log(`${result.seals} seals over ${result.rows} rows; ${result.unsealed} rows are not sealed yet.`);
    console.log(`${published.length} roots were published in ${config.auditRootsFile}.`);
    if (result.wrong !== undefined) throw new StartError(`The record was changed: ${result.wrong}.`);
    if (result.root !== '') console.log(`All is well. The last root, to be kept elsewhere: ${result.root}`);
  } finally {
    await forKeys.close();
    await pool.end();
    await database.close();
  }
}

async function reconcileAll(): Promise<void> {
  const [requests, clients, kills] = [count('requests'), count('clients'), count('kills')];
  const folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-reconcile-'));
  const postgres = await openEmbeddedPostgres(folder);
  const wire = createWire();
  try {
    await migrate(postgres, { queue: true });
    const port = await freePort();
    const server = await keepServer(port, {
      DATABASE_URL: urlOf(postgres.app),
      DATABASE_OWNER_URL: urlOf(postgres.owner),
      ROOT_KEY: randomBytes(32).toString('base64'),
      AUDIT_ROOTS_FILE: path.join(folder, 'roots.txt'),
      LOG_LEVEL: 'silent',
    });
    try {
      const people = await writePeople(postgres.app, `http://localhost:${port}/fhir/R4`, 16);
      for (const { patient } of people.all)
        await wire.send(
          port,
          { method: 'PUT', path: patient, body: { resourceType: 'Patient', id: patient.slice('Patient/'.length) } },
          people.system,
        );
      const every = Math.ceil(requests / (kills + 1));
      let killed = 0;
      const log = await sendMixed({
        people,
        requests,
        clients,
        random: seeded('reconcile', Date.now()),
        async send(sent, token) {
          // Between death and return there is nobody to log.
          while (!server.runs()) await new Promise((resolve) => setTimeout(resolve, 50));
          return wire.send(port, sent, token);
        },
        onSent(sent) {
          if (sent % every === 0 && killed < kills && server.kill()) killed++;
        },
      });
      const pool = openPool(postgres.app, { max: 1, name: 'reconcile', statementTimeoutMs: MINUTE });
      const { rows } = await poolNamed(pool, RECORDED).finally(() => pool.end());
      const result = reconcile(log, rows);
      console.log(
        `${log.length} requests: ${result.answered} answered, ${result.denied} of them denied, ${result.unanswered} cut off (the server was killed ${killed === 1 ? 'once' : `${killed} times`}); ${result.rows} rows.`,
      );
      for (const line of result.wrong.slice(0, 20)) console.log(`  ${line}`);
      if (result.wrong.length > 0) throw new StartError(`${result.wrong.length} things are wrong with the record.`);
      console.log('Every answer has its record, and every record was sent for.');
    } finally {
      await server.stop();
    }
  } finally {
    wire.close();
    await postgres.close();
    await rm(folder, { recursive: true, force: true });
  }
}

await runCommand(async () => {
  const [command] = positionals;
  if (command === 'verify') return verify();
  if (command === 'reconcile') return reconcileAll();
  throw new StartError(`Say what to do.\n${USAGE}`);
});
