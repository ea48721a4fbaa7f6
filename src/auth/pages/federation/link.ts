/** Linking an identity elsewhere with the account that is signed in, seeing such links, and undoing them. */
import { html } from 'hono/html';
import { demandStepUp } from '../../mfa/policy.ts';
import { isSteppedUp } from '../../session/session.ts';
import { postButton, postForm, dayText } from '../fields.ts';
import { withPath } from '../acting.ts';
import { goTo, showPage, type OwnVisit, type Visit } from '../visit.ts';
import { invitedPage } from './invited.ts';
import { claimTokens } from '../../ehr/connection.ts';
import { enterLaunch } from './enter-launch.ts';
import { demandWorksHere } from '../../ehr/launch.ts';
import { failure } from '../../federation/failure.ts';
import { cookiesSent, forgetCookie } from '../../federation/flow.ts';
import { identitiesOf, linkIdentity, unlinkIdentities } from '../../federation/link.ts';
import type { FederationParts } from '../../federation/parts.ts';
import { lookAtWaiting, takeWaiting, waitingPath, type Waiting } from '../../federation/waiting.ts';

const STEPS = { 'needs-second-factor': '/signin/second', 'must-enrol': '/signin/enrol' } as const;

function strangerPage(visit: Visit, { provider }: Waiting, here: string): Response | Promise<Response> {
  const { t } = visit;
  const body = html`<div class="card">
    <h1>${t.federation.unlinkedTitle(provider)}</h1>
    <p>${t.federation.unlinkedLead(provider)}</p>
    <div class="actions">
      <a class="button primary" href="${withPath('/signin', here)}">${t.federation.unlinkedSignIn}</a>
    </div>
    <p class="quiet small">${t.federation.unlinkedInvited}</p>
  </div>`;
  return showPage(visit, { title: t.federation.unlinkedTitle(provider), body });
}

/** `GET /signin/link?flow=…` */
export async function showLink(parts: FederationParts, visit: Visit): Promise<Response> {
  const { t, account, session, pending } = visit;
  const state = visit.query.exact('flow');
  const waiting = await lookAtWaiting(parts, state, cookiesSent(visit));
  const here = waitingPath(state);
  if (waiting.next.kind === 'invitation') return invitedPage(visit, waiting, waiting.next.ticket, state);
  if (pending) return goTo(visit, withPath(STEPS[pending.state], here));
  if (!account || !session) return strangerPage(visit, waiting, here);
  if (waiting.next.kind === 'launch') demandWorksHere(account);
  // It opens the account from then on: like a new password.
  if (!isSteppedUp(parts, session)) return goTo(visit, withPath('/step-up', here));
  const { provider, proven } = waiting;
  const body = html`<div class="card">
    <h1>${t.federation.linkTitle(provider)}</h1>
    <p>${t.federation.linkLead(provider, account.name === '' ? account.email : account.name)}</p>
    ${
      proven.called === undefined
        ? undefined
        : html`<dl>
            <dt>${t.federation.linkCalled(provider)}</dt>
            <dd>${proven.called}</dd>
          </dl>`
    }
    <p class="quiet small">${t.federation.linkMistake}</p>
    ${postForm(
      visit,
      '/signin/link',
      html`<div class="actions">
        <button class="primary">${t.federation.linkSubmit}</button>
        <a class="button" href="/">${t.common.cancel}</a>
      </div>`,
      { flow: state },
    )}
  </div>`;
  return showPage(visit, { title: t.federation.linkTitle(provider), body });
}

/** `POST /signin/link` */
export async function doLink(parts: FederationParts, visit: OwnVisit): Promise<Response> {
  const { account, session } = visit;
  demandStepUp(parts, session);
  const state = visit.form.exact('flow');
  const waiting = await takeWaiting(parts, state, cookiesSent(visit));
  const { identity, proven, next } = waiting;
  if (next.kind === 'invitation') throw failure('flow');
  if (next.kind === 'launch') demandWorksHere(account);
  await linkIdentity(parts, account, identity);
  const forgotten = forgetCookie(parts, state);
  if (next.kind === 'signin')
    return goTo(visit, next.to === '/' ? '/account/providers?done=linked' : next.to, [forgotten]);
  const tokens = await claimTokens(parts, next.tokens);
  return enterLaunch(parts, visit, account, proven, { ...next.launched, tokens }, [forgotten]);
}

/** What the person calls an issuer: the name in the configuration, or the address of one that is no longer in it. */
function nameOf({ settings }: FederationParts, issuer: string): string {
  const [kind, base = ''] = issuer.split(' ');
  if (kind === 'ehr') return settings.ehrs.find((e) => e.issuer === base)?.name ?? base;
  return settings.upstreams.find((u) => new URL(u.issuer).href === new URL(issuer).href)?.name ?? issuer;
}

/** `GET /account/providers` */
export async function showProviders(parts: FederationParts, visit: OwnVisit): Promise<Response> {
  const { t, account } = visit;
  const linked = await identitiesOf(parts, account.id);
  const done = visit.query.text('done');
  const names = linked.map((l) => ({ ...l, name: nameOf(parts, l.issuer) }));
  const others = parts.settings.upstreams.filter((u) => !names.some((n) => n.name === u.name));
  const body = html`<h1>${t.federation.providersTitle}</h1>
    <p class="lead">${t.federation.providersLead}</p>
    <div class="card">
      ${names.length + others.length === 0 ? html`<p>${t.federation.providersNone}</p>` : undefined}
      <ul class="rows">
        ${names.map(
          ({ issuer, name, since }) =>
            html`<li class="row">
              <div>
                <h2 class="row-title">${name}</h2>
                <p class="quiet small">${t.federation.linkedSince} ${dayText(visit, since)}</p>
              </div>
              ${postButton(visit, '/account/providers', t.federation.unlink, { issuer }, 'compact danger', name)}
            </li>`,
        )}
        ${others.map(
          ({ id, name }) =>
            html`<li class="row">
              <a class="button" href="${`/signin/with/${id}?link=1&return=/account/providers`}"
                >${t.federation.add(name)}</a
              >
            </li>`,
        )}
      </ul>
    </div>`;
  const notices: Readonly<Record<string, string>> = { linked: t.federation.linked, unlinked: t.federation.unlinked };
  return showPage(visit, { title: t.federation.providersTitle, body, section: 'account', notice: notices[done] });
}

/** `POST /account/providers`: unlinks. */
export async function undoLink(parts: FederationParts, visit: OwnVisit): Promise<Response> {
  await unlinkIdentities(parts, visit, visit.form.exact('issuer'));
  return goTo(visit, '/account/providers?done=unlinked');
}
