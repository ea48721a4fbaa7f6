/** Between the authorization request and the code: forms that were tampered with, steps that are skipped, browsers and people that are changed. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Account } from '../../src/auth/accounts/account.ts';
import { disableClient } from '../../src/auth/clients/registry.ts';
import { endSession } from '../../src/auth/session/end.ts';
import { mintLaunch } from '../../src/auth/smart/launch.ts';
import {
  authorizeParameters,
  Browser,
  exchange,
  makeAccount,
  makeApp,
  pkce,
  signIn,
  type TestApp,
} from '../support/app-driver.ts';
import { visit } from './person.ts';
import { LEAK, readPatient, startInstallation, type Installation } from './support.ts';

let inst: Installation;
let app: TestApp;
let other: TestApp;

beforeAll(async () => {
  inst = await startInstallation();
  app = await makeApp(inst.first);
  other = await makeApp(inst.first);
});
afterAll(() => inst.close());

interface Person {
  readonly browser: Browser;
  readonly account: Account;
  readonly sessionUid: string;
}

async function person(
  roles: readonly ('patient' | 'staff')[] = ['patient'],
  profiles: readonly string[] = ['Patient/1'],
): Promise<Person> {
  const account = await makeAccount(inst.first, roles, profiles);
  const browser = new Browser();
  const { uid } = await signIn(inst.first, browser, account);
  return { browser, account, sessionUid: uid };
}

interface Step {
  /** `/oauth/interaction/…` */
  readonly path: string;
  readonly html: string;
  readonly verifier: string;
}

const csrfOf = (html: string): string => /name="csrf" value="([^"]*)"/.exec(html)?.[1] ?? '';
const at = (turn: number): string => inst.both[turn % 2]?.listens ?? '';

/** Follows redirects below our own address, and stops at a page or at the app. */
async function follow(
  browser: Browser,
  from: string,
  turn = 0,
): Promise<{ readonly path: string; readonly html: string; readonly redirect?: URL; readonly status: number }> {
  let path = from;
  for (let i = turn; i < turn + 15; i++) {
    const response = await browser.fetch(`${at(i)}${path}`, { headers: { accept: 'text/html' } });
    const location = response.headers.get('location');
    const html = await response.text();
    expect(response.status).toBeLessThan(500);
    if (location === null) return { path, html, status: response.status };
    const next = new URL(location, inst.first.origin);
    if (next.origin !== inst.first.origin) return { path, html, redirect: next, status: response.status };
    path = `${next.pathname}${next.search}`;
  }
  throw new Error('In circles');
}

async function begin(
  { browser }: Person,
  parameters: Readonly<Record<string, string | undefined>> = {},
  client = app,
): Promise<Step> {
  const { verifier, challenge } = pkce();
  const { path, html } = await follow(
    browser,
    `/oauth/authorize?${authorizeParameters(inst.first, client, challenge, parameters)}`,
  );
  return { path, html, verifier };
}

type Fields = readonly (readonly [string, string])[];
const submit = (
  browser: Browser,
  { path, html }: Pick<Step, 'path' | 'html'>,
  fields: Fields,
  headers: Readonly<Record<string, string>> = {},
  turn = 1,
): Promise<Response> =>
  browser.fetch(`${at(turn)}${path}`, {
    method: 'POST',
    headers: { accept: 'text/html', origin: inst.first.origin, ...headers },
    body: new URLSearchParams([['csrf', csrfOf(html)], ...fields.map(([n, v]): [string, string] => [n, v])]),
  });

/** From the choice of the patient to the consent page. */
async function toConsent(who: Person, parameters: Readonly<Record<string, string | undefined>> = {}): Promise<Step> {
  const step = await begin(who, parameters);
  if (!step.path.endsWith('/patient')) return step;
  const chosen = await submit(who.browser, step, [['patient', 'Patient/1']]);
  const { path, html } = await follow(
    who.browser,
    new URL(chosen.headers.get('location') ?? '', inst.first.origin).pathname,
  );
  return { path, html, verifier: step.verifier };
}

