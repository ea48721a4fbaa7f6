/** PostgreSQL refuses to run as root: under which account, and through which launcher, its programs run. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { StartError } from './start-error.ts';

/** How to start one of PostgreSQL's programs. */
export interface Launcher {
  /** undefined: as the present user. */
  readonly account: Account | undefined;
  /** Command line that runs `program`. */
  command(program: string, args: readonly string[]): readonly [string, readonly string[]];
}

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

function accountOf(name: string): Account | undefined {
  if (!existsSync('/etc/passwd')) return undefined;
  const fields = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find((f) => f[0] === name);
  const [uid, gid] = [Number(fields?.[2]), Number(fields?.[3])];
  return Number.isInteger(uid) && Number.isInteger(gid) && uid > 0 ? { name, uid, gid } : undefined;
}

function createAccount(): Account | undefined {
  spawnSync('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/bin/false', 'postgres'], {
    stdio: 'ignore',
  });
  return accountOf('postgres');
}

/** Whether an account may pass through every folder above `target`, by their mode bits. */
function reachable(target: string, account: Account): boolean {
  for (let dir = path.dirname(path.resolve(target)); ; dir = path.dirname(dir)) {
    if (existsSync(dir)) {
      const { mode, uid, gid } = statSync(dir);
      const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
      if ((mode & bit) === 0) return false;
    }
    if (dir === path.dirname(dir)) return true;
  }
}

/**
 * Chooses the account: the present user, or for root the system user `postgres` (made when missing, else `nobody`). Where that
 * user cannot reach a path (a project under /root), it is given leave to pass by `setpriv`.
 * @param paths that PostgreSQL must reach: its programs and its data
 * @throws StartError when there is no way
 */
export function chooseLauncher(paths: readonly string[]): Launcher {
  if (process.getuid?.() !== 0) return { account: undefined, command: (program, args) => [program, args] };
  const account = accountOf('postgres') ?? createAccount() ?? accountOf('nobody');
  if (!account) {
    throw new StartError(
      'The embedded database cannot run as root, and no user "postgres" could be created: create one, start as another user, or set DATABASE_URL.',
    );
  }
  const hidden = paths.find((p) => !reachable(p, account));
  const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((p) => existsSync(p));
  if (hidden !== undefined && setpriv === undefined) {
    throw new StartError(
      `The embedded database runs as the user "${account.name}", who may not pass through the folders above ${hidden}: start as another user than root, move the project and DATA_DIR to a folder open to all, or set DATABASE_URL.`,
    );
  }
  const ids = [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--clear-groups'];
  const passing = ['--inh-caps=-all,+dac_override', '--ambient-caps=+dac_override'];
  return {
    account,
    // Without setpriv (or need of it) the ids are given to spawn.
    command: (program, args) =>
      hidden === undefined || setpriv === undefined
        ? [program, args]
        : [setpriv, [...ids, ...passing, program, ...args]],
  };
}

/** The ids to spawn with: setpriv changes them itself, and must start as root. */
export const spawnIds = (launcher: Launcher): { uid?: number; gid?: number } =>
  launcher.account && launcher.command('x', [])[0] === 'x'
    ? { uid: launcher.account.uid, gid: launcher.account.gid }
    : {};
