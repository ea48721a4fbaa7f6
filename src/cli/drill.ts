/**
 * `npm run drill [-- --times 200] [-- --guesses 10000]`: what an attacker measures and tries at the door. The time of refusals for addresses that have an
 * account and for those that have none, and how many of thousands of guesses are compared. See docs/accounts.md.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { createAccount } from '../auth/accounts/create.ts';
import { median } from '../bench/report.ts';
import { listen } from '../compose-http.ts';
import { openKairos, type Kairos } from '../compose.ts';
import { readArguments, runCommand } from '../platform/command.ts';
import { loadConfig } from '../platform/config.ts';
import { inTransaction } from '../platform/database/transaction.ts';
import { StartError } from '../platform/start-error.ts';

const GAP_MS = 5;
const PASSWORD = 'tangerine submarine 42';

const USAGE = `npm run drill [-- <options>]: what an attacker measures and tries at the door, on a server of its own
  --times <number>     refusals of each kind that are timed (200)
  --guesses <number>   passwords that are guessed from one source, and from many (10000)`;

const { values: options } = readArguments(USAGE, {
  times: { type: 'string', default: '200' },
  guesses: { type: 'string', default: '10000' },
});
/** @throws StartError */
function count(name: 'times' | 'guesses', least: number): number {
  const value = Number(options[name]);
  if (!Number.isInteger(value) || value < least)
    throw new StartError(`--${name} must be a whole number, ${least} or more.`);
  return value;
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

interface Door {
  readonly kairos: Kairos;
  /** Sends a form from an address; who sends it is nobody so far. */
  post(path: string, fields: Readonly<Record<string, string>>, source: string): Promise<number>;
}

/** A server of its own, to whom every request may come from elsewhere. @param cost of bcrypt, as a power of two */
async function withDoor(dataDir: string, cost: number, work: (door: Door) => Promise<void>): Promise<void> {
  const listener = await listen('127.0.0.1', 0);
  const origin = `http://127.0.0.1:${listener.port}`;
  const env = {
    DATA_DIR: dataDir,
    DEMO: 'off',
    LOG_LEVEL: 'error',
    RATE_LIMIT: 'off',
    TRUSTED_PROXIES: '127.0.0.1',
    PUBLIC_URL: origin,
  };
  const kairos = await openKairos(loadConfig({ ...env, PORT: String(listener.port) }), { passwordCost: cost });
  listener.serve((incoming, bindings) => kairos.app.fetch(incoming, bindings), {
    issuer: kairos.identity.issuer,
    handle: kairos.oauth,
  });
  const agent = new Agent({ keepAlive: true });
  const send = (
    target: string,
    headers: Readonly<Record<string, string>>,
    body?: string,
  ): Promise<{ status: number; text: string; cookies: readonly string[] }> =>
    new Promise((resolve, reject) => {
      const method = body === undefined ? 'GET' : 'POST';
      const sent = request(`${origin}${target}`, { agent, method, headers }, (reply) => {
        const chunks: Buffer[] = [];
        reply.on('data', (chunk: Buffer) => chunks.push(chunk));
        reply.on('error', reject);
        reply.on('end', () =>
          resolve({
            status: reply.statusCode ?? 0,
            text: Buffer.concat(chunks).toString(),
            cookies: reply.headers['set-cookie'] ?? [],
          }),
        );
      });
      sent.on('error', reject);
      sent.end(body);
    });
  try {
    const page = await send('/signin', {});
    const csrf = /name="csrf" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
    const cookie = page.cookies.map((c) => c.split(';', 1)[0]).join('; ');
    await work({
      kairos,
      async post(target, fields, source) {
        const headers = {
          'Content-Type': 'application/x-www-form-urlencoded',
          'X-Forwarded-For': source,
          Origin: origin,
          Cookie: cookie,
        };
        return (await send(target, headers, new URLSearchParams({ csrf, ...fields }).toString())).status;
      },
    });
  } finally {
    agent.destroy();
    listener.cut();
    await listener.drain(1000);
    await kairos.close();
  }
}

async function addAccounts({ kairos }: Door, emails: readonly string[]): Promise<void> {
  const parts = kairos.identity;
  const passwordHash = await parts.passwords.hash(PASSWORD);
  await inTransaction(parts.pool, async (run) => {
    for (const email of emails)
      await createAccount(run, parts, {
        email,
        name: 'Drill',
        roles: ['patient'],
        by: 'drill',
        locale: 'en',
        passwordHash,
      });
  });
}

/** Never the same source twice: no limit shall answer. */
const sourceOf = (i: number): string => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;

const TIMED = [
  { name: 'sign-in, wrong password', path: '/signin', fields: { password: 'wrong wrong wrong 7' }, status: 400 },
  { name: 'reset', path: '/reset', fields: {}, status: 200 },
  { name: 'registration', path: '/register', fields: {}, status: 200 },
] as const;

/** @returns whether all gaps are small enough */
async function time(door: Door, times: number): Promise<boolean> {
  const warmUps = 20;
  const known = Array.from({ length: times + warmUps }, (_, i) => `known-${i}@example.org`);
  await addAccounts(door, known);
  let isGood = true;
  let source = 1;
  for (const { name, path: target, fields, status } of TIMED) {
    const taken = { known: [] as number[], unknown: [] as number[] };
    for (let i = 0; i < known.length; i++) {
      // By turns, and the first of each pair by turns too.
      for (const kind of i % 2 === 0 ? (['known', 'unknown'] as const) : (['unknown', 'known'] as const)) {
        const began = performance.now();
        const answer = await door.post(target, { ...fields, email: `${kind}-${i}@example.org` }, sourceOf(source++));
        const ms = performance.now() - began;
        if (answer !== status) throw new StartError(`${name}: the answer was ${answer}, not ${status}.`);
        if (i >= warmUps) taken[kind].push(ms);
      }
    }
    const [a, b] = [median(taken.known), median(taken.unknown)];
    const gap = Math.abs(a - b);
    isGood &&= gap < GAP_MS;
    say(
      `${name}: known ${a.toFixed(2)} ms, unknown ${b.toFixed(2)} ms, gap ${gap.toFixed(2)} ms (medians of ${times}; below ${GAP_MS} wanted)`,
    );
  }
  return isGood;
}

/** @returns how many guesses were compared with the password */
async function guess(door: Door, email: string, sources: number, guesses: number): Promise<number> {
  await addAccounts(door, [email]);
  let compared = 0;
  let next = 0;
  const guesser = async (): Promise<void> => {
    for (let i = next++; i < guesses; i = next++) {
      const answer = await door.post('/signin', { email, password: `guess number ${i}` }, `192.0.2.${i % sources}`);
      if (answer !== 400 && answer !== 429) throw new StartError(`A guess was answered with ${answer}.`);
      if (answer === 400) compared++;
    }
  };
  await Promise.all(Array.from({ length: 8 }, guesser));
  return compared;
}

await runCommand(async () => {
  const times = count('times', 1);
  const guesses = count('guesses', 200);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-drill-'));
  let isGood = true;
  try {
    await withDoor(folder, 4, async (door) => {
      for (const [sources, most] of [
        [1, 5],
        [200, 100],
      ] as const) {
        const compared = await guess(door, `guessed-from-${sources}@example.org`, sources, guesses);
        isGood &&= compared === most;
        say(
          `${guesses} guesses from ${sources} ${sources === 1 ? 'source' : 'sources'}: ${compared} compared (${most} wanted)`,
        );
      }
    });
    await withDoor(folder, 12, async (door) => {
      isGood = (await time(door, times)) && isGood;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  if (!isGood) throw new StartError('A limit or a gap is not as it should be.');
});
