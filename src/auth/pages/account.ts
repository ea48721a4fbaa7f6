/** `/account`: who one is here, and by what one signs in. */
import { html } from 'hono/html';
import { patientsFor } from '../access/people.ts';
import { changeLocale, changeName } from '../accounts/change.ts';
import { identitiesOf } from '../federation/link.ts';
import { factorsOf, hasFactor } from '../mfa/factors.ts';
import { needsFactor } from '../mfa/policy.ts';
import { orExplain, personOf } from './acting.ts';
import { field, postForm } from './fields.ts';
import type { Html, PageOptions } from './layout.ts';
import { languageCookie, languageOf, LANGUAGE_CODES, LANGUAGES } from './texts/languages.ts';
import { goTo, showPage, type OwnVisit } from './visit.ts';

function profile(visit: OwnVisit, wrong: boolean): Html {
  const { t, account, form, language } = visit;
  const locale = languageOf(form.text('locale')) ?? languageOf(account.locale) ?? language;
  return html`<section class="card">
    <h2>${t.account.profile}</h2>
    ${postForm(
      visit,
      '/account/profile',
      html`${field({
          name: 'name',
          label: t.fields.name,
          autocomplete: 'name',
          value: form.has('name') ? form.text('name').slice(0, 400) : account.name,
          maxlength: 200,
          wrong,
        })}
        <div class="field">
          <label for="locale">${t.fields.language}</label>
          <select id="locale" name="locale">
            ${LANGUAGE_CODES.map(
              (code) =>
                html`<option value="${code}" ${code === locale ? html`selected` : undefined}>
                  ${LANGUAGES[code].name}
                </option>`,
            )}
          </select>
        </div>
        <button>${t.common.save}</button>`,
    )}
  </section>`;
}

const line = (label: string, value: unknown, path: string, action: string): Html =>
  html`<li class="row">
    <div>
      <h3>${label}</h3>
      <p class="quiet">${value}</p>
    </div>
    <a class="button compact" href="${path}" aria-label="${`${label}: ${action}`}">${action}</a>
  </li>`;

async function page(visit: OwnVisit, wrong = false): Promise<PageOptions> {
  const { t, account, parts } = visit;
  const [factors, identities, people] = await Promise.all([
    factorsOf(parts, account.id),
    identitiesOf(parts, account.id),
    patientsFor(parts, account),
  ]);
  const roles = account.roles.map((role) => t.roles[role]);
  const kinds = account.staffKinds.map((kind) => t.staffKinds[kind]);
  const linked = [...people.map(({ name }) => name), ...account.profiles.filter((p) => p.startsWith('Practitioner/'))];
  const body = html`<h1>${t.account.title}</h1>
    <div class="stack">
      ${profile(visit, wrong)}
      <section class="card">
        <h2>${t.account.signingIn}</h2>
        <ul class="rows">
          ${line(t.fields.email, account.email, '/account/email', t.account.change)}
          ${line(
            t.fields.password,
            account.hasPassword ? t.account.passwordSet : t.account.passwordNone,
            '/account/password',
            account.hasPassword ? t.account.change : t.account.setPassword,
          )}
          ${
            parts.settings.upstreams.length + identities.length > 0
              ? line(t.federation.providersTitle, String(identities.length), '/account/providers', t.account.manage)
              : undefined
          }
        </ul>
      </section>
      <section class="card">
        <h2>${t.account.factors}</h2>
        ${needsFactor(parts, account) ? html`<p class="quiet small">${t.account.factorsRequired}</p>` : undefined}
        <ul class="rows">
          ${line(
            t.passkeys.title,
            factors.passkeys === 0 ? t.passkeys.none : t.passkeys.count(factors.passkeys),
            '/account/passkeys',
            factors.passkeys === 0 ? t.account.setUp : t.account.manage,
          )}
          ${line(t.totp.title, factors.totp ? t.account.totpOn : t.account.totpOff, '/account/totp', factors.totp ? t.account.manage : t.account.setUp)}
          ${
            hasFactor(factors)
              ? line(
                  t.recovery.title,
                  factors.recoveryCodes === 0 ? t.recovery.none : t.recovery.left(factors.recoveryCodes),
                  '/account/recovery-codes',
                  t.account.manage,
                )
              : undefined
          }
        </ul>
      </section>
      <section class="card">
        <h2>${t.account.roles}</h2>
        <p>${t.scope.list(roles)}${kinds.length === 0 ? '' : ` (${t.scope.list(kinds)})`}</p>
        ${linked.length === 0 ? undefined : html`<p class="quiet">${t.account.linked}: ${t.scope.list(linked)}</p>`}
      </section>
    </div>`;
  return { title: t.account.title, body, section: 'account' };
}

export async function showAccount(visit: OwnVisit): Promise<Response> {
  const { t } = visit;
  const notices: Readonly<Record<string, string>> = {
    profile: t.account.saved,
    email: t.account.emailDone,
    password: t.account.passwordDone,
    totp: t.totp.removed,
    passkey: t.passkeys.removed,
  };
  return showPage(visit, { ...(await page(visit)), notice: notices[visit.query.text('done')] });
}

export const saveProfile = (visit: OwnVisit): Promise<Response> =>
  orExplain(
    visit,
    async () => {
      const { parts, form } = visit;
      await changeName(parts, personOf(visit), form.text('name'));
      const language = languageOf(form.text('locale'));
      if (!language) return goTo(visit, '/account?done=profile');
      await changeLocale(parts, personOf(visit), language);
      return goTo(visit, '/account?done=profile', [languageCookie(language)]);
    },
    () => page(visit, true),
  );
