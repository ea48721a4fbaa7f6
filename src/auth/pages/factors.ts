/** `/account/totp`, `/account/passkeys`, `/account/recovery-codes`: setting second factors up, and doing without them. */
import { html } from 'hono/html';
import { factorsOf } from '../mfa/factors.ts';
import { addPasskey, beginPasskey, listPasskeys, removePasskey } from '../mfa/passkey.ts';
import { renewRecoveryCodes } from '../mfa/recovery.ts';
import { beginTotp, confirmTotp, removeTotp, reopenTotp, type NewTotp } from '../mfa/totp.ts';
import { browserOf, orExplain, orTell, personOf, tellNext, wantedPath, withPath } from './acting.ts';
import { dayText, field, passkeyForm, postButton, postForm } from './fields.ts';
import type { PageOptions } from './layout.ts';
import { jsonReply } from './reply.ts';
import { goTo, showPage, type OwnVisit } from './visit.ts';

const ACCOUNT = '/account';

/** Beside the account's other pages, unless somebody is on the way to being signed in. */
const frame = ({ pending }: OwnVisit): Pick<PageOptions, 'section'> => (pending ? {} : { section: 'account' });

async function totpStart(visit: OwnVisit, path: string): Promise<PageOptions> {
  const { t, parts, account } = visit;
  const { totp } = await factorsOf(parts, account.id);
  const body = html`<div class="card">
    <h1>${t.totp.title}</h1>
    <p class="lead">${t.enrol.totpLead}</p>
    ${totp ? html`<p><span class="tag">${t.account.totpOn}</span></p>` : undefined}
    <div class="actions">
      ${postForm(
        visit,
        '/account/totp',
        html`<button class="primary">${totp ? t.totp.again : t.account.setUp}</button>`,
        {
          return: path,
        },
      )}
      ${totp ? postButton(visit, '/account/totp/remove', t.account.switchOff, {}, 'danger') : undefined}
      <a class="button" href="${path}">${t.common.back}</a>
    </div>
  </div>`;
  return { title: t.totp.title, body, ...frame(visit) };
}

function totpPage(visit: OwnVisit, { flow, secret, qr }: NewTotp, path: string, wrong = false): PageOptions {
  const { t } = visit;
  // As a picture it needs no style of its own, and has words for those who do not see it.
  const picture = `data:image/svg+xml;base64,${Buffer.from(qr).toString('base64')}`;
  const body = html`<div class="card">
    <h1>${t.totp.title}</h1>
    <p>${t.totp.scan}</p>
    <img class="qr" src="${picture}" alt="${t.totp.qr}" width="240" height="240" />
    <p>${t.totp.manual}</p>
    <p><code class="secret">${secret.match(/.{1,4}/g)?.join(' ') ?? secret}</code></p>
    ${postForm(
      visit,
      '/account/totp/confirm',
      html`${field({
          name: 'code',
          label: t.totp.confirm,
          hint: t.fields.totpHint,
          autocomplete: 'one-time-code',
          inputmode: 'numeric',
          code: true,
          maxlength: 12,
          wrong,
        })}
        <div class="actions">
          <button class="primary">${t.totp.submit}</button><a class="button" href="${path}">${t.common.cancel}</a>
        </div>`,
      { flow, return: path },
    )}
  </div>`;
  return { title: t.totp.title, body, ...frame(visit) };
}

export const showTotp = async (visit: OwnVisit): Promise<Response> =>
  showPage(visit, await totpStart(visit, wantedPath(visit, ACCOUNT)));

export async function startTotp(visit: OwnVisit): Promise<Response> {
  const path = wantedPath(visit, ACCOUNT);
  return showPage(visit, totpPage(visit, await beginTotp(visit.parts, personOf(visit)), path));
}

export async function finishTotp(visit: OwnVisit): Promise<Response> {
  const { parts, form, t } = visit;
  const path = wantedPath(visit, ACCOUNT);
  const given = { person: personOf(visit), flow: form.exact('flow'), code: form.text('code') };
  return orExplain(
    visit,
    async () => {
      const { recoveryCodes, cookies } = await confirmTotp(parts, { ...browserOf(visit), ...given });
      if (!recoveryCodes) return goTo(visit, path === ACCOUNT ? '/account?done=totp-on' : path, cookies);
      return showPage(visit, codesPage(visit, recoveryCodes, path, t.totp.done), { cookies });
    },
    async ({ code }) =>
      // What is being set up is shown again, unless it is too old.
      code === 'ticket'
        ? totpStart(visit, path)
        : totpPage(visit, await reopenTotp(parts, personOf(visit), given.flow), path, true),
  );
}

export const switchTotpOff = (visit: OwnVisit): Promise<Response> =>
  orExplain(
    visit,
    async () => {
      await removeTotp(visit.parts, personOf(visit));
      return goTo(visit, '/account?done=totp');
    },
    () => totpStart(visit, ACCOUNT),
  );

