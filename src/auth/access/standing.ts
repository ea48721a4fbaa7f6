/** What a physician's access stands on, as the database has it: their roles, their Schedules, and whom they have seen. */
import { grantAll } from '../../fhir/access.ts';
import type { Engine } from '../../fhir/engine.ts';
import { conditionsSql, exactConditions, namedSql } from '../../fhir/search/own-condition.ts';
import { meaningOf } from '../../fhir/search/run.ts';
import { scopeOf, selectFrom } from '../../fhir/search/sql.ts';
import { raw } from '../../platform/database/sql.ts';
import type { Person } from './person.ts';
import { seenConditions } from './rights.ts';

const RULE = grantAll({ kind: 'system', name: 'access' }).to('read');

/** For how long it is remembered. SQL asks for whom they have seen anew each time; what is judged on a resource, as old versions are, takes this. */
export const STANDING_MS = 5_000;

async function idsOf(engine: Engine, type: string, param: string, references: readonly string[]): Promise<string[]> {
  const meaning = meaningOf(engine, engine.clock.now());
  const conditions = exactConditions(engine, meaning, type, [[param, references.join()]]);
  if (!conditions) return [];
  const scope = scopeOf(RULE, type, 'r');
  const rows = await engine.repository.query(selectFrom(scope, raw('r.id'), conditionsSql(meaning, scope, conditions)));
  return rows.map(([id]) => `${type}/${String(id)}`).sort();
}

type Standing = Pick<Person, 'practitioners' | 'schedules' | 'seen'>;

/** @param profiles `Practitioner/1` */
export async function standingOf(engine: Engine, profiles: readonly string[]): Promise<Standing> {
  const selves = profiles.filter((p) => p.startsWith('Practitioner/')).sort();
  if (selves.length === 0) return { practitioners: [], schedules: [], seen: new Set() };
  const practitioners = [...selves, ...(await idsOf(engine, 'PractitionerRole', 'practitioner', selves))];
  const meaning = meaningOf(engine, engine.clock.now());
  const by = seenConditions(engine, meaning, practitioners);
  const patient = engine.definitions.searchParams('Appointment').get('patient');
  const named = by && patient && namedSql(meaning, 'Appointment', patient, by.conditions);
  const [schedules, seen] = await Promise.all([
    idsOf(engine, 'Schedule', 'actor', practitioners),
    named ? engine.repository.query(named) : [],
  ]);
  return { practitioners, schedules, seen: new Set(seen.map(([reference]) => String(reference))) };
}
