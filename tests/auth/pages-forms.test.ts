/** What people do with forms, without scripts: over HTTP, as a browser sends it. @see docs/accounts.md */
import { TOTP, Secret } from 'otpauth';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPatientCode } from '../../src/auth/accounts/patient-code.ts';
import { invite } from '../../src/auth/accounts/invite.ts';
import { accountByEmail } from '../../src/auth/accounts/account.ts';
import { CALLBACK, formOf, openWorld, PASSWORD, type Seen, type Visitor, type World } from './pages-world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const text = ({ text: html }: Seen): string => html.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ');

/** Sets an authenticator app up, and gives the way to its codes. */
async function enrol(visitor: Visitor, start = '/account/totp'): Promise<{ code(ahead?: number): string; last: Seen }> {
  const page = await visitor.submit(await visitor.go(start), '/account/totp');
  const secret = Secret.fromBase32((/class="secret"[^>]*>([^<]+)</.exec(page.text)?.[1] ?? '').replace(/\s/g, ''));
  const totp = new TOTP({ secret, algorithm: 'SHA1', digits: 6, period: 30 });
  const code = (ahead = 0): string => totp.generate({ timestamp: Date.now() + ahead * 1000 });
  const last = await visitor.submit(page, '/account/totp/confirm', { code: code() });
  return { code, last };
}

async function signedIn(email: string): Promise<Visitor> {
  const visitor = world.visitor();
  await visitor.signIn(email);
  return visitor;
}

describe('opening an account', () => {
  test('register, open the mailed link, choose a password, be signed in, enter the code of the clinic', async () => {
    const visitor = world.visitor();
    const sent = await visitor.submit(await visitor.go('/register'), '/register', { email: 'Zoe@Example.org' });
    expect([sent.status, text(sent)]).toEqual([200, expect.stringContaining('Look into your mailbox')]);
    const { link = '', kind } = (await world.letter('zoe@example.org')) ?? {};
    expect(kind).toBe('registration');

    const page = await visitor.go(link);
    expect(text(page)).toContain('zoe@example.org');
    const weak = await visitor.submit(page, '/verify', { name: 'Zoe Zhang', password: 'password1234' });
    expect([weak.status, text(weak)]).toEqual([400, expect.stringContaining('Many people use this password')]);
    expect(formOf(weak, '/verify').get('name')).toBe('Zoe Zhang');
    const home = await visitor.submit(weak, '/verify', { name: 'Zoe Zhang', password: PASSWORD });
    expect([home.url.pathname, text(home)]).toEqual([
      '/account/people',
      expect.stringContaining('No record is linked with this account yet'),
    ]);
    expect((await visitor.go(link)).status).toBe(400);

    const { code } = await createPatientCode(world.server.kairos.identity, 'operator', 'Patient/stranger');
    const wrong = await visitor.submit(home, '/account/people', { code: 'AAAA-AAAA-AAAA-AAAA' });
    expect([wrong.status, text(wrong)]).toEqual([400, expect.stringContaining('used already, is too old')]);
    const linked = await visitor.submit(wrong, '/account/people', { code: code.toLowerCase() });
    expect(text(linked)).toMatch(/The record is linked\..*Stella Okonkwo/);
  });

  test('security.md A2.8: whether an address has an account is not told', async () => {
    const known = await world.account();
    const answers: string[] = [];
    for (const email of [known.email, 'nobody-at-all@example.org']) {
      const visitor = world.visitor();
      const seen = await visitor.submit(await visitor.go('/register'), '/register', { email });
      answers.push(`${seen.status} ${text(seen)}`);
    }
    expect(answers[0]).toBe(answers[1]);
    expect((await world.letter(known.email))?.kind).toBe('have-account');
  });

  test('staff accept an invitation, and must set up a second factor before anything else', async () => {
    const link = await invite(world.server.kairos.identity, 'operator', {
      email: 'desk@example.org',
      roles: ['staff'],
      staffKinds: ['front-desk'],
      locale: 'en',
    });
    const visitor = world.visitor();
    const enrolment = await visitor.submit(await visitor.go(link), '/invitation', { name: 'Dee', password: PASSWORD });
    expect(enrolment.url.pathname).toBe('/signin/enrol');
    for (const path of ['/account', '/account/sessions', '/admin/people']) {
      expect((await visitor.go(path)).url.pathname).toBe('/signin/enrol');
    }
    expect((await visitor.send('/session', { headers: { Accept: 'application/json' } })).status).toBe(401);
    const { last } = await enrol(visitor);
    expect(last.text.match(/<li>\s*<code>[0-9A-Z-]{20,}<\/code>/g)).toHaveLength(10);
    expect((await visitor.go('/admin/people')).url.pathname).toBe('/admin/people');
  });
});