const finish = async (who: Person, step: Step, fields: Fields): Promise<Readonly<Record<string, unknown>>> => {
  const response = await submit(who.browser, step, fields);
  const { redirect } = await follow(
    who.browser,
    new URL(response.headers.get('location') ?? '', inst.first.origin).pathname,
  );
  const answer = redirect?.searchParams ?? new URLSearchParams();
  if (answer.get('code') === null) return { error: answer.get('error') };
  return (await exchange(inst.second, app, { answer, redirect: '', verifier: step.verifier, prompts: [] })).body;
};

describe('A2.3 the consent form', () => {
  const SCOPE = 'openid launch/patient patient/Patient.rs patient/Slot.rs';
  test.each<[string, readonly string[]]>([
    [
      'scopes that the app did not ask for',
      [
        'patient/Patient.rs',
        'patient/Appointment.cruds',
        'user/*.cruds',
        'system/*.cruds',
        'offline_access',
        'fhirUser',
      ],
    ],
    ['wider letters', ['patient/Patient.rs', 'patient/Patient.cruds', 'patient/*.cruds']],
    [
      'odd texts',
      [
        'patient/Patient.rs',
        'patient/Patient.rs\npatient/*.cruds',
        ' patient/*.cruds',
        'patient/Patient.rs patient/*.cruds',
        '__proto__',
      ],
    ],
  ])('%s are not granted', async (_title, scopes) => {
    const who = await person();
    const body = await finish(who, await toConsent(who, { scope: SCOPE }), [
      ['decision', 'allow'],
      ...scopes.map((s) => ['scope', s] as const),
    ]);
    expect(String(body['scope']).split(' ').sort()).toEqual(['launch/patient', 'patient/Patient.rs']);
    expect(body['refresh_token']).toBeUndefined();
  });
  test('nothing ticked: not granted, and asked again', async () => {
    const who = await person();
    const step = await toConsent(who, { scope: SCOPE });
    const response = await submit(who.browser, step, [['decision', 'allow']]);
    expect(response.status).toBe(400);
    expect(
      (
        await finish(who, { ...step, html: await response.text() }, [
          ['decision', 'allow'],
          ['scope', 'patient/Slot.rs'],
        ])
      )['scope'],
    ).toBe('launch/patient patient/Slot.rs');
  });
  test.each<[string, Fields]>([
    ['no decision', [['scope', 'patient/Patient.rs']]],
    [
      'another word',
      [
        ['decision', 'maybe'],
        ['scope', 'patient/Patient.rs'],
      ],
    ],
    [
      'deny',
      [
        ['decision', 'deny'],
        ['scope', 'patient/Patient.rs'],
      ],
    ],
  ])('%s is a no', async (_title, fields) => {
    const who = await person();
    expect(await finish(who, await toConsent(who, { scope: SCOPE }), fields)).toEqual({ error: 'access_denied' });
  });
  test('allow and deny at once are no answer', async () => {
    const who = await person();
    const response = await submit(who.browser, await toConsent(who), [
      ['decision', 'deny'],
      ['decision', 'allow'],
      ['scope', 'patient/*.rs'],
    ]);
    expect(response.status).toBe(400);
  });
  test('once it was answered it is over', async () => {
    const who = await person();
    const step = await toConsent(who, { scope: SCOPE });
    const fields: Fields = [
      ['decision', 'allow'],
      ['scope', 'patient/Patient.rs'],
    ];
    expect((await finish(who, step, fields))['scope']).toBe('launch/patient patient/Patient.rs');
    const again = await submit(who.browser, step, fields);
    expect(again.status).toBe(400);
    expect(await again.text()).not.toMatch(LEAK);
  });
  test('answered ten times at once, in both processes: one code at most is good for each, and all are of this person', async () => {
    const who = await person();
    const step = await toConsent(who, { scope: SCOPE });
    const replies = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        submit(
          who.browser,
          step,
          [
            ['decision', 'allow'],
            ['scope', 'patient/Patient.rs'],
          ],
          {},
          i,
        ),
      ),
    );
    for (const { status } of replies) expect([302, 303, 400]).toContain(status);
    const location = replies.find((r) => r.headers.get('location') !== null)?.headers.get('location') ?? '';
    const ends = await Promise.all(
      Array.from({ length: 4 }, (_, i) => follow(who.browser, new URL(location, inst.first.origin).pathname, i)),
    );
    for (const { redirect } of ends) {
      const answer = redirect?.searchParams;
      if (!answer?.has('code')) continue;
      const { body } = await exchange(inst.first, app, { answer, redirect: '', verifier: step.verifier, prompts: [] });
      expect(['launch/patient patient/Patient.rs', undefined]).toContain(body['scope']);
    }
  });
});

