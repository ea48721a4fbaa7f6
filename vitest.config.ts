import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: ['tests/support/global-setup.ts'],
    // One process a file, two at a time: the machine that matters has two cores.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Tests that kill databases share the machine with others: in CI one failure of such a race is tried again, and reported.
    retry: process.env['CI'] ? 1 : 0,
    passWithNoTests: false,
    reporters: ['default', './tests/support/counts-reporter.ts'],
  },
});
