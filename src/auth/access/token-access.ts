/** The access of a token: its scopes ∩ the rights of whoever it was given by. */
import { hash } from 'node:crypto';
import { actOf, type Access, type Act, type Interaction, type Principal } from '../../fhir/access.ts';
import type { Engine } from '../../fhir/engine.ts';
import { insufficientScope } from '../../fhir/http/challenge.ts';
import { meaningOf } from '../../fhir/search/run.ts';
import type { Letter } from '../smart/scope.ts';
import { rightsText } from './person.ts';
import { LETTER_OF } from './policy.ts';
import { alternatives, counts, selfOf, type Granted } from './rights.ts';
import { rowsByAct } from './rows.ts';

/** Letters of each type's scopes; those of `*` count for all. */
function lettersByType(granted: Granted): ReadonlyMap<string, ReadonlySet<Letter>> {
  const found = new Map<string, Set<Letter>>();
  for (const scope of granted.scopes) {
    if (!counts(granted, scope)) continue;
    const letters = found.get(scope.type) ?? new Set<Letter>();
    for (const letter of scope.letters) letters.add(letter);
    found.set(scope.type, letters);
  }
  return found;
}

const needed = (letter: Letter, type: string | undefined, { rights, patient }: Granted): string => {
  const level = rights.kind === 'system' ? 'system' : patient === undefined ? 'user' : 'patient';
  return type === undefined ? `a scope with .${letter}` : `a scope such as ${level}/${type}.${letter}`;
};

export function tokenAccess(engine: Engine, granted: Granted, principal: Principal): Access {
  const letters = lettersByType(granted);
  const self = selfOf(granted);
  const meaning = meaningOf(engine, engine.clock.now());
  const to = rowsByAct(principal, meaning, (type, act) => alternatives(engine, meaning, granted, type, act));
  const has = (type: string | undefined, letter: Letter): boolean =>
    type === undefined
      ? letters.values().some((some) => some.has(letter))
      : letters.get(type)?.has(letter) === true || letters.get('*')?.has(letter) === true;

  const demandAct = (act: Act, type: string | undefined, what: string): void => {
    const letter = LETTER_OF[act];
    if (letter === undefined) return;
    const where = type === undefined ? '' : ` ${type}`;
    if (!has(type, letter))
      throw insufficientScope(
        `The access token does not reach so far: ${what}${where} needs ${needed(letter, type, granted)}.`,
      );
    if (act === 'create' && type !== undefined && to('create').reach(type) === 'none')
      throw insufficientScope(`With this access no ${type} may be created.`);
  };

  return {
    principal,
    key: hash(
      'sha256',
      JSON.stringify([
        rightsText(granted.rights),
        granted.scopes.map((s) => s.text),
        granted.patient,
        granted.self ?? null,
      ]),
      'base64url',
    ),
    demand(interaction: Interaction, type?: string, acts: readonly Act[] = [], id?: string) {
      const act = actOf(interaction);
      if (act === 'get' && self !== undefined && self === `${type}/${id}`) return;
      if (act) demandAct(act, type, interaction);
      else for (const each of acts) demandAct(each, type, interaction);
    },
    to,
  };
}