describe('A2.3 the choice of a patient', () => {
  test.each([
    'Patient/2',
    'Patient/none',
    'Patient/../2',
    '2',
    '1',
    'Patient/1 ',
    'Patient/1/_history/1',
    'Practitioner/1',
    '',
    '*',
    'Patient/1,Patient/2',
    'patient/1',
    `Patient/' or '1'='1`,
  ])('%j is not theirs to open', async (patient) => {
    const who = await person();
    const step = await begin(who);
    const response = await submit(who.browser, step, [['patient', patient]]);
    const html = await response.text();
    expect(html).not.toMatch(LEAK);
    // Blanks around a good one are typing.
    if (patient.trim() === 'Patient/1') return;
    expect([400, 403]).toContain(response.status);
    expect(response.headers.get('location')).toBeNull();
  });
  test('two patients at once', async () => {
    const who = await person();
    expect(
      (
        await submit(who.browser, await begin(who), [
          ['patient', 'Patient/1'],
          ['patient', 'Patient/2'],
        ])
      ).status,
    ).toBe(400);
  });
  test('somebody without any patient is shown none, and gets none', async () => {
    const who = await person(['patient'], []);
    const step = await begin(who);
    expect(step.html).not.toContain('name="patient"');
    expect((await submit(who.browser, step, [['patient', 'Patient/1']])).status).toBe(403);
  });
});

describe('steps cannot be skipped', () => {
  const uidOf = ({ path }: Step): string => path.split('/')[3] ?? '';
  test('going on without an answer leads back to the step', async () => {
    const who = await person();
    const step = await begin(who);
    for (let i = 0; i < 3; i++) {
      const { path, redirect } = await follow(who.browser, `/oauth/authorize/${uidOf(step)}`, i);
      expect(redirect).toBeUndefined();
      expect(path).not.toContain('/consent');
    }
  });
  test('the address of a later step has nothing to decide; its form does nothing', async () => {
    const who = await person();
    const step = await begin(who);
    const consent = `/oauth/interaction/${uidOf(step)}/consent`;
    const early = await follow(who.browser, consent);
    expect(early.redirect).toBeUndefined();
    expect(early.html).not.toContain('name="decision"');
    const posted = await submit(who.browser, { path: consent, html: step.html }, [
      ['decision', 'allow'],
      ['scope', 'patient/*.rs'],
    ]);
    const location = posted.headers.get('location');
    expect(location === null || new URL(location, inst.first.origin).pathname === step.path).toBe(true);
    expect((await follow(who.browser, `/oauth/authorize/${uidOf(step)}`)).redirect).toBeUndefined();
  });
  test('another browser has no part in it', async () => {
    const who = await person();
    const step = await toConsent(who);
    const thief = await person();
    for (const browser of [thief.browser, new Browser()]) {
      const seen = await follow(browser, step.path);
      expect(seen.redirect).toBeUndefined();
      expect(seen.html).not.toContain('name="decision"');
      const posted = await submit(browser, step, [
        ['decision', 'allow'],
        ['scope', 'patient/*.rs'],
      ]);
      expect([302, 303, 400, 403]).toContain(posted.status);
      expect((await follow(browser, `/oauth/authorize/${uidOf(step)}`)).redirect).toBeUndefined();
    }
    expect(
      (
        await finish(who, step, [
          ['decision', 'allow'],
          ['scope', 'patient/*.rs'],
        ])
      )['access_token'],
    ).toEqual(expect.any(String));
  });
  test('A4.5 forms of other sites are refused, whatever they hold', async () => {
    const who = await person();
    const step = await toConsent(who);
    const fields: Fields = [
      ['decision', 'allow'],
      ['scope', 'patient/*.rs'],
    ];
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ])
      expect((await submit(who.browser, step, fields, headers)).status).toBe(403);
    expect((await submit(who.browser, { path: step.path, html: '' }, fields)).status).toBe(403);
    expect(
      (await submit(who.browser, { path: step.path, html: `name="csrf" value="${'A'.repeat(43)}"` }, fields)).status,
    ).toBe(403);
    const stranger = await person();
    expect(
      (await submit(who.browser, { path: step.path, html: (await toConsent(stranger)).html }, fields)).status,
    ).toBe(403);
    expect((await follow(who.browser, `/oauth/authorize/${uidOf(step)}`)).redirect).toBeUndefined();
  });
});

