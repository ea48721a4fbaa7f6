/** `/account/people`: one's own record and those one may act for; codes from the clinic. */
import { html } from 'hono/html';
import { isWorkforce } from '../access/acts-for.ts';
import { patientsFor } from '../access/people.ts';
import { redeemPatientCode } from '../accounts/patient-code.ts';
import { browserOf, orExplain, personOf } from './acting.ts';
import { birthText, field, initials, postForm } from './fields.ts';
import type { PageOptions } from './layout.ts';
import { goTo, showPage, type OwnVisit } from './visit.ts';

async function page(visit: OwnVisit, wrong = false): Promise<PageOptions> {
  const { t, account, parts } = visit;
  const people = await patientsFor(parts, account);
  const body = html`<h1>${t.people.title}</h1>
    <p class="lead">${t.people.lead}</p>
    <div class="stack">
      <div class="card">
        ${
          people.length === 0
            ? html`<p>${t.people.none}</p>`
            : html`<ul class="rows">
                ${people.map(
                  ({ name, birthDate, relation }) =>
                    html`<li class="person">
                      <span class="face" aria-hidden="true">${initials(name)}</span>
                      <div>
                        <strong>${name}</strong><br /><span class="quiet small"
                          >${birthDate === undefined ? '' : `${t.people.born} ${birthText(visit, birthDate)} · `}${t.people[relation]}</span
                        >
                      </div>
                    </li>`,
                )}
              </ul>`
        }
        ${isWorkforce(account) ? html`<p class="quiet small">${t.people.staff}</p>` : undefined}
      </div>
      <section class="card">
        <h2>${t.people.add}</h2>
        <p>${t.people.addLead}</p>
        ${postForm(
          visit,
          '/account/people',
          html`${field({ name: 'code', label: t.fields.invitation, code: true, maxlength: 40, wrong })}
            <button class="primary">${t.people.submit}</button>`,
        )}
      </section>
    </div>`;
  return { title: t.people.title, body, section: 'account' };
}

export async function showPeople(visit: OwnVisit): Promise<Response> {
  const notice = visit.query.text('done') === 'linked' ? visit.t.people.linked : undefined;
  return showPage(visit, { ...(await page(visit)), notice });
}

export const redeemCode = (visit: OwnVisit): Promise<Response> =>
  orExplain(
    visit,
    async () => {
      const given = { person: personOf(visit), code: visit.form.text('code') };
      await redeemPatientCode(visit.parts, { ...browserOf(visit), ...given });
      return goTo(visit, '/account/people?done=linked');
    },
    () => page(visit, true),
  );
