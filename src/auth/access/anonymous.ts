/** The access of those who have not said who they are: the directory, and nothing else. */
import type { Access } from '../../fhir/access.ts';
import type { Engine } from '../../fhir/engine.ts';
import { unauthorized } from '../../fhir/http/challenge.ts';
import { meaningOf } from '../../fhir/search/run.ts';
import { ANONYMOUS, DIRECTORY, DIRECTORY_ACTS } from './policy.ts';
import { directory } from './rights.ts';
import { rowsByAct } from './rows.ts';

export function anonymousAccess(engine: Engine): Access {
  const meaning = meaningOf(engine, engine.clock.now());
  return {
    principal: { kind: 'anonymous', name: 'anonymous' },
    key: 'anonymous',
    demand(interaction, type) {
      if (!ANONYMOUS.has(interaction)) throw unauthorized();
      if (interaction !== 'capabilities' && (type === undefined || DIRECTORY[type] === undefined)) throw unauthorized();
    },
    to: rowsByAct(meaning, (type, act) => {
      const open = DIRECTORY_ACTS.has(act) && act !== 'refer' ? directory(engine, meaning, type) : undefined;
      return open ? [open] : [];
    }),
  };
}