describe('who begins must be who ends', () => {
  const ALLOW: Fields = [
    ['decision', 'allow'],
    ['scope', 'patient/Patient.rs'],
  ];
  const SCOPE = 'launch/patient patient/Patient.rs';
  const sql = (text: string, ...values: readonly unknown[]): Promise<unknown> =>
    inst.first.kairos.pool.query(text, [...values]);
  /** Answers the consent page and goes wherever that leads. */
  const end = async (who: Person, step: Step): Promise<{ readonly code: string | null; readonly status: number }> => {
    const response = await submit(who.browser, step, ALLOW);
    expect(response.status).toBeLessThan(500);
    const location = response.headers.get('location');
    if (location === null) return { code: null, status: response.status };
    const { redirect, status } = await follow(who.browser, new URL(location, inst.first.origin).pathname);
    return { code: redirect?.searchParams.get('code') ?? null, status };
  };
  test('signed out in between', async () => {
    const who = await person();
    const step = await toConsent(who, { scope: SCOPE });
    await endSession(inst.second.kairos.identity, who.sessionUid);
    expect((await end(who, step)).code).toBeNull();
  });
  test('another person signs in in between', async () => {
    const who = await person();
    const step = await toConsent(who, { scope: SCOPE });
    await signIn(inst.first, who.browser, await makeAccount(inst.first, ['patient'], ['Patient/2']));
    expect((await end(who, step)).code).toBeNull();
    const { html } = await follow(who.browser, step.path);
    const { code } = await end(who, { ...step, html });
    expect(code).toBeNull();
  });
  test('the account is disabled in between', async () => {
    const who = await person();
    const step = await toConsent(who, { scope: SCOPE });
    await sql(`update auth_account set status = 'disabled' where id = $1`, who.account.id);
    expect((await end(who, step)).code).toBeNull();
  });
  test('the account is disabled between code and token', async () => {
    const who = await person();
    const step = await toConsent(who, { scope: SCOPE });
    const { code } = await end(who, step);
    await sql(`update auth_account set status = 'disabled' where id = $1`, who.account.id);
    const { status, body } = await exchange(inst.first, app, {
      answer: new URLSearchParams({ code: code ?? '' }),
      redirect: '',
      verifier: step.verifier,
      prompts: [],
    });
    expect([status, body['error']]).toEqual([400, 'invalid_grant']);
  });
  test('the app is disabled in between', async () => {
    const client = await makeApp(inst.first);
    const who = await person();
    const step = await begin(who, { scope: 'patient/Patient.rs' }, client);
    await disableClient(inst.second.kairos.identity, client.clientId);
    const response = await submit(who.browser, step, [['patient', 'Patient/1']]);
    expect(response.status).toBeLessThan(500);
    const { redirect } = await follow(who.browser, step.path);
    expect(redirect?.searchParams.get('code') ?? null).toBeNull();
  });
  test('their right to the patient ends between code and token: the token opens nothing', async () => {
    const who = await person();
    const step = await toConsent(who, { scope: SCOPE });
    const { code } = await end(who, step);
    await sql(`delete from auth_profile where account_id = $1`, who.account.id);
    const { body } = await exchange(inst.first, app, {
      answer: new URLSearchParams({ code: code ?? '' }),
      redirect: '',
      verifier: step.verifier,
      prompts: [],
    });
    for (const server of inst.both) expect([401, 403, 404]).toContain(await readPatient(server, body['access_token']));
  });
});

