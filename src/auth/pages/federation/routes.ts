/** The routes of sign-in by other providers and of launches by EHRs. */
import type { OutboundFetch } from '../../../platform/outbound.ts';
import { openLaunched, returnFromEhr, showLaunched, startFromEhr } from './launch.ts';
import { open, own, type Handler, type Route } from '../route.ts';
import type { OwnVisit, Visit } from '../visit.ts';
import type { AuthParts } from '../../parts.ts';
import { doInvited } from './invited.ts';
import { returnFromUpstream, startUpstream } from './upstream.ts';
import { withFailures } from './failure.ts';
import { doLink, showLink, showProviders, undoLink } from './link.ts';
import { spend } from '../../attempts.ts';
import { PageError } from '../errors.ts';
import { browserOf } from '../acting.ts';
import type { FederationParts } from '../../federation/parts.ts';
import { createRemotes } from '../../federation/remote.ts';

const WORKS_HERE = { roles: ['staff', 'physician', 'admin'] } as const;

/** Each begins a row that lives ten minutes, and anybody may begin one. */
const MAX_QUERY = 8_192;
const FLOWS = { limit: 300, seconds: 900 } as const;

/** @throws PageError 414 @throws Refusal `limited` */
async function demandRoom(parts: AuthParts, visit: Visit): Promise<void> {
  if (visit.url.search.length > MAX_QUERY) throw new PageError(414, 'bad', 'too-long');
  await spend(parts, [{ key: ['federation', 'source', browserOf(visit).source], ...FLOWS }]);
}

export function federationRoutes(authParts: AuthParts, outbound: OutboundFetch): readonly Route[] {
  const parts: FederationParts = { ...authParts, remotes: createRemotes(authParts.clock, outbound) };
  const anyone = (page: (parts: FederationParts, visit: Visit) => Promise<Response>): Handler<Visit> =>
    withFailures((visit) => page(parts, visit));
  const beginning = (page: (parts: FederationParts, visit: Visit) => Promise<Response>): Handler<Visit> =>
    withFailures(async (visit) => {
      await demandRoom(parts, visit);
      return page(parts, visit);
    });
  const known = (page: (parts: FederationParts, visit: OwnVisit) => Promise<Response>): Handler<OwnVisit> =>
    withFailures((visit) => page(parts, visit));
  return [
    open('/signin/with/:id', { GET: beginning(startUpstream) }),
    open('/signin/callback/:id', { GET: anyone(returnFromUpstream) }),
    {
      ...own('/signin/link', { POST: known(doLink) }),
      ...open('/signin/link', { GET: anyone(showLink) }),
      isOwn: true,
    },
    open('/signin/invited', { POST: anyone(doInvited) }),
    {
      ...own('/account/providers', { GET: known(showProviders) }),
      ...own('/account/providers', { POST: known(undoLink) }, { stepUp: true }),
    },
    open('/launch', { GET: beginning(startFromEhr) }),
    open('/launch/callback', { GET: anyone(returnFromEhr) }),
    open('/launch/callback/:id', { GET: anyone(returnFromEhr) }),
    own('/launched/open/:connection', { GET: known(openLaunched) }, WORKS_HERE),
    own('/launched/:patient', { GET: known(showLaunched) }, WORKS_HERE),
  ];
}
