/** Lets other requests in during long work that never waits. */

/** Longest stretch without a pause, in milliseconds. */
const STRETCH_MS = 10;

/** @returns a function to await between pieces of work; it pauses only when enough time has passed */
export function breather(): () => Promise<void> | undefined {
  let since = performance.now();
  return () => {
    if (performance.now() - since < STRETCH_MS) return undefined;
    return new Promise((resolve) =>
      setImmediate(() => {
        since = performance.now();
        resolve();
      }),
    );
  };
}
