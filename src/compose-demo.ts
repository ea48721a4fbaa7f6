/** Loads the demo clinic into a database that holds nothing yet; a load that was cut short is completed at the next start. */
import type pg from 'pg';
import type { Kairos } from './compose.ts';
import { tableOf } from './fhir/store/layout.ts';
import { poolNamed } from './platform/database/pool.ts';

/** Days ahead whose free times are there at the first start; the worker makes the others. */
const DEMO_DAYS = 28;

/** `skipped`: the database held something already. `peopled`: loaded, with its accounts. */
type State = 'loading' | 'loaded' | 'skipped' | 'peopled';

async function isEmpty({ pool, engine }: Kairos): Promise<boolean> {
  const tables = [...engine.resources.values()].filter((r) => r.storage === 'ordinary').map((r) => tableOf(r.type));
  const { rows } = await poolNamed(pool, `select ${tables.map((t) => `exists (select from "${t}")`).join(' or ')}`);
  return rows[0]?.[0] === 'f';
}

const mark = ({ pool }: Kairos, state: State): Promise<unknown> =>
  poolNamed(
    pool,
    `insert into installation (name, value) values ('demo', $1) on conflict (name) do update set value = excluded.value`,
    [state],
  );

/** undefined: nobody has looked yet. */
export async function demoState(pool: pg.Pool | pg.Client): Promise<string | undefined> {
  const { rows } = await pool.query<[string]>({
    text: `select value from installation where name = 'demo'`,
    rowMode: 'array',
  });
  return rows[0]?.[0];
}

/** Whether there is nothing left to load. */
export const isSettled = (state: string | undefined): boolean => state === 'peopled' || state === 'skipped';

async function people(kairos: Kairos): Promise<void> {
  const { seedAccounts } = await import('./demo/accounts.ts');
  await seedAccounts(kairos.identity, kairos.config.demoSeed);
  await mark(kairos, 'peopled');
}

/** Who can sign in to the demo, as lines for the greeting; none without a demo. */
export async function demoGreeting({ config, pool, identity }: Kairos): Promise<readonly string[]> {
  if (!config.demo || (await demoState(pool)) !== 'peopled') return [];
  const { demoLogins } = await import('./demo/accounts.ts');
  const logins = await demoLogins(identity, config.demoSeed);
  if (logins.length === 0) return [];
  const width = Math.max(...logins.map((l) => l.email.length));
  return [
    '  Sign in to the demo as',
    ...logins.map((l) => `    ${l.email.padEnd(width)}  ${l.password}  ${l.title}: ${l.name}`),
  ];
}

/** @returns how many resources were loaded; undefined when there was no reason to */
export async function loadDemo(kairos: Kairos): Promise<number | undefined> {
  const { config, engine, pool } = kairos;
  if (!config.demo) return undefined;
  const state = await demoState(pool);
  if (isSettled(state)) return undefined;
  if (state === 'loaded') {
    // By a version without accounts.
    await people(kairos);
    return undefined;
  }
  if (state !== 'loading' && !(await isEmpty(kairos))) {
    await mark(kairos, 'skipped');
    return undefined;
  }
  await mark(kairos, 'loading');
  const { seedDemo } = await import('./demo/seed.ts');
  const { created } = await seedDemo(engine, { seed: config.demoSeed });
  const { generateSlots } = await import('./scheduling/generate.ts');
  await generateSlots(kairos.scheduling.parts, { days: DEMO_DAYS });
  await people(kairos);
  return created;
}
