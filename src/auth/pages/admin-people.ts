/** `/admin/people`: accounts, invitations, codes for patients. The front desk links records; the rest is for administrators. */
import { html } from 'hono/html';
import { accountByEmail, accountById, listAccounts, ROLES, STAFF_KINDS, type Account } from '../accounts/account.ts';
import { disableAccount, enableAccount, resetFactors, setRoles, unlockAccount } from '../accounts/administer.ts';
import { linkProfile, unlinkProfile } from '../accounts/profile.ts';
import { orExplain, personOf } from './acting.ts';
import { missing } from './errors.ts';
import { choice, field, postButton, postForm } from './fields.ts';
import type { Html, PageOptions } from './layout.ts';
import { goTo, showPage, type OwnVisit } from './visit.ts';

const PAGE = 50;
const isAdmin = ({ account }: OwnVisit): boolean => account.roles.includes('admin');

const rolesText = ({ t }: OwnVisit, { roles, staffKinds }: Account): string =>
  [...roles.map((role) => t.roles[role]), ...staffKinds.map((kind) => t.staffKinds[kind])].join(', ');

function row(visit: OwnVisit, account: Account): Html {
  const { t } = visit;
  return html`<li class="row">
    <div>
      <h2 class="row-title">
        ${account.name}
        ${account.status === 'active' ? undefined : html`<span class="tag off">${t.status[account.status]}</span>`}
        ${account.id === visit.account.id ? html`<span class="tag">${t.accounts.you}</span>` : undefined}
      </h2>
      <p class="quiet small">${account.email}<br />${rolesText(visit, account)}</p>
    </div>
    <a class="button compact" href="/admin/people/${account.id}" aria-label="${`${t.accounts.open}: ${account.name}`}"
      >${t.accounts.open}</a
    >
  </li>`;
}

async function found(visit: OwnVisit, query: string): Promise<readonly Account[]> {
  if (query !== '') {
    const account = await accountByEmail(visit.parts, query);
    return account ? [account] : [];
  }
  return isAdmin(visit) ? listAccounts(visit.parts, visit.query.text('after'), PAGE) : [];
}

export async function showAccounts(visit: OwnVisit): Promise<Response> {
  const { t } = visit;
  const query = visit.query.text('email').slice(0, 320);
  const accounts = await found(visit, query);
  const last = accounts.length === PAGE ? accounts.at(-1) : undefined;
  const body = html`<h1>${t.accounts.title}</h1>
    <p class="lead">${isAdmin(visit) ? t.accounts.lead : t.accounts.leadDesk}</p>
    <div class="actions first">
      <a class="button primary" href="/admin/people/code">${t.accounts.code}</a>
      ${
        isAdmin(visit)
          ? html`<a class="button" href="/admin/people/invite">${t.accounts.invite}</a>
              <a class="button" href="/admin/people/open">${t.accounts.openTitle}</a>`
          : undefined
      }
    </div>
    <div class="card">
      <form class="search" role="search" method="get" action="/admin/people">
        ${field({ name: 'email', label: t.accounts.search, type: 'search', value: query, required: false })}
        <button>${t.accounts.find}</button>
        ${query === '' || !isAdmin(visit) ? undefined : html`<a class="button" href="/admin/people">${t.accounts.all}</a>`}
      </form>
      ${
        accounts.length > 0
          ? html`<ul class="rows">
              ${accounts.map((account) => row(visit, account))}
            </ul>`
          : query === ''
            ? undefined
            : html`<p role="status">${t.accounts.none}</p>`
      }
      ${last ? html`<p class="more"><a href="/admin/people?after=${last.id}">${t.accounts.more}</a></p>` : undefined}
    </div>`;
  const notices: Readonly<Record<string, string>> = { invited: t.accounts.invited, done: t.accounts.done };
  return showPage(visit, {
    title: t.accounts.title,
    body,
    section: 'account',
    notice: notices[visit.query.text('done')],
  });
}

/** The account of the address. @throws PageError 404 */
async function accountOf(visit: OwnVisit): Promise<Account> {
  const account = await accountById(visit.parts, visit.params['id'] ?? '');
  if (!account) throw missing();
  return account;
}

