/** Alternatives of conditions as the rows of an act: in SQL at any alias, and judged on resources. Made when a type is first asked for. */
import {
  accessPredicate,
  ACTS,
  type Act,
  type AccessPredicate,
  type Principal,
  type Reach,
  type Rows,
  type Veil,
} from '../../fhir/access.ts';
import { conditionsHold, conditionsSql } from '../../fhir/search/own-condition.ts';
import type { Meaning } from '../../fhir/search/kind.ts';
import { and, or, raw } from '../../platform/database/sql.ts';
import type { Alternative } from './rights.ts';

const ALL = accessPredicate(raw('true'));
const NONE = accessPredicate(raw('false'));

/** The rows of one type. */
interface TypeRows {
  readonly reach: Reach;
  readonly key: string;
  readonly alternatives: readonly Alternative[];
  readonly veil: Veil | undefined;
  /** By alias. */
  readonly written: Map<string, AccessPredicate>;
}

/** How many aliases of one statement are remembered; more are written anew. */
const MOST_ALIASES = 4;

const MOST_FIRST = ['all', 'some'] as const;

/** Several ways to see a resource show as much as the best of those that lead to it; of equal ones, the first. */
function veilOf(meaning: Meaning, alternatives: readonly Alternative[]): Veil | undefined {
  const veils = new Set(alternatives.map(({ veil }) => veil));
  const [only] = veils;
  if (veils.size <= 1) return only;
  // By one way everything may be shown: others may hide it, but do so only where that way does not lead.
  return {
    hides: (param) => {
      const degrees = new Set([...veils].map((veil) => veil?.hides(param) ?? 'none'));
      return MOST_FIRST.find((degree) => degrees.has(degree)) ?? 'none';
    },
    shown(text) {
      const resource: unknown = JSON.parse(text);
      const ways = alternatives.filter((a) => conditionsHold(meaning, a.conditions, resource));
      const best = ways.find(({ veil }) => veil === undefined) ?? ways[0] ?? alternatives.find(({ veil }) => veil);
      return best?.veil?.shown(text) ?? text;
    },
  };
}

function typeRows(meaning: Meaning, alternatives: readonly Alternative[]): TypeRows {
  const reach =
    alternatives.length === 0 ? 'none' : alternatives.some((a) => a.conditions.length === 0) ? 'all' : 'some';
  const key = reach === 'some' ? alternatives.map((a) => a.text).join('\n') : reach;
  return { reach, key, alternatives, veil: veilOf(meaning, alternatives), written: new Map() };
}

function createRows(
  act: Act,
  principal: Principal,
  meaning: Meaning,
  alternativesOf: (type: string) => readonly Alternative[],
): Rows {
  const types = new Map<string, TypeRows>();
  const of = (type: string): TypeRows => {
    let known = types.get(type);
    if (!known) types.set(type, (known = typeRows(meaning, alternativesOf(type))));
    return known;
  };
  return {
    act,
    principal,
    reach: (type) => of(type).reach,
    key: (type) => of(type).key,
    rows(type, alias) {
      const { reach, alternatives, written } = of(type);
      if (reach !== 'some') return reach === 'all' ? ALL : NONE;
      let predicate = written.get(alias);
      if (!predicate) {
        predicate = accessPredicate(
          or(alternatives.map((a) => and(conditionsSql(meaning, { type, alias }, a.conditions, act === 'search')))),
        );
        if (written.size < MOST_ALIASES) written.set(alias, predicate);
      }
      return predicate;
    },
    narrow: (type) => {
      const { reach, alternatives } = of(type);
      return (
        reach === 'some' &&
        alternatives.every((a) => a.conditions.some((c) => c.kind === 'compartment' || c.kind === 'known-by'))
      );
    },
    veil: (type) => of(type).veil,
    admits: (type, resource) => of(type).alternatives.some((a) => conditionsHold(meaning, a.conditions, resource)),
  };
}

/** The rows of every act. @param alternativesOf those of a type; none: no row */
export function rowsByAct(
  principal: Principal,
  meaning: Meaning,
  alternativesOf: (type: string, act: Act) => readonly Alternative[],
): (act: Act) => Rows {
  const all = new Map(
    ACTS.map((act) => [act, createRows(act, principal, meaning, (type) => alternativesOf(type, act))]),
  );
  return (act) => {
    const rows = all.get(act);
    if (!rows) throw new Error(`There is no act ${act}`);
    return rows;
  };
}
