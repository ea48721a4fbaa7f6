/** `/signin/second` completes a sign-in, `/step-up` proves again before the sensitive acts: by the same means. */
import { html } from 'hono/html';
import type { Person } from '../accounts/actor.ts';
import { proveByPassword } from '../accounts/sign-in.ts';
import type { SignedIn } from '../accounts/signed-in.ts';
import { factorsOf, hasFactor } from '../mfa/factors.ts';
import { beginPasskeyProof, proveByPasskey } from '../mfa/passkey-proof.ts';
import { proveByRecoveryCode, proveByTotp } from '../mfa/second-factor.ts';
import { refuse, type Refusal } from '../refusal.ts';
import { anyPerson, browserOf, goOn, orExplain, orTell, tellNext, afterProof, wantedPath, withPath } from './acting.ts';
import { field, passkeyForm, passwordField, postForm } from './fields.ts';
import type { Html, PageOptions } from './layout.ts';
import { jsonReply } from './reply.ts';
import { targetsOf } from './sign-in.ts';
import { goTo, showPage, type Visit } from './visit.ts';

type Place = '/signin/second' | '/step-up';

const placeOf = ({ url }: Visit): Place => (url.pathname.startsWith('/step-up') ? '/step-up' : '/signin/second');

/** Whoever may prove something at this place; undefined: nobody who is here. */
function proverOf(visit: Visit): Person | undefined {
  if (placeOf(visit) === '/step-up')
    return visit.account || visit.pending?.state === 'must-enrol' ? anyPerson(visit) : undefined;
  return visit.pending?.state === 'needs-second-factor' ? anyPerson(visit) : undefined;
}

/** Where somebody goes who has nothing to prove here. */
function elsewhere(visit: Visit, path: string): Response {
  if (visit.account) return goTo(visit, path);
  if (visit.pending)
    return goTo(visit, withPath(visit.pending.state === 'must-enrol' ? '/signin/enrol' : '/signin/second', path));
  return goTo(visit, withPath('/signin', placeOf(visit) === '/step-up' ? withPath('/step-up', path) : path));
}

function passwordPart(visit: Visit, path: string, wrong: boolean): Html {
  const { t } = visit;
  return postForm(
    visit,
    '/step-up',
    html`${passwordField(visit, { wrong, focus: true })}<button class="primary wide-button">
        ${t.stepUp.submit}
      </button>`,
    { return: path },
  );
}

async function page(visit: Visit, person: Person, path: string, refusal?: Refusal): Promise<PageOptions> {
  const { t, parts } = visit;
  const place = placeOf(visit);
  const texts = place === '/step-up' ? t.stepUp : t.second;
  const factors = await factorsOf(parts, person.account.id);
  const hidden = { return: path };
  const usedRecovery = visit.form.has('recovery');
  const wrong = refusal !== undefined;
  const passkey =
    factors.passkeys > 0
      ? passkeyForm(
          visit,
          'get',
          `${place}/passkey`,
          html`<button class="${factors.totp ? '' : 'primary'} wide-button">${t.second.passkey}</button>`,
          hidden,
        )
      : undefined;
  const totp = factors.totp
    ? postForm(
        visit,
        place,
        html`${field({
            name: 'code',
            label: t.fields.totpCode,
            hint: t.fields.totpHint,
            autocomplete: 'one-time-code',
            inputmode: 'numeric',
            code: true,
            maxlength: 12,
            wrong: wrong && !usedRecovery,
            focus: !usedRecovery,
          })}<button class="primary wide-button">${texts.submit}</button>`,
        hidden,
      )
    : undefined;
  const recovery =
    factors.recoveryCodes > 0
      ? html`<details ${usedRecovery ? html`open` : undefined}>
          <summary>${t.second.recovery}</summary>
          ${postForm(
            visit,
            place,
            html`${field({
                name: 'recovery',
                label: t.fields.recoveryCode,
                hint: t.fields.recoveryHint,
                autocomplete: 'off',
                maxlength: 64,
                wrong: wrong && usedRecovery,
              })}<button class="wide-button">${t.second.useRecovery}</button>`,
            hidden,
          )}
        </details>`
      : undefined;
  const own = hasFactor(factors);
  // Who has a factor must show it; others prove the password again, or the provider that they came by.
  const plain =
    place === '/step-up' && !own
      ? person.account.hasPassword
        ? passwordPart(visit, path, wrong)
        : html`${parts.settings.upstreams.map(
            ({ id, name }) =>
              html`<p>
                <a class="button wide-button" href="${`/signin/with/${id}?fresh=1&return=${encodeURIComponent(path)}`}"
                  >${t.signIn.with(name)}</a
                >
              </p>`,
          )}
          ${parts.settings.upstreams.length === 0 ? html`<p>${t.stepUp.none}</p>` : undefined}`
      : undefined;
  const body = html`<div class="card stack">
    <div>
      <h1>${texts.title}</h1>
      <p class="lead">${texts.lead}</p>
    </div>
    ${totp} ${passkey} ${plain} ${recovery}
    ${place === '/signin/second' ? html`<p class="quiet small">${t.second.lost}</p>` : undefined}
  </div>`;
  return { title: texts.title, body, scripts: ['passkey.js', 'password.js'], plain: place === '/signin/second' };
}

