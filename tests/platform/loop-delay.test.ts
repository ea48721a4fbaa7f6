/** How far a process is behind, and what it refuses then. @see https://nodejs.org/api/perf_hooks.html */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { watchLoopDelay } from '../../src/platform/loop-delay.ts';
import { openTestKairos, type TestKairos } from '../support/kairos.ts';

let kairos: TestKairos;
beforeAll(async () => void (kairos = await openTestKairos({ env: { RATE_LIMIT: 'on' } })));
afterAll(() => kairos.close());

function block(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until;);
}

const metadata = async (): Promise<Response> => kairos.app.request('http://localhost/fhir/R4/metadata');

test('work that lets nobody in is noticed as soon as it is over', async () => {
  const delay = watchLoopDelay();
  try {
    block(800);
    await vi.waitFor(() => expect(delay.ms).toBeGreaterThan(300), { interval: 1 });
  } finally {
    delay.close();
  }
});

test('who is more than three seconds behind takes nothing new, but for health, and goes on when it is over', async () => {
  expect((await metadata()).status).toBe(200);
  block(3_600);
  const refused = await vi.waitFor(
    async () => {
      const answer = await metadata();
      expect(answer.status).toBe(503);
      return answer;
    },
    { interval: 1 },
  );
  expect(refused.headers.get('retry-after')).toBe('1');
  expect(await refused.json()).toMatchObject({ issue: [{ code: 'throttled' }] });
  expect((await kairos.app.request('http://localhost/livez')).status).toBe(200);
  await vi.waitFor(async () => expect((await metadata()).status).toBe(200), { timeout: 10_000, interval: 50 });
});
