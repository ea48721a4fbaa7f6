/** A clinic with people, records and an app on a real socket, and a visitor without scripts: for tests of the pages. */
import { createHash } from 'node:crypto';
import type { Patient, RelatedPerson } from '@medplum/fhirtypes';
import { accountById, type Account, type Role, type StaffKind } from '../../src/auth/accounts/account.ts';
import { createAccount } from '../../src/auth/accounts/create.ts';
import { registerClient, type NewClient } from '../../src/auth/clients/registry.ts';
import { newestMail } from '../../src/auth/mail/mail.ts';
import { startSession } from '../../src/auth/session/session.ts';
import { grantAll } from '../../src/fhir/access.ts';
import { storeAll } from '../../src/fhir/interaction/store-all.ts';
import { inTransaction } from '../../src/platform/database/transaction.ts';
import { startIdentityServer, type IdentityServer, type IdentityServerOptions } from '../support/identity-server.ts';

export const PASSWORD = 'tangerine submarine 42';

export interface NewPerson {
  readonly email?: string;
  readonly name?: string;
  readonly roles?: readonly Role[];
  readonly staffKinds?: readonly StaffKind[];
  readonly profiles?: readonly string[];
}

export interface World {
  readonly server: IdentityServer;
  readonly origin: string;
  /** Moves the clock on. */
  later(seconds: number): void;
  account(person?: NewPerson): Promise<Account>;
  /** Value of a session cookie for the account, as after a sign-in now. */
  session(account: Account, amr?: readonly string[]): Promise<string>;
  app(client?: Partial<NewClient>): Promise<string>;
  /** The newest letter to an address: its kind, and the first link in it. */
  letter(email: string): Promise<{ readonly kind: string; readonly link: string } | undefined>;
  /** Address of an authorization request of the app. */
  authorize(clientId: string, scope: string, parameters?: Readonly<Record<string, string>>): string;
  visitor(): Visitor;
  close(): Promise<void>;
}

/** Of every request that `World.authorize` makes. */
export const VERIFIER = 'a-verifier-that-is-long-enough-for-rfc-7636-and-known';

/** Where the app of the tests is called back; nobody listens there. */
export const CALLBACK = 'http://localhost:9/callback';

const MARIA: Patient = {
  resourceType: 'Patient',
  id: 'maria',
  name: [{ use: 'official', family: 'García-Okonkwo', given: ['María', 'Fernanda'] }],
  birthDate: '1984-05-21',
  identifier: [{ system: 'urn:test:mrn', value: 'MRN-0042' }],
};
const LEO: Patient = {
  resourceType: 'Patient',
  id: 'leo',
  name: [{ use: 'official', family: 'Okonkwo', given: ['Leo'] }],
  birthDate: '2019-11',
};
const STRANGER: Patient = {
  resourceType: 'Patient',
  id: 'stranger',
  name: [{ use: 'official', family: 'Okonkwo', given: ['Stella'] }],
  birthDate: '1990-01-02',
};
const MOTHER: RelatedPerson = {
  resourceType: 'RelatedPerson',
  id: 'mother-of-leo',
  active: true,
  patient: { reference: 'Patient/leo' },
  name: [{ family: 'García-Okonkwo', given: ['María'] }],
};

export async function openWorld(options: IdentityServerOptions = {}): Promise<World> {
  let ahead = 0;
  const clock = { now: (): number => Date.now() + ahead * 1000 };
  const server = await startIdentityServer({ ...options, clock });
  const { kairos, origin } = server;
  const parts = kairos.identity;
  const outcomes = await storeAll(
    kairos.engine,
    {
      requestId: 'test',
      access: grantAll({ kind: 'system', name: 'test' }),
      clock,
      baseUrl: kairos.engine.baseUrl,
      emit: () => undefined,
    },
    [MARIA, LEO, STRANGER, MOTHER],
    { existing: 'keep' },
  );
  for (const outcome of outcomes) if (outcome instanceof Error) throw outcome;
  let count = 0;
  return {
    server,
    origin,
    later: (seconds) => void (ahead += seconds),
    async account({
      email = `person${++count}@example.org`,
      name = 'María García-Okonkwo',
      roles = ['patient'],
      staffKinds = [],
      profiles = [],
    }: NewPerson = {}) {
      const passwordHash = await parts.passwords.hash(PASSWORD);
      const id = await inTransaction(parts.pool, (run) =>
        createAccount(run, parts, { email, name, roles, staffKinds, profiles, by: 'test', locale: 'en', passwordHash }),
      );
      const account = await accountById(parts, id ?? '');
      if (!account) throw new Error('The account was not made');
      return account;
    },
    async session(account, amr = ['pwd', 'mfa']) {
      const { cookie } = await startSession(parts, account, { amr, device: 'Firefox on Linux' });
      return /=([^;]+)/.exec(cookie)?.[1] ?? '';
    },
    async app(client = {}) {
      const { clientId } = await registerClient(
        parts,
        {
          kind: 'app',
          name: 'Heart Diary',
          auth: 'none',
          redirectUris: [CALLBACK],
          postLogoutRedirectUris: [],
          scope:
            'openid fhirUser profile launch/patient offline_access online_access patient/*.rs patient/Appointment.rs patient/Appointment.rs?status=booked patient/Patient.r user/Slot.rs',
          policyUri: 'https://app.example.org/privacy',
          ...client,
        },
        'test',
      );
      return clientId;
    },
    async letter(email) {
      const found = (await newestMail(parts, 1000)).find((m) => m.to === email);
      return found && { kind: found.kind, link: /https?:\/\/\S+/.exec(found.text)?.[0] ?? '' };
    },
    authorize(clientId, scope, parameters = {}) {
      const challenge = createHash('sha256').update(VERIFIER).digest('base64url');
      const query = new URLSearchParams({
        response_type: 'code',
        client_id: clientId,
        redirect_uri: CALLBACK,
        scope,
        state: 'xyz',
        aud: parts.fhirBase,
        code_challenge: challenge,
        code_challenge_method: 'S256',
        ...parameters,
      });
      return `${origin}/oauth/authorize?${query.toString()}`;
    },
    visitor: () => new Visitor(origin),
    close: () => server.close(),
  };
}

