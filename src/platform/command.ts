/** The frame of a command line: sentences for the operator, an exit code for scripts. */
import { sentence, StartError } from './start-error.ts';

/** Runs a command to its end. What the operator can mend is one sentence; anything else shows its stack. Exit code 1 either way. */
export async function runCommand(command: () => Promise<void>): Promise<void> {
  try {
    await command();
  } catch (error) {
    process.exitCode = 1;
    if (error instanceof StartError) console.error(sentence(error));
    else console.error(error);
  }
}
