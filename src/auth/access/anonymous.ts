/** The access of those who have not said who they are: the directory, and nothing else. */
import type { Access, Principal } from '../../fhir/access.ts';
import type { Engine } from '../../fhir/engine.ts';
import { unauthorized } from '../../fhir/http/challenge.ts';
import { meaningOf } from '../../fhir/search/run.ts';
import { ANONYMOUS, DIRECTORY } from './policy.ts';
import { openToAll } from './rights.ts';
import { rowsByAct } from './rows.ts';

export function anonymousAccess(engine: Engine): Access {
  const meaning = meaningOf(engine, engine.clock.now());
  const principal: Principal = { kind: 'anonymous', name: 'anonymous' };
  return {
    principal,
    key: 'anonymous',
    demand(interaction, type) {
      if (!ANONYMOUS.has(interaction)) throw unauthorized();
      if (interaction !== 'capabilities' && (type === undefined || DIRECTORY[type] === undefined)) throw unauthorized();
    },
    to: rowsByAct(principal, meaning, (type, act) => openToAll(engine, meaning, type, act)),
  };
}
