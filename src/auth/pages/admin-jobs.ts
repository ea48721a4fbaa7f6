/** `/admin/jobs`: the board of the job queue, behind the guards of all pages. Its programs come from a library, so this page has a policy of its own. */
import { html, raw } from 'hono/html';
import type { JobBoard } from '../../platform/queue-board.ts';
import { errorFields } from '../../platform/log.ts';
import { missing, PageError } from './errors.ts';
import { htmlReply, jsonReply } from './reply.ts';
import { own, type Handler, type Route, type Rule } from './route.ts';
import type { Language } from './texts/languages.ts';
import { goTo, type OwnVisit } from './visit.ts';

/** @throws when the queue cannot be reached now */
export type OpenBoard = () => Promise<JobBoard>;

const BASE = '/admin/jobs/';

/** As of all pages, and: its own base, since it loads by relative addresses, and a worker that colours JSON. Nothing inline, nothing from elsewhere. */
const POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "worker-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'self'",
].join('; ');

const LOCALES: Readonly<Record<Language, string>> = { en: 'en-US', es: 'es-ES' };

/** JSON within a page: it must not end the element that it stands in. */
const inScript = (value: unknown): string => JSON.stringify(value).replaceAll('<', '\\u003c');

async function boardOf(visit: OwnVisit, open: OpenBoard): Promise<JobBoard> {
  try {
    return await open();
  } catch (error) {
    visit.parts.log.warn('The board of jobs has no queue', errorFields(error));
    throw new PageError(503, 'unavailable', 'transient', { 'Retry-After': '5' });
  }
}

async function showBoard(visit: OwnVisit, open: OpenBoard): Promise<Response> {
  const { t, language } = visit;
  const { scripts, styles, config } = await boardOf(visit, open);
  const shown = {
    ...config,
    locale: { lng: LOCALES[language] },
    miscLinks: [{ text: t.common.back, url: '/account' }],
  };
  const page = html`<!doctype html>
    <html lang="${language}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <base href="${BASE}" />
        <title>${t.nav.adminJobs} · Kairos</title>
        <link id="fav-logo" rel="icon" href="/assets/icon.svg" type="image/svg+xml" />
        ${styles.map((file) => html`<link rel="stylesheet" href="${file}" />`)}
      </head>
      <body>
        <noscript>${t.common.needsScript}</noscript>
        <script id="__UI_CONFIG__" type="application/json">
          ${raw(inScript(shown))}
        </script>
        <div id="root"></div>
        <script src="/assets/board.js" data-csrf="${visit.csrf}" defer></script>
        ${scripts.map((file) => html`<script src="${file}" defer></script>`)}
      </body>
    </html> `;
  return htmlReply(String(page), {
    cookies: visit.cookies,
    headers: { 'Content-Security-Policy': POLICY, 'Cross-Origin-Opener-Policy': 'same-origin' },
  });
}

async function callBoard(visit: OwnVisit, open: OpenBoard, method: 'get' | 'put'): Promise<Response> {
  const target = visit.url.pathname.slice(BASE.length - 1);
  const board = await boardOf(visit, open);
  const reply = await board.call(method, target, visit.url.searchParams);
  if (!reply) throw missing();
  if (method === 'put')
    // The target names a queue, a job and what was done; no person.
    visit.parts.log.info('An administrator acted on the job queue', { url: target, status: reply.status });
  return reply.status === 204 ? new Response(null, { status: 204 }) : jsonReply(reply.body, { status: reply.status });
}

async function sendFile(visit: OwnVisit, open: OpenBoard): Promise<Response> {
  const file = await (await boardOf(visit, open)).file(visit.url.pathname.slice(BASE.length));
  if (!file) throw missing();
  return new Response(file.bytes, {
    headers: {
      'Content-Type': file.type,
      // Their names change with what is in them, but for words.
      'Cache-Control': file.type.startsWith('application/json')
        ? 'private, no-cache'
        : 'private, max-age=31536000, immutable',
      'X-Content-Type-Options': 'nosniff',
      'Cross-Origin-Resource-Policy': 'same-origin',
      // Of the worker that colours JSON, which loads the rest of itself.
      'Content-Security-Policy': "default-src 'none'; script-src 'self'; frame-ancestors 'none'",
    },
  });
}

const ADMIN: Rule = { roles: ['admin'] };
const ADMIN_ACT: Rule = { roles: ['admin'], stepUp: true };

export function jobsRoutes(open: OpenBoard): readonly Route[] {
  const page: Handler<OwnVisit> = (visit) => showBoard(visit, open);
  // The board looks every few seconds: that is no activity of a person.
  const call = own(
    '/admin/jobs/api/*',
    {
      GET: (visit) => callBoard(visit, open, 'get'),
    },
    ADMIN,
    { touches: false },
  );
  const act = own('/admin/jobs/api/*', { PUT: (visit) => callBoard(visit, open, 'put') }, ADMIN_ACT);
  return [
    own('/admin/jobs', { GET: (visit) => goTo(visit, BASE) }, ADMIN),
    ...['/', '/job-schedulers', '/metrics-history', '/queue/:name', '/queue/:name/:id'].map((path) =>
      own(`/admin/jobs${path}`, { GET: page }, ADMIN),
    ),
    { ...call, ...act, touches: false },
    own('/admin/jobs/static/*', { GET: (visit) => sendFile(visit, open) }, ADMIN, { touches: false }),
  ];
}
