/** Who signed in, what was granted and withdrawn, and what was done on the pages: recorded before the answer leaves. */
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { authorize, Browser, exchange, makeAccount, makeApp, refresh, signIn } from '../support/app-driver.ts';
import { formOf, openWorld, type World } from '../auth/pages-world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

let since = 0;
async function told(): Promise<string[]> {
  const { rows } = await world.server.kairos.pool.query<{ said: string }>(
    `select kind || ' ' || outcome || ' ' || coalesce(detail, '-') || ' ' || coalesce(account, '-') as said
     from audit_log order by xid, id offset $1`,
    [since],
  );
  since += rows.length;
  return rows.map((r) => r.said);
}

test('signing in, failing to, and signing out', async () => {
  const account = await world.account({ email: 'maria@example.org', profiles: ['Patient/maria'] });
  await told();
  const visitor = world.visitor();
  await visitor.signIn('maria@example.org', 'not this one');
  expect(await told()).toEqual(['login 4 POST /signin -']);
  await visitor.signIn('maria@example.org');
  expect(await told()).toEqual([`login 0 pwd ${account.id}`]);
  await visitor.submit(await visitor.go('/signout'), '/signout');
  expect((await told()).map((t) => t.split(' ').slice(0, 2).join(' '))).toEqual(['logout 0']);
});

test('consent, tokens, refusals and revocation', async () => {
  const { server } = world;
  const account = await makeAccount(server, ['patient'], ['Patient/maria']);
  const app = await makeApp(server);
  const browser = new Browser();
  const session = await signIn(server, browser, account);
  await told();
  const flow = await authorize(server, browser, app, session);
  await exchange(server, app, flow);
  const rows = await told();
  expect(rows).toContain(`consent 0 - ${account.id}`);
  expect(rows).toContain(`token 0 authorization_code ${account.id}`);
  expect((await exchange(server, app, flow)).status).toBe(400);
  const replayed = await told();
  expect(replayed.some((t) => t.startsWith('refused 4 token'))).toBe(true);
  expect(replayed.some((t) => t.startsWith('revoked 0 replay'))).toBe(true);
});

test('a refusal that cannot be recorded is not told: 503, and may be sent again', async () => {
  const { server } = world;
  const app = await makeApp(server);
  const ask = async (): Promise<number> => (await refresh(server, app, 'none-that-there-is')).status;
  expect(await ask()).toBe(400);
  const lock = new pg.Client(server.database.superuser);
  await lock.connect();
  await lock.query('begin');
  await lock.query('lock table audit_log in exclusive mode');
  try {
    expect(await ask()).toBe(503);
  } finally {
    await lock.query('rollback');
    await lock.end();
  }
  expect(await ask()).toBe(400);
});

test('what administrators look at and do', async () => {
  const admin = await world.account({ email: 'admin@example.org', roles: ['admin'] });
  const other = await world.account();
  const visitor = world.visitor();
  visitor.keep(`sid=${await world.session(admin)}; path=/`);
  await told();
  await visitor.go(`/admin/people/${other.id}`);
  expect(await told()).toEqual([`account 0 GET /admin/people/${other.id} ${admin.id}`]);

  const app = await makeApp(world.server);
  const act = formOf(await visitor.go('/admin/clients'), '/admin/clients/disable');
  act.set('client', app.clientId);
  await told();
  for (const [path, change] of [
    ['disable', 'disabled'],
    ['enable', 'enabled'],
  ]) {
    await visitor.post(`/admin/clients/${path}`, act);
    expect(await told()).toEqual([
      `client 0 ${change} -`,
      expect.stringMatching(new RegExp(`0 POST /admin/clients/${path} ${admin.id}$`)),
    ]);
  }
});