describe('signing in', () => {
  test('wrong password, unknown address and disabled account look the same', async () => {
    const account = await world.account();
    const disabled = await world.account();
    await world.server.kairos.identity.pool.query(`update auth_account set status = 'disabled' where id = $1`, [
      disabled.id,
    ]);
    const answers: string[] = [];
    for (const [email, password] of [
      [account.email, 'wrong wrong wrong'],
      ['unknown@example.org', PASSWORD],
      [disabled.email, PASSWORD],
    ] as const) {
      const seen = await world.visitor().signIn(email, password);
      answers.push(`${seen.status} ${seen.text.replaceAll(email, '').replace(/name="csrf" value="[^"]+"/g, '')}`);
    }
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toContain('400');
  });

  test('security.md A2.8: after five guesses it says how long to wait', async () => {
    const { email } = await world.account();
    const visitor = world.visitor();
    for (let i = 0; i < 5; i++) await visitor.signIn(email, `wrong wrong wrong ${i}`);
    const seen = await visitor.signIn(email);
    expect([seen.status, text(seen)]).toEqual([
      429,
      expect.stringMatching(/Too many tries\. Try again in \d+ minutes/),
    ]);
    expect(Number(seen.headers.get('retry-after'))).toBeGreaterThan(600);
  });

  test('a second factor is asked for, also by going around; a code works once; recovery codes too', async () => {
    const { email } = await world.account();
    const visitor = await signedIn(email);
    const { code, last } = await enrol(visitor);
    const recovery = /<code>([0-9A-Z-]{20,})<\/code>/.exec(last.text)?.[1] ?? '';

    const other = world.visitor();
    const second = await other.signIn(email);
    expect(second.url.pathname).toBe('/signin/second');
    expect((await other.go('/account')).url.pathname).toBe('/signin/second');
    expect(text(await other.go('/'))).toContain('Create an account');
    const same = await other.submit(second, '/signin/second', { code: code() });
    expect([same.status, text(same)]).toEqual([400, expect.stringContaining('used already')]);
    const before = other.cookie('sid');
    const done = await other.submit(same, '/signin/second', { code: code(30) });
    expect(done.url.pathname).toBe('/');
    expect(other.cookie('sid')).not.toBe(before);
    expect((await other.go('/account')).url.pathname).toBe('/account');

    const third = world.visitor();
    const form = new URLSearchParams(formOf(await third.signIn(email), '/signin/second'));
    form.delete('code');
    form.set('recovery', recovery);
    expect((await third.post('/signin/second', form)).headers.get('location')).toBe('/');
    expect((await third.go('/account')).status).toBe(200);
    const fourth = world.visitor();
    const again = new URLSearchParams(formOf(await fourth.signIn(email), '/signin/second'));
    again.delete('code');
    again.set('recovery', recovery);
    expect((await fourth.post('/signin/second', again)).status).toBe(400);
  });

  test('reset: by a link that works once, and does not drop the second factor', async () => {
    const { email } = await world.account();
    const owner = await signedIn(email);
    await enrol(owner);
    const visitor = world.visitor();
    const asked = await visitor.submit(await visitor.go('/reset'), '/reset', { email });
    expect(text(asked)).toContain('If there is an account with this address');
    const { link = '' } = (await world.letter(email)) ?? {};
    const page = await visitor.go(link);
    const done = await visitor.submit(page, '/reset/choose', { password: 'submarine tangerine 43' });
    expect([done.url.pathname, text(done)]).toEqual(['/signin', expect.stringContaining('has been changed')]);
    expect((await visitor.go(link)).status).toBe(400);
    expect((await owner.go('/account')).url.pathname).toBe('/signin');
    expect((await visitor.signIn(email)).status).toBe(400);
    expect((await world.visitor().signIn(email, 'submarine tangerine 43')).url.pathname).toBe('/signin/second');
  });

  test('signing out ends the session, also at the authorization server, and clears the browser', async () => {
    const { email } = await world.account();
    const visitor = await signedIn(email);
    const sid = visitor.cookie('sid') ?? '';
    const page = await visitor.go('/account');
    const left = await visitor.post('/signout', formOf(page, '/signout'));
    expect([left.status, left.headers.get('clear-site-data')]).toEqual([303, '"cache", "storage"']);
    expect(visitor.cookie('sid')).toBeUndefined();
    visitor.keep(`sid=${sid}; Path=/`);
    expect((await visitor.go('/account')).url.pathname).toBe('/signin');
  });

  test('who is signed in is not asked again, and goes where they wanted', async () => {
    const { email } = await world.account();
    const visitor = world.visitor();
    const page = await visitor.go('/account/apps?done=revoked');
    expect(page.url.pathname + page.url.search).toBe(
      `/signin?return=${encodeURIComponent('/account/apps?done=revoked')}`,
    );
    const there = await visitor.submit(page, '/signin', { email, password: PASSWORD });
    expect(there.url.pathname).toBe('/account/apps');
    expect((await visitor.go('/signin?return=/account/people')).url.pathname).toBe('/account/people');
  });
});

