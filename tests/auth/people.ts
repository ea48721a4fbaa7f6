/** People with accounts on a fresh database, with a clock that a test moves, for tests of the use cases below the pages. */
import { randomBytes } from 'node:crypto';
import { Secret, TOTP } from 'otpauth';
import { accountById, type Account, type Role, type StaffKind } from '../../src/auth/accounts/account.ts';
import type { Person } from '../../src/auth/accounts/actor.ts';
import type { Browser } from '../../src/auth/accounts/browser.ts';
import { createAccount } from '../../src/auth/accounts/create.ts';
import { signIn } from '../../src/auth/accounts/sign-in.ts';
import type { SignedIn } from '../../src/auth/accounts/signed-in.ts';
import { newestMail, type StoredMail } from '../../src/auth/mail/mail.ts';
import { beginTotp, confirmTotp, type Enrolled } from '../../src/auth/mfa/totp.ts';
import type { AuthParts } from '../../src/auth/parts.ts';
import { Refusal } from '../../src/auth/refusal.ts';
import { sessionOf } from '../../src/auth/session/session.ts';
import { openPool } from '../../src/platform/database/pool.ts';
import { inTransaction } from '../../src/platform/database/transaction.ts';
import type { Environment } from '../../src/platform/config.ts';
import { openTestKairos, type TestKairos } from '../support/kairos.ts';

export const PASSWORD = 'tangerine submarine 42';

export interface Household {
  readonly kairos: TestKairos;
  readonly parts: AuthParts;
  /** Moves the clock on. */
  later(seconds: number): void;
  /** The same installation as another process sees it: its own connections. */
  otherProcess(): AuthParts;
  account(options?: {
    email?: string;
    roles?: readonly Role[];
    staffKinds?: readonly StaffKind[];
    profiles?: readonly string[];
  }): Promise<Account>;
  /** Signed in, and with the step-up of a fresh sign-in. */
  person(options?: {
    email?: string;
    roles?: readonly Role[];
    staffKinds?: readonly StaffKind[];
  }): Promise<Person & { readonly browser: Jar }>;
  /** Letters to an address, the newest first. */
  lettersTo(email: string): Promise<readonly StoredMail[]>;
  close(): Promise<void>;
}

/** A browser that keeps cookies. */
export class Jar implements Browser {
  readonly source: string;
  readonly userAgent = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
  readonly #cookies = new Map<string, string>();

  constructor(source = '192.0.2.1') {
    this.source = source;
  }

  get cookieHeader(): string | undefined {
    return this.#cookies.size === 0
      ? undefined
      : [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  /** As the source, cookies and user agent of a request. */
  get request(): Browser {
    return { source: this.source, cookieHeader: this.cookieHeader, userAgent: this.userAgent };
  }

  keep<T extends { readonly cookies: readonly string[] }>(reply: T): T {
    for (const cookie of reply.cookies) {
      const [name = '', value = ''] = (cookie.split(';')[0] ?? '').split('=');
      this.#cookies.set(name, value);
    }
    return reply;
  }

  /** Without the session, as after the browser was closed. */
  forgetSession(): void {
    this.#cookies.delete('sid');
  }

  get(name: string): string | undefined {
    return this.#cookies.get(name);
  }

  set(name: string, value: string): void {
    this.#cookies.set(name, value);
  }
}

export async function openHousehold(env: Environment = {}): Promise<Household> {
  let ahead = 0;
  const clock = { now: (): number => Date.now() + ahead * 1000 };
  const kairos = await openTestKairos({ clock, env });
  const parts = kairos.identity;
  const closing: (() => Promise<unknown>)[] = [];
  let count = 0;
  const household: Household = {
    kairos,
    parts,
    later: (seconds) => void (ahead += seconds),
    otherProcess() {
      const pool = openPool(kairos.roles.app, { max: 4, name: 'other', statementTimeoutMs: 5_000 });
      closing.push(() => pool.end());
      return { ...parts, pool };
    },
    async account({
      email = `person${++count}@example.org`,
      roles = ['patient'] as const,
      staffKinds = [],
      profiles = [],
    } = {}) {
      const passwordHash = await parts.passwords.hash(PASSWORD);
      const id = await inTransaction(parts.pool, (run) =>
        createAccount(run, parts, {
          email,
          name: 'Ana Núñez',
          roles,
          staffKinds,
          profiles,
          by: 'test',
          locale: 'en',
          passwordHash,
        }),
      );
      const account = await accountById(parts, id ?? '');
      if (!account) throw new Error('no account');
      return account;
    },
    async person(options = {}) {
      const account = await household.account(options);
      const browser = new Jar(`10.0.0.${randomBytes(1)[0] ?? 0}`);
      const { session } = browser.keep(
        await signIn(parts, { email: account.email, password: PASSWORD, ...browser.request }),
      );
      return { account, session, browser };
    },
    async lettersTo(email) {
      return (await newestMail(parts, 1000)).filter((m) => m.to === email);
    },
    async close() {
      for (const close of closing) await close();
      await kairos.close();
    },
  };
  return household;
}

/** The refusal that an act ends with; its code, or `none`. */
export async function refusal(act: Promise<unknown>): Promise<string> {
  try {
    await act;
    return 'none';
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

/** The ticket in a letter's link. */
export const ticketIn = (mail: StoredMail | undefined): string => /ticket=([\w-]+)/.exec(mail?.text ?? '')?.[1] ?? '';

export const codeOf = (secret: string, milliseconds: number): string =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({ timestamp: milliseconds });

/** Sets up an authenticator app. The browser keeps the cookies. */
export async function enrol(
  { parts }: Household,
  person: Person & { readonly browser: Jar },
): Promise<Enrolled & { readonly secret: string }> {
  const { flow, secret } = await beginTotp(parts, person);
  const code = codeOf(secret, parts.clock.now());
  const enrolled = person.browser.keep(await confirmTotp(parts, { person, flow, code, ...person.browser.request }));
  return { ...enrolled, secret };
}

/** The person as the browser's cookies say. */
export async function current({ parts }: Household, browser: Jar): Promise<Person | undefined> {
  const session = await sessionOf(parts, browser.cookieHeader);
  const account = session && (await accountById(parts, session.accountId));
  return session && account ? { session, account } : undefined;
}

export const asPerson = ({ account, session }: SignedIn): Person => ({ account, session });
