/**
 * `npm run doctor`: looks whether everything that must always hold of the calendar holds in the database that the configuration names, also beside a
 * running server. Changes nothing; names rows by their ids only. Exit code 1 when something is wrong. @see https://hl7.org/fhir/R4/appointment.html
 */
import { checkInvariants } from '../compose-doctor.ts';
import { readArguments, runCommand } from '../platform/command.ts';
import { loadProcessConfig } from '../platform/config.ts';
import { isMigrated } from '../platform/database/migrate.ts';
import { openDatabase } from '../platform/database/open.ts';
import { openRootKeys } from '../platform/root-keys.ts';
import { StartError } from '../platform/start-error.ts';

const SHOWN = 20;

readArguments(
  'npm run doctor: asks the database for everything that must hold of the calendar, and changes nothing.',
  {},
);

await runCommand(async () => {
  const config = loadProcessConfig();
  const database = await openDatabase(config, (text) => process.stderr.write(`${text}\n`));
  try {
    if (!(await isMigrated(database.roles, { queue: config.redisUrl === undefined })))
      throw new StartError('The database is not of this version: run npm run migrate first.');
    const results = await checkInvariants(database.roles.app, await openRootKeys(config));
    for (const { name, title, found } of results) {
      console.log(`${found.length === 0 ? 'ok  ' : 'FAIL'} ${name}: ${title}`);
      for (const id of found.slice(0, SHOWN)) console.log(`       ${id}`);
      if (found.length > SHOWN) console.log(`       and ${found.length - SHOWN} more`);
    }
    const broken = results.filter((r) => r.found.length > 0);
    if (broken.length > 0)
      throw new StartError(`${broken.length} of ${results.length} checks found something: see docs/operations.md.`);
    console.log(`All ${results.length} checks are well.`);
  } finally {
    await database.close();
  }
});
