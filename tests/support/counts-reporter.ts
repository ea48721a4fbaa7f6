/** Prints the counts of a run as its last line, as CI reads them. */
import type { Reporter, TestModule } from 'vitest/node';

export default class CountsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      let failedTests = 0;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        counts[state]++;
        if (test.diagnostic()?.flaky) process.stdout.write(`passed only when tried again: ${test.fullName}\n`);
        if (state === 'failed') failedTests++;
      }
      // A module that could not be loaded, or whose hooks failed, has no failed test to count.
      if (module.state() === 'failed' && failedTests === 0) counts.failed++;
    }
    const failed = counts.failed + counts.pending;
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
    process.stdout.write(`\n${counts.passed} passed, ${failed} failed${skipped}\n`);
  }
}
