/** The few pages that the authorization server shows itself, in our frame. */
import { html, raw } from 'hono/html';
import type { AuthParts } from '../parts.ts';
import type { ProviderTexts } from '../provider/pages.ts';
import { layout, type Frame, type Html } from './layout.ts';
import { acceptedLanguage, LANGUAGES, type Texts } from './texts/languages.ts';

export function createProviderTexts(parts: Pick<AuthParts, 'publicUrl'>): ProviderTexts {
  const page = (acceptLanguage: string, content: (t: Texts) => { title: string; body: Html }): string => {
    const language = acceptedLanguage(acceptLanguage) ?? 'en';
    const t = LANGUAGES[language];
    const { title, body } = content(t);
    const stranger: Frame = {
      t,
      language,
      url: new URL(parts.publicUrl),
      session: undefined,
      account: undefined,
      pending: undefined,
      csrf: '',
    };
    return layout(stranger, {
      title,
      body: html`<div class="card">
        <h1>${title}</h1>
        ${body}
      </div>`,
      plain: true,
      bare: true,
    });
  };
  return {
    error: ({ code, description }, acceptLanguage) =>
      page(acceptLanguage, ({ app, common }) => ({
        title: app.errorTitle,
        body: html`<p>${app.error}</p>
          <p class="quiet small">
            ${app.forDevelopers} <code>${code}</code>${description === undefined ? undefined : html`: ${description}`}
          </p>
          <div class="actions"><a class="button" href="/">${common.home}</a></div>`,
      })),
    logout: (form, clientName, acceptLanguage) =>
      page(acceptLanguage, ({ app, common }) => ({
        title: app.logoutTitle,
        body: html`<p>${clientName === undefined ? app.logout : app.logoutFor(clientName)}</p>
          ${raw(form)}
          <div class="actions">
            <button class="primary" form="op.logoutForm" name="logout" value="yes">${common.signOut}</button>
            <button form="op.logoutForm">${app.stay}</button>
          </div>`,
      })),
    unavailable: (acceptLanguage) =>
      page(acceptLanguage, ({ errors }) => ({
        title: errors.unavailable.title,
        body: html`<p>${errors.unavailable.text}</p>`,
      })),
    signedOut: (_clientName, acceptLanguage) =>
      page(acceptLanguage, ({ app, common }) => ({
        title: app.signedOut,
        body: html`<div class="actions"><a class="button" href="/">${common.home}</a></div>`,
      })),
  };
}