const rolesForm = (visit: OwnVisit, account: Account): Html => {
  const { t } = visit;
  // Nobody becomes an administrator here, but who is one may stay so.
  const roles = ROLES.filter((role) => role !== 'admin' || account.roles.includes('admin'));
  return html`<section class="card">
    <h2>${t.accounts.roles}</h2>
    ${postForm(
      visit,
      `/admin/people/${account.id}/roles`,
      html`<fieldset>
          <legend class="quiet small">${t.accounts.rolesNote}</legend>
          ${roles.map((value) => choice({ name: 'role', value, label: t.roles[value], checked: account.roles.includes(value) }))}
        </fieldset>
        <fieldset>
          <legend>${t.accounts.kinds}</legend>
          ${STAFF_KINDS.map((value) =>
            choice({ name: 'kind', value, label: t.staffKinds[value], checked: account.staffKinds.includes(value) }),
          )}
        </fieldset>
        <button>${t.common.save}</button>`,
    )}
  </section>`;
};

const actsForm = (visit: OwnVisit, account: Account): Html => {
  const { t } = visit;
  const post = (act: string, label: string, kind = ''): Html =>
    postButton(visit, `/admin/people/${account.id}/${act}`, label, {}, kind);
  return html`<section class="card">
    <h2>${t.accounts.access}</h2>
    <p class="quiet small">${t.accounts.disableNote}</p>
    <div class="actions">
      ${account.status === 'disabled' ? post('enable', t.accounts.enable) : post('disable', t.accounts.disable, 'danger')}
      ${post('unlock', t.accounts.unlock)} ${post('reset-factors', t.accounts.resetFactors, 'danger')}
    </div>
    <p class="quiet small">${t.accounts.resetFactorsNote}</p>
  </section>`;
};

function accountPage(visit: OwnVisit, account: Account, wrong = false): PageOptions {
  const { t } = visit;
  const body = html`<h1>${account.name}</h1>
    <p class="lead">${account.email}<br />${rolesText(visit, account)}</p>
    <div class="stack">
      <section class="card">
        <h2>${t.accounts.link}</h2>
        <ul class="rows">
          ${account.profiles.map(
            (reference) =>
              html`<li class="row">
                <p><code>${reference}</code></p>
                ${postButton(visit, `/admin/people/${account.id}/unlink`, t.accounts.unlink, { reference }, 'compact danger', reference)}
              </li>`,
          )}
        </ul>
        ${postForm(
          visit,
          `/admin/people/${account.id}/link`,
          html`${field({
              name: 'reference',
              label: t.accounts.linkReference,
              hint: t.accounts.linkHint,
              value: visit.form.text('reference').slice(0, 100),
              maxlength: 100,
              wrong,
            })}<button>${t.accounts.linkSubmit}</button>`,
        )}
      </section>
      ${isAdmin(visit) ? html`${rolesForm(visit, account)} ${actsForm(visit, account)}` : undefined}
      <p><a class="button" href="/admin/people">${t.common.back}</a></p>
    </div>`;
  return { title: account.name, body, section: 'account' };
}

export async function showOne(visit: OwnVisit): Promise<Response> {
  const notice = visit.query.text('done') === '' ? undefined : visit.t.accounts.done;
  return showPage(visit, { ...accountPage(visit, await accountOf(visit)), notice });
}

type Act = (visit: OwnVisit, account: Account) => Promise<void>;

/** What may be done to one account, by the last segment of its address. */
const ACTS: Readonly<Record<string, Act>> = {
  link: (visit, { id }) => linkProfile(visit.parts, personOf(visit), id, visit.form.text('reference')),
  unlink: (visit, { id }) => unlinkProfile(visit.parts, personOf(visit), id, visit.form.text('reference')),
  disable: (visit, { id }) => disableAccount(visit.parts, personOf(visit), id),
  enable: (visit, { id }) => enableAccount(visit.parts, personOf(visit), id),
  unlock: (visit, { id }) => unlockAccount(visit.parts, personOf(visit), id),
  'reset-factors': (visit, { id }) => resetFactors(visit.parts, personOf(visit), id),
  roles: (visit, { id }) =>
    setRoles(visit.parts, personOf(visit), id, {
      roles: ROLES.filter((role) => visit.form.all('role').includes(role)),
      staffKinds: STAFF_KINDS.filter((kind) => visit.form.all('kind').includes(kind)),
    }),
};

export async function actOnOne(visit: OwnVisit): Promise<Response> {
  const account = await accountOf(visit);
  const name = visit.params['act'] ?? '';
  const act = Object.hasOwn(ACTS, name) ? ACTS[name] : undefined;
  if (!act) throw missing();
  return orExplain(
    visit,
    async () => {
      await act(visit, account);
      return goTo(visit, `/admin/people/${account.id}?done=1`);
    },
    ({ code }) => accountPage(visit, account, code === 'profile' || code === 'practitioner'),
  );
}
