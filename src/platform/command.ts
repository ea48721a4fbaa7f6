/** The frame of a command line: sentences for the operator, an exit code for scripts. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
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

type Arguments<O extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: O; allowPositionals: boolean }>
>;

/**
 * What a command was asked for, before it does anything. `--help` prints its usage and ends the process with 0; an option that it does not have ends it
 * with 1, and those that it has are named.
 */
export function readArguments<const O extends ParseArgsOptionsConfig>(
  usage: string,
  options: O,
  allowPositionals = false,
): Arguments<O> {
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) {
    console.log(usage);
    process.exit(0);
  }
  try {
    return parseArgs({ options, allowPositionals });
  } catch (error) {
    const known = [...Object.keys(options), 'help'].map((name) => `--${name}`).join(', ');
    console.error(`${sentence(error).split('. ', 1)[0] ?? ''}. Options: ${known}.\n${usage}`);
    process.exit(1);
  }
}
