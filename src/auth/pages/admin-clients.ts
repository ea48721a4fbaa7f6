/** `/admin/clients`: registering apps and systems, their secrets, and switching them off. */
import { html } from 'hono/html';
import {
  AUTH_METHODS,
  ClientError,
  type AuthMethod,
  type Client,
  type ClientKind,
  type ClientMetadata,
  type PublicJwks,
} from '../clients/client.ts';
import { disableClient, enableClient, listClients, registerClient, rotateSecret } from '../clients/registry.ts';
import { choice, dayText, field, postButton, postForm } from './fields.ts';
import type { Form } from './form.ts';
import type { Html } from './layout.ts';
import { goTo, showPage, type OwnVisit } from './visit.ts';

const KINDS = ['app', 'backend', 'bulk'] as const satisfies readonly ClientKind[];

const hasSecret = ({ auth }: Client): boolean => auth === 'client_secret_basic' || auth === 'client_secret_post';

function row(visit: OwnVisit, client: Client): Html {
  const { t } = visit;
  const post = (action: string, label: string, kind = 'compact'): Html =>
    postButton(visit, `/admin/clients/${action}`, label, { client: client.clientId }, kind, client.name);
  return html`<li class="row">
    <div>
      <h2 class="row-title">
        ${client.name} ${client.disabled ? html`<span class="tag off">${t.clients.disabled}</span>` : undefined}
      </h2>
      <p class="quiet small">
        ${t.clients.kinds[client.kind]}<br />${t.clients.id}: <code>${client.clientId}</code><br />${t.clients.since}:
        ${dayText(visit, client.createdAt)}<br />${t.clients.proof}: ${t.clients.auths[client.auth]}
      </p>
      <details class="small">
        <summary>${t.clients.scopes}</summary>
        <code>${client.scope}</code>
        ${client.redirectUris.length === 0 ? undefined : html`<p><strong>${t.clients.redirects}</strong></p>`}
        ${client.redirectUris.map((uri) => html`<code class="block">${uri}</code>`)}
      </details>
    </div>
    ${
      client.kind === 'bootstrap'
        ? undefined
        : html`<div class="actions tight">
            ${hasSecret(client) && !client.disabled ? post('rotate', t.clients.rotate) : undefined}
            ${client.disabled ? post('enable', t.clients.enable) : post('disable', t.clients.disable, 'compact danger')}
          </div>`
    }
  </li>`;
}

export async function showClients(visit: OwnVisit): Promise<Response> {
  const { t } = visit;
  const clients = await listClients(visit.parts);
  const body = html`<h1>${t.clients.title}</h1>
    <p class="lead">${t.clients.lead}</p>
    <p><a class="button primary" href="/admin/clients/new">${t.clients.add}</a></p>
    <div class="card">
      ${
        clients.length === 0
          ? html`<p>${t.clients.none}</p>`
          : html`<ul class="rows">
              ${clients.map((client) => row(visit, client))}
            </ul>`
      }
    </div>
    <p class="quiet small">${t.clients.disableNote}</p>`;
  const notice = visit.query.text('done') === '' ? undefined : t.clients.done;
  return showPage(visit, { title: t.clients.title, body, section: 'account', notice });
}

async function formPage(visit: OwnVisit, error?: string): Promise<Response> {
  const { t, form } = visit;
  const kind = KINDS.find((k) => k === form.text('kind')) ?? 'app';
  const auth = AUTH_METHODS.find((a) => a === form.text('auth')) ?? 'none';
  const area = (name: string, label: string, hint: string | undefined, rows: number): Html =>
    field({ name, label, hint, rows, value: form.text(name), required: false, maxlength: 20_000 });
  const address = (name: string, label: string, hint?: string): Html =>
    field({
      name,
      label,
      hint,
      type: 'url',
      value: form.text(name),
      required: false,
      maxlength: 2000,
      optional: t.common.optional,
    });
  const body = html`<h1>${t.clients.addTitle}</h1>
    <div class="card">
      ${postForm(
        visit,
        '/admin/clients/new',
        html`<fieldset>
            <legend>${t.clients.kind}</legend>
            ${KINDS.map((value) =>
              choice({
                name: 'kind',
                value,
                label: t.clients.kinds[value],
                hint: t.clients.kindHints[value],
                type: 'radio',
                checked: value === kind,
              }),
            )}
          </fieldset>
          ${field({ name: 'name', label: t.clients.name, hint: t.clients.nameHint, value: form.text('name'), maxlength: 200 })}
          ${field({ name: 'scope', label: t.clients.scopes, hint: t.clients.scopesHint, value: form.text('scope'), maxlength: 10_000, rows: 3 })}
          <fieldset>
            <legend>${t.clients.auth}</legend>
            ${AUTH_METHODS.map((value) =>
              choice({ name: 'auth', value, label: t.clients.auths[value], type: 'radio', checked: value === auth }),
            )}
          </fieldset>
          <h2>${t.clients.forApps}</h2>
          ${area('redirect_uris', t.clients.redirects, t.clients.redirectsHint, 3)}
          ${address('launch_url', t.clients.launchUrl, t.clients.launchHint)}
          ${area('post_logout_redirect_uris', `${t.clients.logout} (${t.common.optional})`, t.clients.redirectsHint, 2)}
          ${address('policy_uri', t.clients.policy)} ${address('tos_uri', t.clients.tos)}
          <h2>${t.clients.forKeys}</h2>
          ${address('jwks_uri', t.clients.jwks)}
          ${area('jwks', `${t.clients.jwksInline} (${t.common.optional})`, undefined, 4)}
          <div class="actions">
            <button class="primary">${t.clients.submit}</button
            ><a class="button" href="/admin/clients">${t.common.cancel}</a>
          </div>`,
      )}
    </div>`;
  return showPage(
    visit,
    { title: t.clients.addTitle, body, section: 'account', error },
    { status: error === undefined ? 200 : 400 },
  );
}

