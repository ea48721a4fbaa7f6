/**
 * Whole authorizations, as a browser and an app go through them: request, sign-in that is there already, consent, code, token. Person and app are
 * written into the database; everything else goes over HTTP, by the pages that people see.
 */
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { ClientConfig } from 'pg';
import { Client } from 'pg';
import { runForKeys } from '../compose-keys.ts';
import { openInstallationKeys } from '../platform/installation-keys.ts';
import { newSecret, secretHash } from '../platform/keys.ts';
import { openRootKeys } from '../platform/root-keys.ts';
import { patientId } from './population.ts';

const CLIENT = 'bench-app';
const ACCOUNT = 'bench-person';
const REDIRECT = 'https://app.example.org/callback';
const SCOPE = 'openid fhirUser launch/patient patient/Patient.rs';

/** The person, signed in. @returns the cookie of the session */
export async function preparePerson(connection: ClientConfig, dataDir: string): Promise<string> {
  const { run, close } = runForKeys(connection, 5000);
  const roots = await openRootKeys({ rootKey: undefined, rootKeysAlso: [], dataDir, databaseUrl: undefined });
  const installation = await openInstallationKeys(run, roots);
  const { keys } = installation;
  const secret = newSecret();
  const email = 'bench@example.org';
  const metadata = { name: 'Bench', auth: 'none', redirectUris: [REDIRECT], postLogoutRedirectUris: [], scope: SCOPE };
  const client = new Client(connection);
  await client.connect();
  try {
    await client.query(
      `insert into auth_account (id, email_tag, email_sealed, name_sealed, roles, status, webauthn_user_id) values ($1, $2, $3, $4, '{patient}', 'active', $1) on conflict do nothing`,
      [
        ACCOUNT,
        keys.tag('auth_account.email', email),
        keys.seal('auth_account.email_sealed', ACCOUNT, email),
        keys.seal('auth_account.name_sealed', ACCOUNT, 'Bench'),
      ],
    );
    await client.query(
      `insert into auth_profile (account_id, reference, linked_by) values ($1, $2, 'bench') on conflict do nothing`,
      [ACCOUNT, `Patient/${patientId(0)}`],
    );
    await client.query(
      `insert into auth_client (client_id, metadata, kind, created_by) values ($1, $2, 'app', 'bench') on conflict do nothing`,
      [CLIENT, JSON.stringify(metadata)],
    );
    await client.query(
      `insert into auth_session (uid, id_hash, account_id, idle_seconds, expires_at, auth_time, step_up_at, amr, device)
       values ($1, $2, $3, 86400, now() + interval '1 day', now(), now(), '{pwd,mfa}', 'bench')`,
      [secretHash(secret), secretHash(secret), ACCOUNT],
    );
  } finally {
    installation.close();
    await close();
    await client.end();
  }
  return `sid=${secret}`;
}

/** Any of sixteen million: how many authorizations begin at one is limited. */
const anyAddress = (): string => `10.${randomInt(256)}.${randomInt(256)}.${randomInt(1, 255)}`;

/** A browser that keeps cookies by path, at an address of its own. */
class Browser {
  readonly #address = anyAddress();
  readonly #cookies = new Map<string, { readonly pair: string; readonly path: string }>();
  readonly #origin: string;

  constructor(origin: string, session: string) {
    this.#origin = origin;
    this.#cookies.set('sid', { pair: session, path: '/' });
  }

  async send(path: string, form?: URLSearchParams): Promise<Response> {
    const { pathname } = new URL(path, this.#origin);
    const cookie = [...this.#cookies.values()].filter((c) => pathname.startsWith(c.path)).map((c) => c.pair);
    const response = await fetch(new URL(path, this.#origin), {
      redirect: 'manual',
      headers: {
        cookie: cookie.join('; '),
        accept: 'text/html',
        origin: this.#origin,
        'x-forwarded-for': this.#address,
      },
      ...(form ? { method: 'POST', body: form } : {}),
    });
    for (const text of response.headers.getSetCookie()) {
      const pair = text.slice(0, text.indexOf(';'));
      const at = /;\s*path=([^;]*)/i.exec(text)?.[1] ?? '/';
      this.#cookies.set(`${pair.slice(0, pair.indexOf('='))} ${at}`, { pair, path: at });
    }
    return response;
  }
}

const attribute = (tag: string, name: string): string => new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1] ?? '';

/** The first form of a step, as a person would send it who agrees. */
function agreed(page: string): { readonly action: string; readonly form: URLSearchParams } {
  const form = new URLSearchParams();
  const [text = ''] = /<form method="post" action="\/oauth\/interaction\/[\s\S]*?<\/form>/.exec(page) ?? [];
  for (const [tag] of text.matchAll(/<input [^>]*>/g)) {
    if (attribute(tag, 'type') !== 'checkbox' || / checked/.test(tag))
      form.append(attribute(tag, 'name'), attribute(tag, 'value'));
  }
  const [button = ''] = /<button [^>]*name="[^>]*>/.exec(text) ?? [];
  form.append(attribute(button, 'name'), attribute(button, 'value'));
  return { action: attribute(text, 'action'), form };
}

/** One authorization, to its access token. @throws when it leads elsewhere */
async function authorizeOnce(origin: string, session: string): Promise<void> {
  const browser = new Browser(origin, session);
  const verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: CLIENT,
    redirect_uri: REDIRECT,
    scope: SCOPE,
    state: 'bench',
    aud: `${origin}/fhir/R4`,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  let response = await browser.send(`/oauth/authorize?${query}`);
  for (let steps = 0; steps < 12; steps++) {
    const location = response.headers.get('location');
    if (location?.startsWith(REDIRECT)) {
      const code = new URL(location).searchParams.get('code');
      if (code === null) throw new Error(`no code: ${location}`);
      const form = { grant_type: 'authorization_code', code, redirect_uri: REDIRECT, code_verifier: verifier };
      const token = await fetch(`${origin}/oauth/token`, {
        method: 'POST',
        body: new URLSearchParams({ ...form, client_id: CLIENT }),
      });
      if (!token.ok) throw new Error(`no token: ${token.status} ${await token.text()}`);
      await token.arrayBuffer();
      return;
    }
    const text = await response.text();
    if (location !== null) response = await browser.send(location);
    else {
      const { action, form } = agreed(text);
      if (action === '') throw new Error(`no form: ${response.status} ${text.slice(0, 300)}`);
      response = await browser.send(action, form);
    }
  }
  throw new Error('the authorization goes in circles');
}

/** Authorizations a second, and how long one takes, with so many people at a time. */
export async function measureAuthorize(
  port: number,
  session: string,
  people: number,
  measureMs: number,
): Promise<{ readonly perSecond: number; readonly p50Ms: number }> {
  const origin = `http://localhost:${port}`;
  await authorizeOnce(origin, session);
  const times: number[] = [];
  const began = performance.now();
  const person = async (): Promise<void> => {
    while (performance.now() - began < measureMs) {
      const at = performance.now();
      await authorizeOnce(origin, session);
      times.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: people }, person));
  times.sort((a, b) => a - b);
  return {
    perSecond: (times.length * 1000) / (performance.now() - began),
    p50Ms: times[times.length >> 1] ?? Number.NaN,
  };
}
