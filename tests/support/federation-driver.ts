/** Steps that tests of sign-in by other providers and of EHR launches share. */
import type { Resource } from '@medplum/fhirtypes';
import { linkIn } from '../../src/auth/federation/link.ts';
import { inTransaction } from '../../src/platform/database/transaction.ts';
import { grantAll } from '../../src/fhir/access.ts';
import { storeAll } from '../../src/fhir/interaction/store-all.ts';
import { Browser } from './app-driver.ts';
import type { IdentityServer } from './identity-server.ts';

export const HTML = { accept: 'text/html' };

/** Stores resources under their own ids. */
export async function put(server: IdentityServer, ...resources: readonly Resource[]): Promise<void> {
  const { engine } = server.kairos;
  const ctx = {
    requestId: 'test',
    access: grantAll({ kind: 'system', name: 'test' }),
    clock: engine.clock,
    baseUrl: engine.baseUrl,
    emit: () => undefined,
  };
  for (const outcome of await storeAll(engine, ctx, resources, { existing: 'replace' }))
    if (typeof outcome !== 'string') throw outcome;
}

export interface Seen {
  readonly status: number;
  readonly url: string;
  readonly text: string;
  /** Set while it leads on elsewhere. */
  readonly location: string | undefined;
}

/** Opens a page as a browser does, and follows where it leads as long as that is on this server. */
export async function visit(server: IdentityServer, browser: Browser, path: string): Promise<Seen> {
  let url = new URL(path, server.origin).href;
  for (let steps = 0; steps < 12; steps++) {
    const response = await browser.fetch(url, { headers: HTML });
    const location = response.headers.get('location') ?? undefined;
    const text = await response.text();
    const next = location === undefined ? undefined : new URL(location, url).href;
    if (next === undefined || !next.startsWith(`${server.origin}/`))
      return { status: response.status, url, text, location: next };
    url = next;
  }
  throw new Error('Goes in circles');
}

/** Sends the form of a page that leads to `action`. */
export async function submit(
  server: IdentityServer,
  browser: Browser,
  page: Seen,
  action: string,
  fields: Readonly<Record<string, string>> = {},
): Promise<Seen> {
  const form = new RegExp(`<form[^>]*action="${action}"[^>]*>(.*?)</form>`, 's').exec(page.text)?.[1] ?? '';
  const value = (tag: string, name: string): string | undefined => new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1];
  const body = new URLSearchParams(fields);
  for (const [tag] of form.matchAll(/<input[^>]*>/g)) {
    const name = value(tag, 'name');
    const counts = value(tag, 'type') === 'hidden' || /\schecked/.test(tag);
    if (name !== undefined && counts && !(name in fields))
      body.append(name, value(tag, 'value')?.replaceAll('&amp;', '&') ?? '');
  }
  const response = await browser.fetch(new URL(action, server.origin).href, {
    method: 'POST',
    headers: { ...HTML, origin: server.origin, 'sec-fetch-site': 'same-origin' },
    body,
  });
  const location = response.headers.get('location');
  if (location === null)
    return { status: response.status, url: response.url, text: await response.text(), location: undefined };
  return location.startsWith('/') || location.startsWith(server.origin)
    ? visit(server, browser, location)
    : { status: response.status, url: response.url, text: '', location };
}

export const link = (server: IdentityServer, accountId: string, issuer: string, subject: string): Promise<void> =>
  inTransaction(server.kairos.pool, (run) => linkIn(run, server.kairos.identity, accountId, { issuer, subject }));
