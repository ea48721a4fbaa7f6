/**
 * `npm run keys -- status|rotate|retire`: the keys that data is sealed with, also beside a running server. An interrupted rotation goes on when it is begun
 * again. See docs/encryption.md.
 */
import { openKairos } from '../compose.ts';
import { retire, rotateData, rotateRoot, status } from '../compose-rotation.ts';
import { readArguments, runCommand } from '../platform/command.ts';
import { loadProcessConfig } from '../platform/config.ts';
import { StartError } from '../platform/start-error.ts';

const USAGE = `npm run keys -- status           tells which keys there are, and what they wrap
npm run keys -- rotate           makes a new root key, and wraps every data key with it
npm run keys -- rotate --data    makes new data keys, and seals everything anew
npm run keys -- retire           forgets keys that nothing uses any more`;

const { positionals, values } = readArguments(USAGE, { data: { type: 'boolean', default: false } }, true);

await runCommand(async () => {
  const [command = '', ...more] = positionals;
  if (more.length > 0 || !['status', 'rotate', 'retire'].includes(command) || (values.data && command !== 'rotate'))
    throw new StartError(`What shall be done with the keys?\n${USAGE}`);
  const say = (line: string): void => console.log(line);
  const kairos = await openKairos(loadProcessConfig(), { say });
  try {
    if (command === 'status') for (const line of await status(kairos)) say(line);
    else if (command === 'retire') await retire(kairos, say);
    else await (values.data ? rotateData : rotateRoot)(kairos, say);
  } finally {
    await kairos.close();
  }
});