describe('looking after an account', () => {
  test('step-up: the sensitive pages ask again after ten minutes', async () => {
    const { email } = await world.account();
    const visitor = await signedIn(email);
    expect((await visitor.go('/account/email')).url.pathname).toBe('/account/email');
    world.later(11 * 60);
    const asked = await visitor.go('/account/email');
    expect(asked.url.pathname).toBe('/step-up');
    expect((await visitor.submit(asked, '/step-up', { password: 'wrong wrong wrong' })).status).toBe(400);
    const there = await visitor.submit(asked, '/step-up', { password: PASSWORD });
    expect(there.url.pathname).toBe('/account/email');
    const sent = await visitor.submit(there, '/account/email', { email: 'moved@example.org' });
    expect(text(sent)).toContain('on its way to the new address');
    const { link = '' } = (await world.letter('moved@example.org')) ?? {};
    const stranger = await world.visitor().go(link);
    expect(text(stranger)).toContain('Sign in first');
    const moved = await visitor.submit(await visitor.go(link), '/verify');
    expect([moved.url.pathname, text(moved)]).toEqual(['/account', expect.stringContaining('moved@example.org')]);
    expect((await world.letter(email))?.kind).toBe('email-changed');
  });

  test('name and language: pages and letters follow', async () => {
    const { email, id } = await world.account();
    const visitor = await signedIn(email);
    const saved = await visitor.submit(await visitor.go('/account'), '/account/profile', {
      name: 'Nueva <b>Persona</b>',
      locale: 'es',
    });
    expect(text(saved)).toContain('Guardado.');
    expect(saved.text).toContain('Nueva &lt;b&gt;Persona&lt;/b&gt;');
    expect((await accountByEmail(world.server.kairos.identity, email))?.locale).toBe('es');
    const other = world.visitor();
    expect((await other.signIn(email)).text).toContain('<html lang="es">');
    expect(id).not.toBe('');
  });

  test('a new password signs other devices out, this one stays', async () => {
    const { email } = await world.account();
    const visitor = await signedIn(email);
    const other = await signedIn(email);
    const page = await visitor.go('/account/password');
    const wrong = await visitor.submit(page, '/account/password', {
      current: 'wrong wrong wrong',
      password: 'submarine tangerine 43',
    });
    expect(wrong.status).toBe(400);
    const done = await visitor.submit(page, '/account/password', {
      current: PASSWORD,
      password: 'submarine tangerine 43',
    });
    expect([done.url.pathname, text(done)]).toEqual(['/account', expect.stringContaining('has been changed')]);
    expect((await other.go('/account')).url.pathname).toBe('/signin');
  });

  test('devices: sign out there, sign out everywhere; only of one’s own', async () => {
    const { email } = await world.account();
    const [here, there] = [await signedIn(email), await signedIn(email)];
    const page = await here.go('/account/sessions');
    expect(page.text.match(/class="row-title"/g)).toHaveLength(2);
    const uid = formOf(page, '/account/sessions/end').get('uid') ?? '';
    const other = await signedIn((await world.account()).email);
    const foreign = formOf(await other.go('/account/sessions'), '/account/sessions/end-all');
    foreign.set('uid', uid);
    await other.post('/account/sessions/end', foreign);
    expect((await there.go('/account')).url.pathname).toBe('/account');
    await here.submit(page, '/account/sessions/end');
    expect((await there.go('/account')).url.pathname).toBe('/signin');
    expect((await here.submit(await here.go('/account/sessions'), '/account/sessions/end-all')).url.pathname).toBe(
      '/signin',
    );
  });

  test('/session: what is left, without counting as activity; extended by POST', async () => {
    const { email } = await world.account();
    const visitor = await signedIn(email);
    const look = async (): Promise<Record<string, unknown>> =>
      JSON.parse((await visitor.send('/session', { headers: { Accept: 'application/json' } })).text) as Record<
        string,
        unknown
      >;
    const first = await look();
    expect(first).toMatchObject({ absoluteSeconds: expect.any(Number), csrf: expect.any(String) });
    expect(first['expiresInSeconds']).toBeGreaterThan(29 * 60);
    world.later(20 * 60);
    const later = await look();
    expect(later['expiresInSeconds']).toBeLessThan(11 * 60);
    const extended = await visitor.send('/session', {
      method: 'POST',
      body: '{}',
      headers: { 'Content-Type': 'application/json', Origin: world.origin, 'X-CSRF-Token': String(later['csrf']) },
    });
    expect((JSON.parse(extended.text) as Record<string, unknown>)['expiresInSeconds']).toBeGreaterThan(29 * 60);
    world.later(31 * 60);
    expect((await visitor.send('/session', { headers: { Accept: 'application/json' } })).status).toBe(401);
    expect((await visitor.go('/account')).url.pathname).toBe('/signin');
  });
});