export async function showProof(visit: Visit): Promise<Response> {
  const path = wantedPath(visit);
  const person = proverOf(visit);
  if (!person) return elsewhere(visit, path);
  return showPage(visit, await page(visit, person, path), { formTargets: await targetsOf(visit, path) });
}

async function prove(visit: Visit, person: Person): Promise<SignedIn> {
  const { parts, form } = visit;
  const from = { ...browserOf(visit), person };
  if (form.has('code')) return proveByTotp(parts, { ...from, code: form.text('code') });
  if (form.has('recovery')) return proveByRecoveryCode(parts, { ...from, code: form.text('recovery') });
  if (placeOf(visit) === '/step-up' && form.has('password'))
    return proveByPassword(parts, { ...from, password: form.exact('password') });
  throw refuse('code');
}

export async function doProve(visit: Visit): Promise<Response> {
  const path = wantedPath(visit);
  const person = proverOf(visit);
  if (!person) return elsewhere(visit, path);
  return orExplain(
    visit,
    async () => goOn(visit, await prove(visit, person), path),
    (refusal) => page(visit, person, path, refusal),
  );
}

export const proofOptions = (visit: Visit): Promise<Response> =>
  orTell(visit, async () => {
    const person = proverOf(visit);
    if (!person) throw refuse('session');
    return jsonReply(await beginPasskeyProof(visit.parts, person), { cookies: visit.cookies });
  });

export const passkeyProof = (visit: Visit): Promise<Response> =>
  orTell(visit, async () => {
    const person = proverOf(visit);
    if (!person) throw refuse('session');
    const { form } = visit;
    const given = { flow: form.exact('flow'), credential: form.exact('credential') };
    const signedIn = await proveByPasskey(visit.parts, { ...browserOf(visit), person, ...given });
    return tellNext(visit, afterProof(signedIn, wantedPath(visit)), signedIn.cookies);
  });

/** `/signin/enrol`: the role demands a second factor, and there is none yet. */
export async function showEnrol(visit: Visit): Promise<Response> {
  const path = wantedPath(visit);
  const { t, pending } = visit;
  if (pending?.state !== 'must-enrol') return elsewhere(visit, path);
  const body = html`<h1>${t.enrol.title}</h1>
    <p class="lead">${t.enrol.lead}</p>
    <div class="stack">
      <section class="card">
        <h2>${t.enrol.passkey}</h2>
        <p>${t.enrol.passkeyLead}</p>
        <a class="button primary wide-button" href="${withPath('/account/passkeys', path)}">${t.enrol.usePasskey}</a>
      </section>
      <section class="card">
        <h2>${t.enrol.totp}</h2>
        <p>${t.enrol.totpLead}</p>
        <a class="button wide-button" href="${withPath('/account/totp', path)}">${t.enrol.useTotp}</a>
      </section>
    </div>`;
  return showPage(visit, { title: t.enrol.title, body, plain: true });
}