describe('SMART App Launch 2.2: launch handles', () => {
  const SCOPE = 'launch patient/Patient.rs';
  const mint = (accountId: string, client = app): Promise<string> =>
    mintLaunch(inst.first.kairos.identity, { clientId: client.clientId, accountId, context: { patient: 'Patient/1' } });
  const go = async (who: Person, launch: string, client = app): Promise<URL | undefined> => {
    const { challenge } = pkce();
    const { redirect } = await visit(
      inst.both,
      who.browser,
      `${inst.first.issuer}/authorize?${authorizeParameters(inst.first, client, challenge, { launch, scope: SCOPE })}`,
    );
    return redirect;
  };
  test('good once, in whichever process', async () => {
    const who = await person(['staff'], []);
    const launch = await mint(who.account.id);
    expect((await go(who, launch))?.searchParams.get('code')).toEqual(expect.any(String));
    for (let i = 0; i < 2; i++) expect((await go(who, launch))?.searchParams.get('error')).toBe('invalid_request');
  });
  test('20 at once in both processes: one goes on', async () => {
    const who = await person(['staff'], []);
    const launch = await mint(who.account.id);
    const replies = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const target = `/oauth/authorize?${authorizeParameters(inst.first, app, pkce().challenge, { launch, scope: SCOPE })}`;
        return (await new Browser().fetch(`${at(i)}${target}`)).headers.get('location') ?? '';
      }),
    );
    expect(replies.filter((location) => location.includes('/interaction/')).length).toBe(1);
    expect(replies.filter((location) => location.includes('error=invalid_request')).length).toBe(19);
  });
  test('another app cannot use it, and does not use it up', async () => {
    const who = await person(['staff'], []);
    const launch = await mint(who.account.id);
    expect((await go(who, launch, other))?.searchParams.get('error')).toBe('invalid_request');
    expect((await go(who, launch))?.searchParams.get('code')).toEqual(expect.any(String));
  });
  test('another person cannot use it', async () => {
    const launch = await mint((await person(['staff'], [])).account.id);
    const answer = (await go(await person(['staff'], []), launch))?.searchParams;
    expect(answer?.get('code')).toBeNull();
    expect(answer?.get('error')).toBe('access_denied');
  });
  test('a patient’s own launch of another’s record opens nothing', async () => {
    const who = await person(['patient'], ['Patient/2']);
    const { verifier, challenge } = pkce();
    const { redirect } = await visit(
      inst.both,
      who.browser,
      `${inst.first.issuer}/authorize?${authorizeParameters(inst.first, app, challenge, { launch: await mint(who.account.id), scope: SCOPE })}`,
    );
    const { body } = await exchange(inst.first, app, {
      answer: redirect?.searchParams ?? new URLSearchParams(),
      redirect: '',
      verifier,
      prompts: [],
    });
    for (const server of inst.both) expect([401, 403, 404]).toContain(await readPatient(server, body['access_token']));
  });
  test('too old', async () => {
    const who = await person(['staff'], []);
    const launch = await mint(who.account.id);
    await inst.first.kairos.pool.query(`update auth_launch set expires_at = now() - interval '1 second'`);
    expect((await go(who, launch))?.searchParams.get('error')).toBe('invalid_request');
  });
});