describe('an app is let in', () => {
  const SCOPE =
    'openid fhirUser launch/patient offline_access patient/Appointment.rs patient/Patient.r user/Slot.rs nonsense/x';

  test('when only the patient is asked for, that is said, and can be allowed', async () => {
    const { email } = await world.account({ profiles: ['Patient/maria'] });
    const visitor = world.visitor();
    const asked = 'launch/patient online_access patient/Observation.rs';
    const page = await visitor.go(
      world.authorize(await world.app({ scope: 'launch/patient online_access patient/*.rs' }), asked),
    );
    const picker = await visitor.submit(page, '/signin', { email, password: PASSWORD });
    const consent = await visitor.submit(picker, picker.url.pathname, { patient: 'Patient/maria' });
    expect(text(consent)).toContain('Know whose record you chose');
    const back = await visitor.submit(consent, consent.url.pathname, { decision: 'allow' });
    expect(back.headers.get('location')).toContain('code=');
  });

  test('sign in, choose a patient, narrow what it may, see it among the connected apps, disconnect it', async () => {
    const { email } = await world.account({ profiles: ['Patient/maria', 'RelatedPerson/mother-of-leo'] });
    const clientId = await world.app();
    const visitor = world.visitor();
    const page = await visitor.go(world.authorize(clientId, SCOPE));
    expect(page.url.pathname).toBe('/signin');
    expect(text(page)).toContain('to go on to Heart Diary');
    expect(page.headers.get('content-security-policy')).toContain("form-action 'self' http://localhost:9;");

    const picker = await visitor.submit(page, '/signin', { email, password: PASSWORD });
    expect(picker.url.pathname).toMatch(/^\/oauth\/interaction\/[\w-]+\/patient$/);
    expect(text(picker)).toMatch(
      /María Fernanda García-Okonkwo.*Your own record.*Leo Okonkwo.*November 2019.*You may act/,
    );
    const foreign = formOf(picker, picker.url.pathname);
    foreign.set('patient', 'Patient/stranger');
    expect((await visitor.post(picker.url.pathname, foreign)).status).toBe(403);

    const consent = await visitor.submit(picker, picker.url.pathname, { patient: 'Patient/leo' });
    expect(consent.url.pathname).toMatch(/\/consent$/);
    const said = text(consent);
    for (const words of [
      'Let Heart Diary in?',
      'Leo Okonkwo',
      'See appointments of this patient',
      'See appointments of this patient, only where the status is booked',
      'Open, one at a time, personal data (name, birth date, contact) of this patient',
      'See free and busy times that you yourself may see',
      'Keep this access when you are not using the app',
    ])
      expect(said).toContain(words);

    const fields = formOf(consent, consent.url.pathname);
    expect(fields.getAll('scope').sort()).toEqual(
      ['fhirUser', 'offline_access', 'openid', 'patient/Appointment.rs', 'patient/Patient.r', 'user/Slot.rs'].sort(),
    );
    fields.delete('scope');
    for (const scope of [
      'openid',
      'patient/Appointment.rs',
      'patient/Appointment.rs?status=booked',
      'patient/Coverage.rs',
    ])
      fields.append('scope', scope);
    fields.set('decision', 'allow');
    const resumed = await visitor.post(consent.url.pathname, fields);
    const back = await visitor.go(resumed.headers.get('location') ?? '');
    const callback = new URL(back.headers.get('location') ?? '');
    expect(callback.href.split('?')[0]).toBe(CALLBACK);
    expect(callback.searchParams.get('state')).toBe('xyz');
    expect(callback.searchParams.get('code')).toMatch(/^[\w-]{40,}$/);

    const { rows } = await world.server.kairos.identity.pool.query<[string]>({
      text: `select payload -> 'resources' ->> $1 from auth_oidc where model = 'Grant' and client_id = $2`,
      values: [world.server.fhirBase, clientId],
      rowMode: 'array',
    });
    expect((rows[0]?.[0] ?? '').split(' ').sort()).toEqual([
      'launch/patient',
      'openid',
      'patient/Appointment.rs?status=booked',
    ]);

    const apps = await visitor.go('/account/apps');
    expect(text(apps)).toMatch(
      /Heart Diary.*Leo Okonkwo.*only while you are signed in.*only where the status is booked/,
    );
    const none = await visitor.submit(apps, '/account/apps/revoke');
    expect(text(none)).toMatch(/The app is disconnected\..*No app is connected/);
  });

  test('all of a wildcard, or some types of it', async () => {
    const { email } = await world.account({ profiles: ['Patient/maria'] });
    const clientId = await world.app();
    const visitor = await signedIn(email);
    const picker = await visitor.go(world.authorize(clientId, 'launch/patient patient/*.rs'));
    const consent = await visitor.submit(picker, picker.url.pathname, { patient: 'Patient/maria' });
    expect(text(consent)).toContain('See everything on record of this patient');
    const fields = formOf(consent, consent.url.pathname);
    fields.append('scope', 'patient/Appointment.rs');
    fields.append('scope', 'patient/Slot.rs');
    fields.set('decision', 'allow');
    await visitor.go((await visitor.post(consent.url.pathname, fields)).headers.get('location') ?? '');
    const apps = text(await visitor.go('/account/apps'));
    expect(apps).toContain('See appointments of this patient');
    expect(apps).not.toContain('everything on record');
  });

  test('a denial goes back to the app; nothing ticked is explained; steps cannot be skipped', async () => {
    const { email } = await world.account({ profiles: ['Patient/maria'] });
    const clientId = await world.app();
    const visitor = await signedIn(email);
    const picker = await visitor.go(world.authorize(clientId, SCOPE));
    const skipped = await visitor.go(picker.url.pathname.replace('/patient', '/consent'));
    expect(skipped.status).toBe(400);
    const consent = await visitor.submit(picker, picker.url.pathname, { patient: 'Patient/maria' });
    const empty = formOf(consent, consent.url.pathname);
    empty.delete('scope');
    empty.set('decision', 'allow');
    const explained = await visitor.post(consent.url.pathname, empty);
    expect([explained.status, text(explained)]).toEqual([400, expect.stringContaining('Nothing is ticked')]);
    const denied = formOf(explained, consent.url.pathname);
    denied.set('decision', 'deny');
    const resumed = await visitor.post(consent.url.pathname, denied);
    const back = await visitor.go(resumed.headers.get('location') ?? '');
    expect(new URL(back.headers.get('location') ?? '').searchParams.get('error')).toBe('access_denied');
    expect((await visitor.go(consent.url.pathname)).status).toBe(400);
  });

  test('the front desk finds a patient by name, birth date or identifier', async () => {
    const desk = await world.account({ roles: ['staff'], staffKinds: ['front-desk'] });
    const clientId = await world.app();
    const visitor = world.visitor();
    visitor.keep(`sid=${await world.session(desk)}; Path=/`);
    const picker = await visitor.go(world.authorize(clientId, 'launch/patient patient/Patient.r'));
    expect(picker.text).not.toContain('class="choices"');
    for (const query of ['garc', '1984-05-21', 'MRN-0042']) {
      const found = await visitor.go(`${picker.url.pathname}?q=${query}`);
      expect([query, text(found)]).toEqual([query, expect.stringContaining('María Fernanda García-Okonkwo')]);
    }
    expect(text(await visitor.go(`${picker.url.pathname}?q=xyzzy`))).toContain('Nobody found');
  });

  test('an interaction of another browser, or one that is over, is explained', async () => {
    const clientId = await world.app();
    const owner = await world.visitor().send(world.authorize(clientId, 'openid'));
    const path = new URL(owner.headers.get('location') ?? '', world.origin).pathname;
    const { email } = await world.account();
    const stranger = await signedIn(email);
    const seen = await stranger.go(path);
    expect([seen.status, text(seen)]).toEqual([400, expect.stringContaining('This sign-in has ended')]);
  });
});

