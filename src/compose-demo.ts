/** Loads the demo clinic into a database that holds nothing yet; a load that was cut short is completed at the next start. */
import type { Kairos } from './compose.ts';
import { tableOf } from './fhir/store/layout.ts';
import { poolNamed } from './platform/database/pool.ts';

type State = 'loading' | 'loaded';

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

/** @returns how many resources were loaded; undefined when there was no reason to */
export async function loadDemo(kairos: Kairos): Promise<number | undefined> {
  const { config, engine, pool } = kairos;
  if (!config.demo) return undefined;
  const { rows } = await poolNamed(pool, `select value from installation where name = 'demo'`);
  const state = rows[0]?.[0];
  if (state !== 'loading' && (state === 'loaded' || !(await isEmpty(kairos)))) return undefined;
  await mark(kairos, 'loading');
  const { seedDemo } = await import('./demo/seed.ts');
  const { created } = await seedDemo(engine, { seed: config.demoSeed });
  await mark(kairos, 'loaded');
  return created;
}
