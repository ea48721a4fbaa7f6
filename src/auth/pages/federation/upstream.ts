/** Sign-in by a clinic's own OpenID Connect provider. @see https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth */
import type { UpstreamSettings } from '../../../platform/identity-settings.ts';
import { browserOf, goOn, wantedPath } from '../acting.ts';
import { missing } from '../errors.ts';
import { goTo, type Visit } from '../visit.ts';
import { beginCode, finishCode, takeCodeFlow } from '../../federation/code-flow.ts';
import { enter } from '../../federation/enter.ts';
import { failure } from '../../federation/failure.ts';
import { cookiesSent, forgetCookie } from '../../federation/flow.ts';
import { accountLinkedTo } from '../../federation/link.ts';
import type { FederationParts } from '../../federation/parts.ts';
import { upstreamRedirect, upstreamRemote } from '../../upstream/provider.ts';
import { letWait } from '../../federation/waiting.ts';

/** What a flow remembers. */
interface Own {
  readonly id: string;
  readonly to: string;
  /** The person shall prove there anew who they are. */
  readonly fresh: boolean;
  /** Account that is signed in and wants to link: it is not exchanged for another. */
  readonly linkFor: string | undefined;
  /** Of an invitation that makes the account. */
  readonly ticket: string | undefined;
}

const isOwn = (value: unknown): value is Own =>
  typeof value === 'object' && value !== null && 'id' in value && 'to' in value;

/** Time for a proof to get from there to here. */
const FRESH_SECONDS = 60;

function upstreamOf(parts: FederationParts, visit: Visit): UpstreamSettings {
  const upstream = parts.settings.upstreams.find((u) => u.id === visit.params['id']);
  if (!upstream) throw missing();
  return upstream;
}

/** `?return=` where to go on; `?link=` links with who is signed in; `?invitation=` makes the account that the ticket invites to; `?fresh=` demands a proof of now, by who is signed in; `?anew=` by anybody. */
export async function startUpstream(parts: FederationParts, visit: Visit): Promise<Response> {
  const upstream = upstreamOf(parts, visit);
  const same = visit.query.has('fresh');
  const fresh = same || visit.query.has('anew');
  const ticket = visit.query.has('invitation') ? visit.query.exact('invitation') : undefined;
  // Who proves anew must be who they were.
  const linkFor = same || visit.query.has('link') ? visit.account?.id : undefined;
  const { url, cookies } = await beginCode(parts, {
    kind: 'signin',
    configuration: await parts.remotes.configurationOf(upstreamRemote(upstream)),
    redirectUri: upstreamRedirect(parts, upstream),
    scope: upstream.scope,
    ...(fresh ? { parameters: { prompt: 'login', max_age: '0' } } : {}),
    own: { id: upstream.id, to: wantedPath(visit), fresh, linkFor, ticket } satisfies Own,
    cookieHeader: cookiesSent(visit),
  });
  return goTo(visit, url, cookies);
}

export async function returnFromUpstream(parts: FederationParts, visit: Visit): Promise<Response> {
  const upstream = upstreamOf(parts, visit);
  const cookieHeader = cookiesSent(visit);
  const returned = await takeCodeFlow(parts, 'signin', visit.url, cookieHeader);
  const { own, state } = returned;
  // Begun with another provider: its answer must not end here.
  if (!isOwn(own) || own.id !== upstream.id) throw failure('flow');
  const { proven } = await finishCode(await parts.remotes.configurationOf(upstreamRemote(upstream)), returned, {
    redirectUri: upstreamRedirect(parts, upstream),
    answer: visit.url,
    mfaAcr: upstream.mfaAcr,
    ...(own.fresh ? { maxAge: FRESH_SECONDS } : {}),
  });
  const forgotten = forgetCookie(parts, state);
  const identity = { issuer: proven.issuer, subject: proven.subject };
  const account = await accountLinkedTo(parts, identity);
  if (!account) {
    const next =
      own.ticket === undefined
        ? ({ kind: 'signin', to: own.to } as const)
        : ({ kind: 'invitation', ticket: own.ticket } as const);
    const { path, cookies } = await letWait(parts, { identity, proven, provider: upstream.name, next }, cookieHeader);
    return goTo(visit, path, [forgotten, ...cookies]);
  }
  if (own.ticket !== undefined || (own.linkFor !== undefined && own.linkFor !== account.id)) throw failure('taken');
  const before = visit.session ?? visit.pending?.session;
  visit.cookies.push(forgotten);
  return goOn(visit, await enter(parts, account, proven, before, browserOf(visit)), own.to);
}
