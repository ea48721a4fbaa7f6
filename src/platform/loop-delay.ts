/** How far this process is behind: what comes in then only waits longer. @see https://nodejs.org/api/perf_hooks.html */

const EVERY_MS = 250;

export interface LoopDelay {
  /** By how much the last turn of the event loop was late, ms. */
  readonly ms: number;
  close(): void;
}

export function watchLoopDelay(): LoopDelay {
  let due = performance.now() + EVERY_MS;
  let late = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    late = Math.max(0, now - due);
    due = now + EVERY_MS;
  }, EVERY_MS).unref();
  return {
    get ms() {
      return late;
    },
    close: () => clearInterval(timer),
  };
}
