/** `/account/email` and `/account/password`. */
import { html } from 'hono/html';
import { changePassword, requestEmailChange } from '../accounts/change.ts';
import { browserOf, orExplain, personOf } from './acting.ts';
import { field, passwordField, postForm } from './fields.ts';
import type { PageOptions } from './layout.ts';
import { goTo, showPage, type OwnVisit } from './visit.ts';

function emailPage(visit: OwnVisit, wrong = false): PageOptions {
  const { t, account } = visit;
  const body = html`<div class="card">
    <h1>${t.account.emailTitle}</h1>
    <p class="lead">${t.account.emailLead}</p>
    <p class="quiet">${t.account.emailNow}: ${account.email}</p>
    ${postForm(
      visit,
      '/account/email',
      html`${field({
          name: 'email',
          label: t.account.emailNew,
          type: 'email',
          autocomplete: 'email',
          value: visit.form.text('email').slice(0, 320),
          wrong,
          focus: true,
        })}
        <div class="actions">
          <button class="primary">${t.account.emailSubmit}</button
          ><a class="button" href="/account">${t.common.cancel}</a>
        </div>`,
    )}
  </div>`;
  return { title: t.account.emailTitle, body, section: 'account' };
}

export const showEmail = (visit: OwnVisit): Response => showPage(visit, emailPage(visit));

export const changeEmail = (visit: OwnVisit): Promise<Response> =>
  orExplain(
    visit,
    async () => {
      const { t, parts, form } = visit;
      const { source } = browserOf(visit);
      await requestEmailChange(parts, { person: personOf(visit), email: form.text('email'), source });
      const body = html`<div class="card">
        <h1>${t.register.sentTitle}</h1>
        <p>${t.account.emailSent}</p>
        <p class="quiet small">${t.register.sentHint}</p>
        <div class="actions"><a class="button" href="/account">${t.common.back}</a></div>
      </div>`;
      return showPage(visit, { title: t.register.sentTitle, body, section: 'account' });
    },
    () => emailPage(visit, true),
  );

function passwordPage(visit: OwnVisit, wrong?: string): PageOptions {
  const { t, account } = visit;
  const title = account.hasPassword ? t.account.passwordTitle : t.account.setPassword;
  const body = html`<div class="card">
    <h1>${title}</h1>
    <p class="lead">${t.account.passwordNote}</p>
    ${postForm(
      visit,
      '/account/password',
      html`<input type="hidden" name="username" autocomplete="username" value="${account.email}" />
        ${
          account.hasPassword
            ? passwordField(visit, {
                name: 'current',
                label: t.fields.currentPassword,
                wrong: wrong === 'wrong-password' || wrong === 'limited',
                focus: true,
              })
            : undefined
        }
        ${passwordField(visit, { isNew: true, wrong: wrong?.startsWith('password') ?? false })}
        <div class="actions">
          <button class="primary">${t.account.passwordSubmit}</button
          ><a class="button" href="/account">${t.common.cancel}</a>
        </div>`,
    )}
  </div>`;
  return { title, body, section: 'account', scripts: ['password.js'] };
}

export const showPassword = (visit: OwnVisit): Response => showPage(visit, passwordPage(visit));

export const savePassword = (visit: OwnVisit): Promise<Response> =>
  orExplain(
    visit,
    async () => {
      const { parts, form } = visit;
      const given = { person: personOf(visit), current: form.exact('current'), next: form.exact('password') };
      const { cookies } = await changePassword(parts, { ...browserOf(visit), ...given });
      return goTo(visit, '/account?done=password', cookies);
    },
    ({ code }) => passwordPage(visit, code),
  );
