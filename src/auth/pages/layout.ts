/** The frame of every page: head, top bar, messages, foot. @see https://www.w3.org/TR/WCAG22/ */
import { html, raw } from 'hono/html';
import type { Role } from '../accounts/account.ts';
import { LANGUAGE_CODES, LANGUAGES } from './texts/languages.ts';
import type { Visit } from './visit.ts';

export type Html = ReturnType<typeof html>;
/** What may stand in a template's place. */
export type Part = Html | string | undefined | false | readonly (Html | undefined | false)[];

/** What the frame of a page wants to know of a visit. */
export type Frame = Pick<Visit, 't' | 'language' | 'url' | 'session' | 'account' | 'pending' | 'csrf'>;

export interface PageOptions {
  readonly title: string;
  readonly body: Part;
  /** `narrow`: one form. `wide`: lists and tables. */
  readonly width?: 'narrow' | 'medium' | 'wide';
  /** Shown above the body: what has been done. */
  readonly notice?: string | undefined;
  /** Shown above the body, and read out: what was wrong. */
  readonly error?: string | undefined;
  /** File names of scripts under /assets. */
  readonly scripts?: readonly string[];
  /** Links to the account pages beside it. */
  readonly section?: 'account' | 'admin';
  /** Without links that lead away: in the middle of an app's launch. */
  readonly plain?: boolean;
  /** Without a choice of language: the page has no address of its own. */
  readonly bare?: boolean;
}

const MARK = raw(
  '<svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false"><circle cx="16" cy="16" r="12.5" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round" stroke-dasharray="62 17" transform="rotate(-68 16 16)"/><path d="M16 9.5V16l4.2 4.2" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/><circle cx="24.2" cy="6.6" r="3.2" fill="var(--spark)"/></svg>',
);

interface Link {
  readonly path: string;
  readonly text: string;
  readonly roles?: readonly Role[];
}

/** Pages of the account, and those that only some roles have. */
const links = ({ t }: Frame): readonly Link[] => [
  { path: '/account', text: t.nav.account },
  { path: '/account/people', text: t.nav.people },
  { path: '/account/apps', text: t.nav.apps },
  { path: '/account/sessions', text: t.nav.sessions },
  { path: '/admin/people', text: t.nav.adminPeople, roles: ['admin', 'staff', 'physician'] },
  { path: '/admin/clients', text: t.nav.adminClients, roles: ['admin'] },
  { path: '/admin/jobs', text: t.nav.adminJobs, roles: ['admin'] },
];

/** Links that somebody may follow. */
export function linksFor(visit: Frame): readonly Link[] {
  const roles = visit.account?.roles ?? [];
  return links(visit).filter((link) => !link.roles || link.roles.some((role) => roles.includes(role)));
}

function languageLink(visit: Frame, code: (typeof LANGUAGE_CODES)[number]): Html {
  if (code === visit.language) return html`<li><span aria-current="true">${LANGUAGES[code].name}</span></li>`;
  const url = new URL(visit.url);
  url.searchParams.set('lang', code);
  // Two slashes at the beginning would name another host.
  const path = url.pathname.replace(/^\/{2,}/, '/');
  return html`<li>
    <a href="${`${path}${url.search}`}" lang="${code}" hreflang="${code}">${LANGUAGES[code].name}</a>
  </li>`;
}

export const csrfField = ({ csrf }: Pick<Visit, 'csrf'>): Html =>
  html`<input type="hidden" name="csrf" value="${csrf}" />`;

function topBar(visit: Frame, plain: boolean): Html {
  const { t, account } = visit;
  const brand = html`${MARK}<span>Kairos</span>`;
  return html`<header class="bar">
    <div class="bar-in">
      ${plain ? html`<span class="brand">${brand}</span>` : html`<a class="brand" href="/">${brand}</a>`}
      ${
        account
          ? html`<div class="who">
              <span class="who-name"
                ><span class="quiet">${t.common.signedInAs}</span> ${account.name || account.email}</span
              >
              ${
                plain
                  ? undefined
                  : html`<form method="post" action="/signout">
                      ${csrfField(visit)}<button class="link">${t.common.signOut}</button>
                    </form>`
              }
            </div>`
          : undefined
      }
    </div>
  </header>`;
}

const side = (visit: Frame): Html =>
  html`<nav class="side" aria-label="${visit.t.nav.label}">
    <ul>
      ${linksFor(visit).map(
        ({ path, text }) =>
          html`<li><a href="${path}" ${visit.url.pathname === path ? raw('aria-current="page"') : ''}>${text}</a></li>`,
      )}
    </ul>
  </nav>`;

/** Every page of a visitor who is signed in warns before the session ends; the few minutes half-way are not worth it. */
const sessionWarning = ({ t, session, pending, csrf }: Frame): Html | undefined =>
  session && !pending
    ? html`<dialog
          id="session-warning"
          aria-labelledby="session-title"
          data-csrf="${csrf}"
          data-ends-title="${t.session.endsTitle}"
          data-ends="${t.session.ends}"
          data-ends-button="${t.session.endsButton}"
        >
          <h2 id="session-title">${t.session.warnTitle}</h2>
          <p>${t.session.warn}</p>
          <form method="dialog">
            <button class="primary" value="extend">${t.session.extend}</button>
          </form>
        </dialog>
        <script type="module" src="/assets/session.js"></script>`
    : undefined;

/** A whole page. */
export function layout(visit: Frame, options: PageOptions): string {
  const { t, language } = visit;
  const { title, body, width = 'narrow', notice, error, scripts = [], section, plain = false, bare = false } = options;
  const page = html`<!doctype html>
    <html lang="${language}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>
          ${error === undefined ? '' : `${t.common.problem}: `}${title}${title === 'Kairos' ? '' : ' · Kairos'}
        </title>
        <link rel="icon" href="/assets/icon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/assets/kairos.css" />
        ${scripts.map((file) => html`<script type="module" src="/assets/${file}"></script>`)}
      </head>
      <body>
        <a class="skip" href="#main">${t.common.skip}</a>
        ${topBar(visit, plain)}
        <div class="frame ${width}${section && visit.account ? ' with-side' : ''}">
          ${section && visit.account ? side(visit) : undefined}
          <main id="main" tabindex="-1">
            ${
              error === undefined
                ? undefined
                : html`<div class="note bad" role="alert" id="problem"><p>${error}</p></div>`
            }
            ${notice === undefined ? undefined : html`<div class="note good" role="status"><p>${notice}</p></div>`}
            ${body}
          </main>
        </div>
        ${
          bare
            ? undefined
            : html`<footer class="foot">
                <nav aria-label="${t.common.language}">
                  <ul>
                    ${LANGUAGE_CODES.map((code) => languageLink(visit, code))}
                  </ul>
                </nav>
              </footer>`
        }
        ${sessionWarning(visit)}
      </body>
    </html> `;
  // Nothing in it is waited for.
  return String(page);
}