/** What came back, with the forms in it. */
export interface Seen {
  readonly status: number;
  readonly headers: Headers;
  readonly url: URL;
  readonly text: string;
}

const unescape = (text: string): string =>
  text
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');

const attribute = (tag: string, name: string): string | undefined => {
  const value = new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1];
  return value === undefined ? undefined : unescape(value);
};

/** What a form of the page would send if nobody touched it. @param action its address, or its beginning */
export function formOf(page: Seen, action: string): URLSearchParams {
  for (const [, attributes = '', content = ''] of page.text.matchAll(/<form([^>]*)>([\s\S]*?)<\/form>/g)) {
    if (!attribute(attributes, 'action')?.startsWith(action) || attribute(attributes, 'method') !== 'post') continue;
    const fields = new URLSearchParams();
    for (const [tag] of content.matchAll(/<input[^>]*>/g)) {
      const type = attribute(tag, 'type') ?? 'text';
      const name = attribute(tag, 'name');
      if (name === undefined) continue;
      if ((type === 'checkbox' || type === 'radio') && !/\schecked[\s/>]/.test(tag)) continue;
      fields.append(name, attribute(tag, 'value') ?? '');
    }
    return fields;
  }
  throw new Error(`No form for ${action} on ${page.url.pathname}: ${page.text.replace(/<[^>]+>/g, ' ').slice(0, 400)}`);
}

/** A browser without scripts: keeps cookies by path, sends what browsers send, follows redirects when told to. */
export class Visitor {
  readonly #origin: string;
  #cookies: readonly { readonly name: string; readonly value: string; readonly path: string }[] = [];

  constructor(origin: string) {
    this.#origin = origin;
  }

  keep(setCookie: string): void {
    const [pair = '', ...attributes] = setCookie.split(';').map((part) => part.trim());
    const equals = pair.indexOf('=');
    const path = attributes.find((a) => a.toLowerCase().startsWith('path='))?.slice(5) ?? '/';
    const cookie = { name: pair.slice(0, equals), value: pair.slice(equals + 1), path };
    const gone = cookie.value === '' || /expires=Thu, 01 Jan 1970|max-age=0/i.test(setCookie);
    const others = this.#cookies.filter((c) => c.name !== cookie.name || c.path !== path);
    this.#cookies = gone ? others : [...others, cookie];
  }

  cookie(name: string): string | undefined {
    return this.#cookies.find((c) => c.name === name)?.value;
  }

  async send(target: string, init: RequestInit = {}): Promise<Seen> {
    const url = new URL(target, this.#origin);
    const headers = new Headers({ Accept: 'text/html,application/xhtml+xml,*/*;q=0.8', ...init.headers });
    const sent = this.#cookies.filter(
      (c) => url.pathname === c.path || url.pathname.startsWith(c.path.endsWith('/') ? c.path : `${c.path}/`),
    );
    if (sent.length > 0) headers.set('cookie', sent.map((c) => `${c.name}=${c.value}`).join('; '));
    const response = await fetch(url, { redirect: 'manual', ...init, headers });
    for (const cookie of response.headers.getSetCookie()) this.keep(cookie);
    return { status: response.status, headers: response.headers, url, text: await response.text() };
  }

  /** GET, and what it leads to; stops before another origin. */
  async go(target: string): Promise<Seen> {
    return this.#follow(await this.send(target));
  }

  async #follow(first: Seen): Promise<Seen> {
    let seen = first;
    for (let hop = 0; hop < 10; hop++) {
      const location = seen.headers.get('location');
      if (location === null || seen.status < 300 || seen.status > 399) return seen;
      const next = new URL(location, seen.url);
      if (next.origin !== this.#origin) return seen;
      seen = await this.send(next.href);
    }
    throw new Error('Redirected for ever');
  }

  /** Sends a form as a browser would, and says what came back at once. */
  post(action: string, fields: URLSearchParams, headers: Readonly<Record<string, string>> = {}): Promise<Seen> {
    return this.send(action, {
      method: 'POST',
      body: fields.toString(),
      headers: {
        'Content-Type': 'application/x-www-form-urlencoded',
        Origin: this.#origin,
        'Sec-Fetch-Site': 'same-origin',
        ...headers,
      },
    });
  }

  /** Fills the form of a page in, sends it, and follows where it leads. */
  async submit(page: Seen, action: string, values: Readonly<Record<string, string>> = {}): Promise<Seen> {
    const fields = formOf(page, action);
    for (const [name, value] of Object.entries(values)) fields.set(name, value);
    return this.#follow(await this.post(new URL(action, page.url).href, fields));
  }

  async signIn(email: string, password = PASSWORD): Promise<Seen> {
    return this.submit(await this.go('/signin'), '/signin', { email, password });
  }
}
