/** `/signout`: ends our session, that of the authorization server in this browser, and what hangs on them. */
import { html } from 'hono/html';
import { poolNamed } from '../../platform/database/pool.ts';
import { secretHash } from '../../platform/keys.ts';
import { setCookie } from '../session/cookies.ts';
import { endSession } from '../session/end.ts';
import { sessionOf } from '../session/session.ts';
import { postForm } from './fields.ts';
import { redirect } from './reply.ts';
import { header, showPage, type Visit } from './visit.ts';

export async function showSignOut(visit: Visit): Promise<Response> {
  const { t } = visit;
  const body = html`<div class="card">
    <h1>${t.signedOut.title}</h1>
    <p>${t.signedOut.lead}</p>
    ${postForm(
      visit,
      '/signout',
      html`<div class="actions">
        <button class="primary">${t.signedOut.submit}</button><a class="button" href="/">${t.common.cancel}</a>
      </div>`,
    )}
  </div>`;
  return showPage(visit, { title: t.signedOut.title, body });
}

const names = (secure: boolean): readonly string[] => (secure ? ['__Host-op', '__Host-op.sig'] : ['op', 'op.sig']);

/** The session of the authorization server that this browser has. */
async function endProviderSession(visit: Visit): Promise<readonly string[]> {
  const secure = visit.parts.publicUrl.startsWith('https:');
  const [name = ''] = names(secure);
  const pair = (header(visit, 'cookie') ?? '').split(/;\s*/).find((p) => p.startsWith(`${name}=`));
  const id = pair?.slice(name.length + 1);
  if (id !== undefined)
    await poolNamed(visit.parts.pool, `delete from auth_oidc where model = 'Session' and id_hash = $1`, [
      secretHash(id),
    ]);
  return names(secure).map((n) => `${n}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0${secure ? '; Secure' : ''}`);
}

/** The reply after a sign-out: nothing that was shown stays in the browser. */
export async function signedOut(visit: Visit): Promise<Response> {
  const cookies = [setCookie(visit.parts, 'sid', '', 0), ...(await endProviderSession(visit))];
  return redirect('/signin?reason=ended', { cookies, headers: { 'Clear-Site-Data': '"cache", "storage"' } });
}

export async function signOut(visit: Visit): Promise<Response> {
  // Also one that lacks its second factor.
  const session = await sessionOf(visit.parts, header(visit, 'cookie'));
  if (session) await endSession(visit.parts, session.uid);
  return signedOut(visit);
}
