/** Loads the demo clinic into a database that holds nothing yet; a load that was cut short is completed at the next start. */
import type pg from 'pg';
import type { Kairos } from './compose.ts';
import { tableOf } from './fhir/store/layout.ts';
import { poolNamed } from './platform/database/pool.ts';

/** `skipped`: the database held something already. */
type State = 'loading' | 'loaded' | 'skipped';

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

/** @returns how many resources were loaded; undefined when there was no reason to */
export async function loadDemo(kairos: Kairos): Promise<number | undefined> {
  const { config, engine, pool } = kairos;
  if (!config.demo) return undefined;
  const state = await demoState(pool);
  if (state === 'loaded' || state === 'skipped') return undefined;
  if (state !== 'loading' && !(await isEmpty(kairos))) {
    await mark(kairos, 'skipped');
    return undefined;
  }
  await mark(kairos, 'loading');
  const { seedDemo } = await import('./demo/seed.ts');
  const { created } = await seedDemo(engine, { seed: config.demoSeed });
  await mark(kairos, 'loaded');
  return created;
}
