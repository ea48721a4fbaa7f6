/** `/account/sessions`: where somebody is signed in, and signing out there. */
import { html } from 'hono/html';
import { endSessionOf, endSessions, listSessions } from '../session/end.ts';
import { momentText, postButton } from './fields.ts';
import { signedOut } from './sign-out.ts';
import { goTo, showPage, type OwnVisit } from './visit.ts';

export async function showSessions(visit: OwnVisit): Promise<Response> {
  const { t, account, session } = visit;
  const sessions = await listSessions(visit.parts, account.id);
  const device = (name: string): string => (name === '' ? t.sessions.unknown : name);
  const body = html`<h1>${t.sessions.title}</h1>
    <p class="lead">${t.sessions.lead}</p>
    <div class="card">
      <ul class="rows">
        ${sessions.map(
          (s) =>
            html`<li class="row">
              <div>
                <h2 class="row-title">
                  ${device(s.device)}
                  ${s.uid === session.uid ? html`<span class="tag">${t.sessions.current}</span>` : undefined}
                  ${s.isHalfWay ? html`<span class="tag off">${t.sessions.halfWay}</span>` : undefined}
                </h2>
                <p class="quiet small">
                  ${t.sessions.since}: ${momentText(visit, s.startedAt)}<br />${t.sessions.seen}:
                  ${momentText(visit, s.lastSeenAt)}
                </p>
              </div>
              ${
                s.uid === session.uid
                  ? undefined
                  : postButton(
                      visit,
                      '/account/sessions/end',
                      t.sessions.end,
                      { uid: s.uid },
                      'compact danger',
                      device(s.device),
                    )
              }
            </li>`,
        )}
      </ul>
    </div>
    <div class="card">
      <p>${t.sessions.endAllNote}</p>
      ${postButton(visit, '/account/sessions/end-all', t.sessions.endAll, {}, 'danger')}
    </div>`;
  return showPage(visit, {
    title: t.sessions.title,
    body,
    section: 'account',
    notice: visit.query.text('done') === 'ended' ? t.sessions.ended : undefined,
  });
}

export async function endThere(visit: OwnVisit): Promise<Response> {
  await endSessionOf(visit.parts, visit.account.id, visit.form.text('uid'));
  return goTo(visit, '/account/sessions?done=ended');
}

export async function endEverywhere(visit: OwnVisit): Promise<Response> {
  await endSessions(visit.parts, visit.account.id);
  return signedOut(visit);
}
