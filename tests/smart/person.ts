/** A person before the pages: follows redirects and sends forms as a browser without scripts does, each request to another process. */
import type { Browser } from '../support/app-driver.ts';
import type { IdentityServer } from '../support/identity-server.ts';

export interface Wishes {
  /** `Patient/1` */
  readonly patient?: string;
  readonly deny?: boolean;
  /** Whether a scope stays ticked. */
  readonly keep?: (scope: string) => boolean;
  /** Scopes that are ticked beside those that are. */
  readonly tick?: readonly string[];
}

const unescapeHtml = (text: string): string =>
  text.replace(
    /&(?:amp|lt|gt|quot|#39);/g,
    (e) => ({ '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" })[e] ?? e,
  );

const valuesOf = (html: string, pattern: RegExp): string[] =>
  [...html.matchAll(pattern)].map((m) => unescapeHtml(m[1] ?? ''));

/** What is sent for a page of ours. */
function answerTo(
  path: string,
  html: string,
  { patient = 'Patient/1', deny = false, keep = () => true, tick = [] }: Wishes,
): URLSearchParams {
  const [csrf = ''] = valuesOf(html, /name="csrf" value="([^"]*)"/g);
  const form = new URLSearchParams({ csrf });
  if (path.endsWith('/patient')) {
    if (deny) form.set('deny', '1');
    else if (!valuesOf(html, /<button name="patient" value="([^"]*)"/g).includes(patient))
      throw new Error(`${patient} is not offered: ${html}`);
    else form.set('patient', patient);
    return form;
  }
  for (const scope of valuesOf(html, /name="scope" value="([^"]*)" checked/g))
    if (keep(scope)) form.append('scope', scope);
  for (const scope of tick) {
    if (!valuesOf(html, /name="scope" value="([^"]*)"/g).includes(scope)) throw new Error(`${scope} is not offered`);
    form.append('scope', scope);
  }
  form.set('decision', deny ? 'deny' : 'allow');
  return form;
}

/**
 * From an address of the authorization server to the redirect back to the app.
 * @returns that redirect, which was not followed; undefined with the last page when there is none
 */
export async function visit(
  servers: readonly IdentityServer[],
  browser: Browser,
  from: URL | string,
  wishes: Wishes = {},
): Promise<{
  readonly redirect: URL | undefined;
  readonly page: string;
  readonly status: number;
  readonly seen: readonly string[];
}> {
  const { origin } = servers[0] ?? { origin: '' };
  const seen: string[] = [];
  let target = String(from);
  let form: URLSearchParams | undefined;
  for (let step = 0; step < 20; step++) {
    const here = servers[step % servers.length]?.listens ?? '';
    const response = await browser.fetch(`${here}${target.slice(origin.length)}`, {
      headers: { accept: 'text/html', ...(form ? { origin, 'sec-fetch-site': 'same-origin' } : {}) },
      ...(form ? { method: 'POST', body: form } : {}),
    });
    const page = await response.text();
    const location = response.headers.get('location');
    const path = new URL(target).pathname;
    seen.push(
      `${form ? 'POST' : 'GET'} ${path.replace(/\/interaction\/[^/]+|\/authorize\/[^/]+/, (m) => m.slice(0, m.lastIndexOf('/')))} ${response.status}`,
    );
    if (location !== null) {
      const next = new URL(location, target);
      if (next.origin !== origin) return { redirect: next, page, status: response.status, seen };
      target = next.href;
      form = undefined;
    } else if (!form && response.status === 200 && path.includes('/interaction/')) form = answerTo(path, page, wishes);
    else return { redirect: undefined, page, status: response.status, seen };
  }
  throw new Error(`Going in circles: ${seen.join(', ')}`);
}
