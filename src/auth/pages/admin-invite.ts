/** `/admin/people/invite` and `/admin/people/code`: how people come in, and how they are linked with records. */
import { html } from 'hono/html';
import { STAFF_KINDS, type Role } from '../accounts/account.ts';
import { invite } from '../accounts/invite.ts';
import { createPatientCode } from '../accounts/patient-code.ts';
import { orExplain, personOf } from './acting.ts';
import { choice, dayText, field, postForm } from './fields.ts';
import type { PageOptions } from './layout.ts';
import { goTo, showPage, type OwnVisit } from './visit.ts';

/** Administrators are made at the command line only. */
const INVITED = ['physician', 'staff', 'privacy-officer'] as const satisfies readonly Role[];

function invitePage(visit: OwnVisit, wrong?: string): PageOptions {
  const { t, form } = visit;
  const body = html`<h1>${t.accounts.inviteTitle}</h1>
    <p class="lead">${t.accounts.inviteLead}</p>
    <div class="card">
      ${postForm(
        visit,
        '/admin/people/invite',
        html`${field({
            name: 'email',
            label: t.fields.email,
            type: 'email',
            value: form.text('email').slice(0, 320),
            wrong: wrong === 'email',
          })}
          <fieldset>
            <legend>${t.accounts.roles}</legend>
            ${INVITED.map((value) => choice({ name: 'role', value, label: t.roles[value], checked: form.all('role').includes(value) }))}
          </fieldset>
          <fieldset>
            <legend>${t.accounts.kinds}</legend>
            ${STAFF_KINDS.map((value) =>
              choice({ name: 'kind', value, label: t.staffKinds[value], checked: form.all('kind').includes(value) }),
            )}
          </fieldset>
          ${field({
            name: 'practitioner',
            label: t.accounts.practitioner,
            hint: t.accounts.practitionerHint,
            value: form.text('practitioner').slice(0, 100),
            required: false,
            maxlength: 100,
            wrong: wrong === 'profile' || wrong === 'practitioner',
            optional: t.accounts.physicianOnly,
          })}
          <div class="actions">
            <button class="primary">${t.accounts.inviteSubmit}</button
            ><a class="button" href="/admin/people">${t.common.cancel}</a>
          </div>`,
      )}
    </div>`;
  return { title: t.accounts.inviteTitle, body, section: 'account' };
}

export const showInvite = (visit: OwnVisit): Response => showPage(visit, invitePage(visit));

export const sendInvitation = (visit: OwnVisit): Promise<Response> =>
  orExplain(
    visit,
    async () => {
      const { parts, form, language } = visit;
      const practitioner = form.text('practitioner');
      await invite(parts, personOf(visit), {
        email: form.text('email'),
        roles: INVITED.filter((role) => form.all('role').includes(role)),
        staffKinds: STAFF_KINDS.filter((kind) => form.all('kind').includes(kind)),
        practitioner: practitioner === '' ? undefined : practitioner,
        locale: language,
      });
      return goTo(visit, '/admin/people?done=invited');
    },
    ({ code }) => invitePage(visit, code),
  );

function codePage(visit: OwnVisit, wrong = false): PageOptions {
  const { t } = visit;
  const body = html`<h1>${t.accounts.codeTitle}</h1>
    <p class="lead">${t.accounts.codeLead}</p>
    <div class="card">
      ${postForm(
        visit,
        '/admin/people/code',
        html`${field({
            name: 'reference',
            label: t.accounts.patient,
            hint: t.accounts.patientHint,
            value: visit.form.text('reference').slice(0, 100),
            maxlength: 100,
            wrong,
            focus: true,
          })}
          <div class="actions">
            <button class="primary">${t.accounts.codeSubmit}</button
            ><a class="button" href="/admin/people">${t.common.cancel}</a>
          </div>`,
      )}
    </div>`;
  return { title: t.accounts.codeTitle, body, section: 'account' };
}

export const showCode = (visit: OwnVisit): Response => showPage(visit, codePage(visit));

export const makeCode = (visit: OwnVisit): Promise<Response> =>
  orExplain(
    visit,
    async () => {
      const { t } = visit;
      const reference = visit.form.text('reference');
      const { code, expiresAt } = await createPatientCode(visit.parts, personOf(visit), reference);
      const body = html`<div class="card">
        <h1>${t.accounts.codeTitle}</h1>
        <p>${t.accounts.codeDone(dayText(visit, expiresAt))}</p>
        <p class="quiet">${reference}</p>
        <p><code class="secret big">${code}</code></p>
        <p>${t.common.copyNow}</p>
        <div class="actions no-print">
          <a class="button primary" href="/admin/people">${t.common.continue}</a
          ><button type="button" data-print hidden>${t.common.print}</button>
        </div>
      </div>`;
      return showPage(visit, { title: t.accounts.codeTitle, body, section: 'account', scripts: ['print.js'] });
    },
    () => codePage(visit, true),
  );
