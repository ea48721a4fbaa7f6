/** `npm run migrate`: brings the database to this version, as its owner. */
import { loadProcessConfig } from '../platform/config.ts';
import { migrate } from '../platform/database/migrate.ts';
import { openDatabase } from '../platform/database/open.ts';
import { readArguments, runCommand } from '../platform/command.ts';

readArguments('npm run migrate: brings the database to this version, as its owner.', {});

await runCommand(async () => {
  const config = loadProcessConfig();
  const database = await openDatabase(config, console.log);
  try {
    const applied = await migrate(database.roles, { queue: config.redisUrl === undefined, say: console.log });
    console.log(
      applied === 0 ? 'The database is up to date.' : `Applied ${applied} migration${applied === 1 ? '' : 's'}.`,
    );
  } finally {
    await database.close();
  }
});