describe('administration', () => {
  const admin = async (): Promise<Visitor> => {
    const visitor = world.visitor();
    visitor.keep(`sid=${await world.session(await world.account({ roles: ['admin'] }))}; Path=/`);
    return visitor;
  };

  test('an app is registered; its secret is shown once, replaced, and it is switched off', async () => {
    const visitor = await admin();
    const form = await visitor.go('/admin/clients/new');
    const values = { kind: 'backend', name: 'Night report', auth: 'client_secret_basic', scope: 'system/*.rs' };
    const wrong = await visitor.submit(form, '/admin/clients/new', { ...values, scope: 'patient/*.rs' });
    expect([wrong.status, text(wrong)]).toEqual([400, expect.stringContaining('not accepted')]);
    expect(formOf(wrong, '/admin/clients/new').get('name')).toBe('Night report');
    const made = await visitor.submit(wrong, '/admin/clients/new', values);
    const [id = '', secret = ''] = [...made.text.matchAll(/class="secret"[^>]*>([^<]+)</g)].map((m) => m[1] ?? '');
    const token = (secretNow: string): Promise<number> =>
      fetch(`${world.origin}/oauth/token`, {
        method: 'POST',
        body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'system/*.rs' }),
        headers: { Authorization: `Basic ${Buffer.from(`${id}:${secretNow}`).toString('base64')}` },
      }).then(({ status }) => status);
    expect(await token(secret)).toBe(200);
    const list = await visitor.go('/admin/clients');
    expect(list.text).not.toContain(secret);
    const act = formOf(list, '/admin/clients/disable');
    act.set('client', id);
    const rotated = await visitor.post('/admin/clients/rotate', act);
    const next = [...rotated.text.matchAll(/class="secret"[^>]*>([^<]+)</g)][1]?.[1] ?? '';
    expect([await token(secret), await token(next)]).toEqual([401, 200]);
    await visitor.post('/admin/clients/disable', act);
    expect(await token(next)).toBe(401);
    await visitor.post('/admin/clients/enable', act);
    expect(await token(next)).toBe(200);
  });

  test('people: invited, disabled, linked; a code for a patient; the front desk has only what it needs', async () => {
    const visitor = await admin();
    const invited = await visitor.submit(await visitor.go('/admin/people/invite'), '/admin/people/invite', {
      email: 'physio@example.org',
      role: 'staff',
    });
    expect(text(invited)).toContain('The invitation is on its way');
    expect((await world.letter('physio@example.org'))?.kind).toBe('invitation');

    const open = await visitor.go('/admin/people/open');
    expect(text(open)).toMatch(/physio@example\.org\s+Invitation\s+Staff\s+Until/);
    const { link = '' } = (await world.letter('physio@example.org')) ?? {};
    expect((await world.visitor().go(link)).status).toBe(200);
    const withdrawn = await visitor.submit(open, '/admin/people/open');
    expect(text(withdrawn)).toContain('It is withdrawn');
    expect(text(withdrawn)).not.toContain('physio@example.org');
    expect((await world.visitor().go(link)).status).toBe(400);
    expect((await visitor.submit(open, '/admin/people/open')).status).toBe(400);

    const { id, email } = await world.account();
    const patient = await signedIn(email);
    const one = await visitor.go(`/admin/people/${id}`);
    const physician = await visitor.submit(one, `/admin/people/${id}/roles`, { role: 'physician' });
    expect(text(physician)).toContain('A physician needs a record of a practitioner');
    const linked = await visitor.submit(one, `/admin/people/${id}/link`, { reference: 'Patient/maria' });
    expect(text(linked)).toContain('Patient/maria');
    const missing = await visitor.submit(one, `/admin/people/${id}/link`, { reference: 'Patient/nobody' });
    expect([missing.status, text(missing)]).toEqual([400, expect.stringContaining('There is no such record')]);
    await visitor.submit(one, `/admin/people/${id}/disable`);
    expect((await patient.go('/account')).url.pathname).toBe('/signin');

    const desk = world.visitor();
    const account = await world.account({ roles: ['staff'], staffKinds: ['front-desk'] });
    desk.keep(`sid=${await world.session(account)}; Path=/`);
    const code = await desk.submit(await desk.go('/admin/people/code'), '/admin/people/code', {
      reference: 'Patient/leo',
    });
    expect(code.text).toMatch(/class="secret big"[^>]*>[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}</);
    expect((await desk.go('/admin/people')).text).not.toContain('/admin/people/invite');
    for (const path of ['/admin/people/invite', '/admin/people/open', '/admin/clients', '/admin/clients/new'])
      expect([path, (await desk.send(path)).status]).toEqual([path, 403]);
    const page = await desk.go(`/admin/people/${id}`);
    expect(page.text).not.toContain('/disable');
    expect((await desk.post(`/admin/people/${id}/enable`, formOf(page, `/admin/people/${id}/link`))).status).toBe(403);
  });
});
