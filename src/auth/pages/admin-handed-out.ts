/** `/admin/people/open`: invitations and codes that nobody has used yet, and taking them back. */
import { html } from 'hono/html';
import { accountById } from '../accounts/account.ts';
import { listHandedOut, withdraw, type HandedOut } from '../accounts/handed-out.ts';
import { orExplain, personOf } from './acting.ts';
import { dayText, postButton } from './fields.ts';
import type { Html, PageOptions } from './layout.ts';
import { goTo, showPage, type OwnVisit } from './visit.ts';

const PAGE = 50;
const PATH = '/admin/people/open';

const whose = (one: HandedOut): string => (one.kind === 'invitation' ? one.email : one.reference);

/** Names of those who handed them out, by id. */
async function namesOf({ parts }: OwnVisit, list: readonly HandedOut[]): Promise<ReadonlyMap<string, string>> {
  const ids = [...new Set(list.map(({ by }) => by))];
  const accounts = await Promise.all(ids.map((id) => accountById(parts, id)));
  return new Map(accounts.flatMap((account) => (account ? [[account.id, account.name] as const] : [])));
}

function row(visit: OwnVisit, one: HandedOut, names: ReadonlyMap<string, string>): Html {
  const { t } = visit;
  const roles =
    one.kind === 'invitation'
      ? [...one.roles.map((role) => t.roles[role]), ...one.staffKinds.map((kind) => t.staffKinds[kind])].join(', ')
      : undefined;
  return html`<li class="row">
    <div>
      <h2 class="row-title">
        ${whose(one)}
        <span class="tag">${one.kind === 'invitation' ? t.accounts.openInvitation : t.accounts.openCode}</span>
      </h2>
      <p class="quiet small">
        ${roles === undefined ? undefined : html`${roles}<br />`}
        ${t.accounts.openUntil(dayText(visit, one.expiresAt), names.get(one.by) ?? t.accounts.operator)}
      </p>
    </div>
    ${postButton(visit, PATH, t.accounts.withdraw, { id: one.id }, 'compact danger', whose(one))}
  </li>`;
}

async function page(visit: OwnVisit): Promise<PageOptions> {
  const { t } = visit;
  const before = visit.query.text('before');
  const list = await listHandedOut(visit.parts, before === '' ? undefined : before, PAGE);
  const names = await namesOf(visit, list);
  const last = list.length === PAGE ? list.at(-1) : undefined;
  const body = html`<h1>${t.accounts.openTitle}</h1>
    <p class="lead">${t.accounts.openLead}</p>
    <div class="card">
      ${
        list.length === 0
          ? html`<p>${t.accounts.openNone}</p>`
          : html`<ul class="rows">
              ${list.map((one) => row(visit, one, names))}
            </ul>`
      }
      ${last ? html`<p class="more"><a href="${PATH}?before=${last.id}">${t.accounts.more}</a></p>` : undefined}
    </div>
    <p><a class="button" href="/admin/people">${t.common.back}</a></p>`;
  return { title: t.accounts.openTitle, body, section: 'account' };
}

export async function showHandedOut(visit: OwnVisit): Promise<Response> {
  const notice = visit.query.text('done') === '' ? undefined : visit.t.accounts.withdrawn;
  return showPage(visit, { ...(await page(visit)), notice });
}

export const withdrawOne = (visit: OwnVisit): Promise<Response> =>
  orExplain(
    visit,
    async () => {
      await withdraw(visit.parts, personOf(visit), visit.form.exact('id'));
      return goTo(visit, `${PATH}?done=1`);
    },
    () => page(visit),
  );
