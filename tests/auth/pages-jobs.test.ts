/** `/admin/jobs`: the board of jobs behind the guards of all pages, on both backends of the queue. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startWorker } from '../../src/compose-worker.ts';
import type { JobLook } from '../../src/platform/queue-look.ts';
import { hasRedis, openRedis, type TestRedis } from '../support/redis.ts';
import { formOf, openWorld, type Seen, type Visitor, type World } from './pages-world.ts';

const FAILING = {
  name: 'failing',
  description: 'fails',
  retries: 0,
  backoffMs: 0,
  run: () => Promise.reject(new Error('Not for maria@example.org')),
};

describe.each(hasRedis ? ['PostgreSQL', 'Redis'] : ['PostgreSQL'])('a board of a queue in %s', (backend) => {
  let redis: TestRedis | undefined;
  let world: World;
  let admin: Visitor;
  let csrf = '';

  beforeAll(async () => {
    redis = backend === 'Redis' ? await openRedis() : undefined;
    world = await openWorld({ env: { LOG_LEVEL: 'silent', ...(redis ? { REDIS_URL: redis.url } : {}) } });
    const { kairos } = world.server;
    const worker = await startWorker(kairos, { jobs: [FAILING] });
    await (await kairos.jobs.queue()).enqueue('failing', { id: 'x' });
    await worker.idle();
    // From here on this is a server without a worker.
    await worker.close();
    admin = world.visitor();
    admin.keep(`sid=${await world.session(await world.account({ roles: ['admin'] }))}; Path=/`);
    csrf = formOf(await admin.go('/account'), '/account/profile').get('csrf') ?? '';
  });
  afterAll(async () => {
    await world.close();
    await redis?.close();
  });

  const ask = (visitor: Visitor, path: string): Promise<Seen> =>
    visitor.send(`/admin/jobs${path}`, { headers: { Accept: 'application/json, text/plain, */*' } });
  const put = (visitor: Visitor, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Seen> =>
    visitor.send(`/admin/jobs${path}`, {
      method: 'PUT',
      body: '{}',
      headers: {
        Accept: 'application/json, text/plain, */*',
        'Content-Type': 'application/json',
        Origin: world.origin,
        'Sec-Fetch-Site': 'same-origin',
        'X-CSRF-Token': csrf,
        ...headers,
      },
    });
  const failed = async (): Promise<JobLook | undefined> =>
    (await (await world.server.kairos.jobs.queue()).look()).jobs.get('failing');
  const jobId = async (): Promise<string> => {
    const { text } = await ask(admin, '/api/queues?activeQueue=kairos&status=failed&page=1&jobsPerPage=10');
    const { queues } = JSON.parse(text) as { queues: { jobs: { id: string; failedReason: string }[] }[] };
    return queues[0]?.jobs[0]?.id ?? '';
  };

  test('an administrator finds it in the navigation, with a policy that allows nothing inline and nothing from elsewhere', async () => {
    expect((await admin.go('/account')).text).toContain('href="/admin/jobs"');
    const page = await admin.go('/admin/jobs');
    expect([page.status, page.url.pathname]).toEqual([200, '/admin/jobs/']);
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'; style-src 'self'; script-src 'self'");
    expect(policy).not.toMatch(/unsafe|https?:/);
    expect(page.text).not.toMatch(/<style|\sstyle=|fonts\.googleapis/);
    for (const [, file = ''] of page.text.matchAll(/(?:src|href)="(static\/[^"]+)"/g)) {
      const { status, headers } = await ask(admin, `/${file}`);
      expect([file, status, headers.get('x-content-type-options')]).toEqual([file, 200, 'nosniff']);
    }
    // Other pages keep theirs.
    expect((await admin.go('/account')).headers.get('content-security-policy')).toContain("base-uri 'none'");
  });

  test('it tells of failures, without personal data', async () => {
    const { status, text } = await ask(admin, '/api/queues?activeQueue=kairos&status=failed&page=1&jobsPerPage=10');
    expect(status).toBe(200);
    expect(text).toContain('Not for …');
    expect(text).not.toContain('maria@example.org');
  });

  test('files are those of the board alone', async () => {
    for (const name of [
      'index.ejs',
      'static/../index.ejs',
      'static/%2e%2e/index.ejs',
      'static/..%2f..%2fpackage.json',
      'static/js/.hidden.js',
      'static/js/nothing.js',
      '../../../package.json',
    ])
      expect([name, (await ask(admin, `/${name}`)).status]).toEqual([name, 404]);
  });

  test('others see nothing of it', async () => {
    const [page, api, file] = ['/', '/api/queues?page=1', '/static/images/logo.svg'];
    for (const path of [page, api, file]) {
      expect([path, (await ask(world.visitor(), path)).status]).toEqual([path, 401]);
      for (const roles of [['patient'], ['staff'], ['physician']] as const) {
        const profiles = roles[0] === 'physician' ? ['Practitioner/x'] : [];
        const visitor = world.visitor();
        visitor.keep(`sid=${await world.session(await world.account({ roles, profiles }))}; Path=/`);
        expect([path, roles, (await ask(visitor, path)).status]).toEqual([path, roles, 403]);
      }
    }
    const stranger = world.visitor();
    expect((await put(stranger, '/api/queues/kairos/retry/failed')).status).toBe(401);
  });

  test('security.md A4.5: what changes something must come from our page', async () => {
    const path = `/api/queues/kairos/${await jobId()}/clean`;
    const forged: readonly Readonly<Record<string, string>>[] = [
      { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site' },
      { 'X-CSRF-Token': '' },
      { 'X-CSRF-Token': 'x'.repeat(43) },
    ];
    for (const headers of forged) expect([headers, (await put(admin, path, headers)).status]).toEqual([headers, 403]);
    expect((await put(admin, path, { 'Content-Type': 'text/plain' })).status).toBe(415);
    for (const method of ['POST', 'PATCH', 'DELETE'])
      expect([method, (await admin.send(`/admin/jobs${path}`, { method })).status]).toEqual([method, 405]);
    expect((await failed())?.failed).toBe(1);
  });

  test('what would empty the queue, or give jobs other things to do, is not for the board', async () => {
    for (const path of ['empty', 'obliterate', 'concurrency', 'rate-limit', 'job-schedulers/x/remove'])
      expect([path, (await put(admin, `/api/queues/kairos/${path}`)).status]).toEqual([path, 403]);
    expect((await put(admin, '/api/nothing')).status).toBe(404);
    expect((await failed())?.failed).toBe(1);
  });

  test('a failed job is tried again and forgotten; after ten minutes only for who proves who they are', async () => {
    const id = await jobId();
    expect((await put(admin, `/api/queues/kairos/${id}/retry`)).status).toBe(204);
    expect(await failed()).toMatchObject({ failed: 0, waiting: 1 });
    expect((await put(admin, `/api/queues/kairos/${id}/clean`)).status).toBe(204);
    expect(await failed()).toBeUndefined();
    world.later(700);
    expect((await put(admin, '/api/queues/kairos/pause')).status).toBe(401);
    expect((await ask(admin, '/api/queues?page=1')).status).toBe(200);
  });

  test.runIf(backend === 'Redis')('without its queue the board is not available, and other pages are', async () => {
    await redis?.kill();
    const { status } = await ask(admin, '/api/queues?page=1');
    expect(status).toBeGreaterThanOrEqual(500);
    expect((await admin.go('/account')).status).toBe(200);
    await redis?.start();
    await expect.poll(async () => (await ask(admin, '/api/queues?page=1')).status, { timeout: 10_000 }).toBe(200);
  });
});