async function passkeysPage(visit: OwnVisit, path: string): Promise<PageOptions> {
  const { t, parts, account } = visit;
  const keys = await listPasskeys(parts, account.id);
  const body = html`<h1>${t.passkeys.title}</h1>
    <p class="lead">${t.passkeys.lead}</p>
    <div class="stack">
      <section class="card">
        <h2>${t.passkeys.add}</h2>
        ${passkeyForm(
          visit,
          'create',
          '/account/passkeys',
          html`${field({ name: 'label', label: t.passkeys.label, hint: t.passkeys.labelHint, maxlength: 60, required: false })}
            <button class="primary">${t.passkeys.add}</button>`,
          { return: path },
        )}
      </section>
      ${
        keys.length === 0
          ? undefined
          : html`<section class="card">
              <h2>${t.passkeys.yours}</h2>
              <ul class="rows">
                ${keys.map(
                  ({ id, label, createdAt, lastUsedAt }) =>
                    html`<li class="row">
                      <div>
                        <h3>${label}</h3>
                        <p class="quiet small">
                          ${t.passkeys.since}: ${dayText(visit, createdAt)}<br />${t.passkeys.used}:
                          ${lastUsedAt === undefined ? t.common.never : dayText(visit, lastUsedAt)}
                        </p>
                      </div>
                      ${postButton(visit, '/account/passkeys/remove', t.common.remove, { id }, 'compact danger', label)}
                    </li>`,
                )}
              </ul>
            </section>`
      }
      <p><a class="button" href="${path}">${t.common.back}</a></p>
    </div>`;
  return { title: t.passkeys.title, body, scripts: ['passkey.js'], ...frame(visit) };
}

export async function showPasskeys(visit: OwnVisit): Promise<Response> {
  const notice = visit.query.text('done') === 'added' ? visit.t.passkeys.added : undefined;
  return showPage(visit, { ...(await passkeysPage(visit, wantedPath(visit, ACCOUNT))), notice });
}

export const newPasskeyOptions = (visit: OwnVisit): Promise<Response> =>
  orTell(visit, async () => jsonReply(await beginPasskey(visit.parts, personOf(visit)), { cookies: visit.cookies }));

export const savePasskey = (visit: OwnVisit): Promise<Response> =>
  orTell(visit, async () => {
    const { form } = visit;
    const path = wantedPath(visit, ACCOUNT);
    const given = { flow: form.exact('flow'), credential: form.exact('credential'), label: form.text('label') };
    const { recoveryCodes, cookies } = await addPasskey(visit.parts, {
      ...browserOf(visit),
      person: personOf(visit),
      ...given,
    });
    // A script cannot be shown the first codes: their page makes them.
    const next = recoveryCodes ? withPath('/account/recovery-codes', path) : `/account/passkeys?done=added`;
    return tellNext(visit, next, cookies);
  });

export const deletePasskey = (visit: OwnVisit): Promise<Response> =>
  orExplain(
    visit,
    async () => {
      await removePasskey(visit.parts, personOf(visit), visit.form.exact('id'));
      return goTo(visit, '/account?done=passkey');
    },
    () => passkeysPage(visit, ACCOUNT),
  );

async function recoveryPage(visit: OwnVisit, path: string): Promise<PageOptions> {
  const { t, parts, account } = visit;
  const { recoveryCodes } = await factorsOf(parts, account.id);
  const body = html`<div class="card">
    <h1>${t.recovery.title}</h1>
    <p class="lead">${t.recovery.lead}</p>
    <p>${recoveryCodes === 0 ? t.recovery.none : `${t.recovery.left(recoveryCodes)}. ${t.recovery.replace}`}</p>
    <div class="actions">
      ${postForm(visit, '/account/recovery-codes', html`<button class="primary">${t.recovery.make}</button>`, { return: path })}
      <a class="button" href="${path}">${t.common.back}</a>
    </div>
  </div>`;
  return { title: t.recovery.title, body, section: 'account' };
}

/** Here and never again. */
function codesPage(visit: OwnVisit, codes: readonly string[], path: string, notice?: string): PageOptions {
  const { t, parts } = visit;
  const body = html`<div class="card">
    <h1>${t.recovery.title}</h1>
    <p>${t.recovery.lead}</p>
    <p><strong>${t.recovery.once}</strong></p>
    <ul class="recovery">
      ${codes.map((code) => html`<li><code>${code}</code></li>`)}
    </ul>
    <p class="quiet small">${t.recovery.printed(dayText(visit, parts.clock.now()))}</p>
    <div class="actions no-print">
      <a class="button primary" href="${path}">${t.recovery.kept}</a
      ><button type="button" data-print hidden>${t.common.print}</button>
    </div>
  </div>`;
  return { title: t.recovery.title, body, scripts: ['print.js'], notice, ...frame(visit) };
}

export const showRecovery = async (visit: OwnVisit): Promise<Response> =>
  showPage(visit, await recoveryPage(visit, wantedPath(visit, ACCOUNT)));

export async function makeCodes(visit: OwnVisit): Promise<Response> {
  const path = wantedPath(visit, ACCOUNT);
  return orExplain(
    visit,
    async () => showPage(visit, codesPage(visit, await renewRecoveryCodes(visit.parts, personOf(visit)), path)),
    () => recoveryPage(visit, path),
  );
}
