/** How far a process is behind: `src/platform/loop-delay.ts`. @see https://nodejs.org/api/perf_hooks.html */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { watchLoopDelay } from '../../src/platform/loop-delay.ts';

test('work that lets nobody in is noticed as soon as it is over', async () => {
  const delay = watchLoopDelay();
  try {
    await sleep(300);
    const until = performance.now() + 800;
    while (performance.now() < until);
    // The watch's own turn comes before this one.
    await sleep(1);
    expect(delay.ms).toBeGreaterThan(300);
  } finally {
    delay.close();
  }
});
