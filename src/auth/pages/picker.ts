/** `/oauth/interaction/<uid>/patient`: for which patient an app is opened. */
import { html } from 'hono/html';
import { isWorkforce } from '../access/acts-for.ts';
import { mayActFor, MOST_FOUND, patientsFor, type PatientChoice } from '../access/people.ts';
import { choosePatient, denyConsent, type InteractionView } from '../provider/interaction.ts';
import { forbidden } from './errors.ts';
import { birthText, field, initials, postForm } from './fields.ts';
import { otherStep, settled, sockets, viewOf } from './interaction.ts';
import type { Html } from './layout.ts';
import { formTarget } from '../form-target.ts';
import { goTo, showPage, type OwnVisit } from './visit.ts';

const person = (visit: OwnVisit, patient: PatientChoice): Html => {
  const { t } = visit;
  const relation = patient.relation === 'any' ? undefined : t.people[patient.relation];
  const born = patient.birthDate === undefined ? undefined : `${t.people.born} ${birthText(visit, patient.birthDate)}`;
  return html`<button name="patient" value="${patient.reference}">
    <span class="person"
      ><span class="face" aria-hidden="true">${initials(patient.name)}</span
      ><span
        ><strong>${patient.name}</strong
        ><span class="quiet small">${[born, relation].filter((part) => part !== undefined).join(' · ')}</span></span
      ></span
    >
  </button>`;
};

async function page(visit: OwnVisit, view: InteractionView): Promise<Response> {
  const { t, account, parts } = visit;
  const query = visit.query.text('q').slice(0, 200);
  // Who works here finds patients by searching; others see those they may act for.
  const search = isWorkforce(account);
  const patients = search && query === '' ? [] : await patientsFor(parts, account, search ? query : undefined);
  const path = `/oauth/interaction/${view.uid}/patient`;
  const body = html`<h1>${t.picker.title}</h1>
    <p class="lead">${t.picker.lead(view.client.name)}</p>
    <p class="small quiet">
      ${t.consent.account}: <strong>${account.name}</strong>, ${account.email} ·
      <a href="/signout">${t.consent.notYou}</a>
    </p>
    <div class="card">
      ${
        search
          ? html`<form class="search" role="search" method="get" action="${path}">
              ${field({ name: 'q', label: t.picker.search, type: 'search', value: query, required: false, focus: query === '', maxlength: 200 })}
              <button>${t.picker.find}</button>
            </form>`
          : undefined
      }
      ${
        patients.length > 0
          ? html`${search ? html`<p class="quiet small" role="status">${patients.length < MOST_FOUND ? t.picker.results(patients.length) : t.picker.many(MOST_FOUND)}</p>` : undefined}
            ${postForm(
              visit,
              path,
              html`<ul class="choices">
                ${patients.map((patient) => html`<li>${person(visit, patient)}</li>`)}
              </ul>`,
            )}`
          : search
            ? query === ''
              ? undefined
              : html`<p role="status">${t.picker.none}</p>`
            : html`<p>${t.picker.nobody}</p>`
      }
      <div class="actions">${postForm(visit, path, html`<button name="deny" value="1">${t.picker.deny}</button>`)}</div>
    </div>`;
  return showPage(
    visit,
    { title: t.picker.title, body, width: 'medium', plain: true },
    { formTargets: formTarget(view.redirectUri) },
  );
}

export async function showPicker(visit: OwnVisit): Promise<Response> {
  const view = await viewOf(visit);
  return otherStep(visit, view) ?? page(visit, view);
}

export async function pickPatient(visit: OwnVisit): Promise<Response> {
  const view = await viewOf(visit);
  const elsewhere = otherStep(visit, view);
  if (elsewhere) return elsewhere;
  const { incoming, outgoing } = sockets(visit);
  const { server } = visit.identity;
  if (visit.form.has('deny')) return goTo(visit, await settled(denyConsent(server, incoming, outgoing)));
  const patient = visit.form.text('patient');
  if (!(await mayActFor(visit.parts, visit.account, patient))) throw forbidden();
  return goTo(visit, await settled(choosePatient(server, incoming, outgoing, patient)));
}
