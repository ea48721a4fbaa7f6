/** `/signin`: by address and password, by passkey, or by another provider. */
import { html } from 'hono/html';
import { signIn } from '../accounts/sign-in.ts';
import { formTarget } from '../form-target.ts';
import { beginPasskeySignIn, signInByPasskey } from '../mfa/passkey-proof.ts';
import { afterProof, browserOf, goOn, orExplain, orTell, tellNext, wantedPath, withPath } from './acting.ts';
import { field, passkeyForm, passwordField, postForm } from './fields.ts';
import { interactionTarget } from './interaction-target.ts';
import type { PageOptions } from './layout.ts';
import { jsonReply } from './reply.ts';
import { goTo, showPage, type Visit } from './visit.ts';

const REASONS = ['ended', 'expired', 'changed'] as const;

async function page(visit: Visit, path: string, wrong = false): Promise<PageOptions> {
  const { t, parts } = visit;
  const target = await interactionTarget(parts, path);
  const hidden = { return: path };
  const { upstreams } = parts.settings;
  // A session there of long ago would be no new proof.
  const anew = visit.query.text('again') === '' ? '' : `${path === '/' ? '?' : '&'}anew=1`;
  const body = html`<div class="card">
      <h1>${t.signIn.title}</h1>
      ${target ? html`<p class="lead">${t.signIn.forApp(target.clientName)}</p>` : undefined}
      ${postForm(
        visit,
        '/signin',
        html`${field({
            name: 'email',
            label: t.fields.email,
            type: 'email',
            autocomplete: 'username webauthn',
            value: visit.form.text('email').slice(0, 320),
            wrong,
            focus: !wrong,
          })}
          ${passwordField(visit, { wrong, focus: wrong })}
          <button class="primary wide-button">${t.signIn.submit}</button>`,
        hidden,
      )}
      <p class="more"><a href="/reset">${t.signIn.forgotten}</a></p>
      <p class="or">${t.signIn.or}</p>
      <div class="stack tight">
        ${passkeyForm(visit, 'get', '/signin/passkey', html`<button class="wide-button">${t.signIn.passkey}</button>`, hidden)}
        ${upstreams.map(
          ({ id, name }) =>
            html`<p>
              <a class="button wide-button" href="${`${withPath(`/signin/with/${id}`, path)}${anew}`}"
                >${t.signIn.with(name)}</a
              >
            </p>`,
        )}
      </div>
    </div>
    <p class="more">
      ${t.signIn.noAccount} <a href="/register">${t.signIn.register}</a><br />${t.signIn.invited}
      <a href="/invitation">${t.signIn.invitedLink}</a>
    </p>`;
  const reason = REASONS.find((r) => r === visit.query.text('reason'));
  return {
    title: t.signIn.title,
    body,
    scripts: ['passkey.js', 'password.js'],
    notice: reason && !wrong ? t.signIn[reason] : undefined,
    plain: target !== undefined,
  };
}

/** Where the forms of a page may lead after signing in, by way of an app's authorization request. */
export const targetsOf = async ({ parts }: Visit, path: string): Promise<readonly string[]> =>
  formTarget((await interactionTarget(parts, path))?.redirectUri);

export async function showSignIn(visit: Visit): Promise<Response> {
  const path = wantedPath(visit);
  // An app may ask for a new proof of who is signed in already.
  if (visit.query.text('again') === '') {
    if (visit.account) return goTo(visit, path);
    if (visit.pending)
      return goTo(visit, withPath(visit.pending.state === 'must-enrol' ? '/signin/enrol' : '/signin/second', path));
  }
  return showPage(visit, await page(visit, path), { formTargets: await targetsOf(visit, path) });
}

export async function doSignIn(visit: Visit): Promise<Response> {
  const path = wantedPath(visit);
  return orExplain(
    visit,
    async () => {
      const given = { email: visit.form.text('email'), password: visit.form.exact('password') };
      return goOn(visit, await signIn(visit.parts, { ...browserOf(visit), ...given }), path);
    },
    () => page(visit, path, true),
  );
}

export const passkeyOptions = (visit: Visit): Promise<Response> =>
  orTell(visit, async () =>
    jsonReply(await beginPasskeySignIn(visit.parts, browserOf(visit).source), { cookies: visit.cookies }),
  );

export const passkeySignIn = (visit: Visit): Promise<Response> =>
  orTell(visit, async () => {
    const { form } = visit;
    const given = { flow: form.exact('flow'), credential: form.exact('credential') };
    const signedIn = await signInByPasskey(visit.parts, { ...browserOf(visit), ...given });
    return tellNext(visit, afterProof(signedIn, wantedPath(visit)), signedIn.cookies);
  });