export const showNewClient = (visit: OwnVisit): Promise<Response> => formPage(visit);

const lines = (text: string): readonly string[] => text.split(/\s+/).filter((line) => line !== '');

/** @throws ClientError when it is no JSON object */
function parseJwks(text: string): PublicJwks {
  try {
    // Checked by registerClient before it is stored.
    return JSON.parse(text) as PublicJwks;
  } catch {
    throw new ClientError('jwks must be a JSON Web Key Set.');
  }
}

function metadataOf(form: Form): ClientMetadata {
  const given = <K extends string>(key: K, name: string): { readonly [P in K]?: string } =>
    form.text(name) === '' ? {} : ({ [key]: form.text(name) } as { readonly [P in K]?: string });
  const auth: AuthMethod = AUTH_METHODS.find((a) => a === form.text('auth')) ?? 'none';
  return {
    name: form.text('name'),
    auth,
    scope: lines(form.text('scope')).join(' '),
    redirectUris: lines(form.text('redirect_uris')),
    postLogoutRedirectUris: lines(form.text('post_logout_redirect_uris')),
    ...given('launchUrl', 'launch_url'),
    ...given('policyUri', 'policy_uri'),
    ...given('tosUri', 'tos_uri'),
    ...given('jwksUri', 'jwks_uri'),
    ...(form.text('jwks') === '' ? {} : { jwks: parseJwks(form.text('jwks')) }),
  };
}

/** The secret is shown here and never again. */
async function secretPage(
  visit: OwnVisit,
  title: string,
  clientId: string,
  secret: string | undefined,
): Promise<Response> {
  const { t } = visit;
  const body = html`<h1>${title}</h1>
    <div class="card">
      <p class="label">${t.clients.id}</p>
      <p><code class="secret">${clientId}</code></p>
      ${
        secret === undefined
          ? undefined
          : html`<p class="label">${t.clients.secret}</p>
              <p><code class="secret">${secret}</code></p>
              <p>${t.clients.secretLead} ${t.common.copyNow}</p>`
      }
      <div class="actions"><a class="button primary" href="/admin/clients">${t.common.continue}</a></div>
    </div>`;
  return showPage(visit, { title, body, section: 'account' });
}

/** What was not acceptable is said above the form; nothing that was typed is lost. */
async function orExplain(visit: OwnVisit, work: () => Promise<Response>): Promise<Response> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ClientError) return formPage(visit, `${visit.t.clients.invalid} ${error.message}`);
    throw error;
  }
}

export const registerNewClient = (visit: OwnVisit): Promise<Response> =>
  orExplain(visit, async () => {
    const kind = KINDS.find((k) => k === visit.form.text('kind')) ?? 'app';
    const { clientId, secret } = await registerClient(
      visit.parts,
      { kind, ...metadataOf(visit.form) },
      visit.account.id,
    );
    await visit.identity.server.observe({ kind: 'client-changed', clientId, change: 'registered' });
    return secretPage(visit, visit.t.clients.created, clientId, secret);
  });

export async function disableOne(visit: OwnVisit): Promise<Response> {
  const clientId = visit.form.text('client');
  if (await disableClient(visit.parts, clientId))
    await visit.identity.server.observe({ kind: 'client-changed', clientId, change: 'disabled' });
  return goTo(visit, '/admin/clients?done=1');
}

export async function enableOne(visit: OwnVisit): Promise<Response> {
  const clientId = visit.form.text('client');
  if (await enableClient(visit.parts, clientId))
    await visit.identity.server.observe({ kind: 'client-changed', clientId, change: 'enabled' });
  return goTo(visit, '/admin/clients?done=1');
}

export async function rotateOne(visit: OwnVisit): Promise<Response> {
  const clientId = visit.form.text('client');
  let secret: string;
  try {
    secret = await rotateSecret(visit.parts, clientId);
  } catch (error) {
    // Disabled or gone meanwhile: the list shows how it is.
    if (error instanceof ClientError) return goTo(visit, '/admin/clients');
    throw error;
  }
  await visit.identity.server.observe({ kind: 'client-changed', clientId, change: 'secret-rotated' });
  return secretPage(visit, visit.t.clients.rotate, clientId, secret);
}
