import { describe, expect, test } from 'vitest';
import { configTable, loadConfig } from '../../src/platform/config.ts';

const problem = (env: Record<string, string>): string => {
  try {
    loadConfig(env);
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
  return '';
};

test('without any setting: loopback, port 8080, embedded database, demo on', () => {
  expect(loadConfig({})).toMatchObject({
    host: '127.0.0.1',
    port: 8080,
    publicUrl: undefined,
    databaseUrl: undefined,
    redisUrl: undefined,
    demo: true,
    validateReferences: true,
    limits: {
      resourceBytes: 1_048_576,
      bundleBytes: 16_777_216,
      bundleEntries: 1000,
      replyBytes: 33_554_432,
      jsonDepth: 64,
      resourceValues: 50_000,
    },
  });
});

test('an empty variable counts as unset', () => {
  expect(loadConfig({ PORT: '', DATABASE_URL: '' })).toMatchObject({ port: 8080, databaseUrl: undefined });
});

test('with a database of its own there is no demo unless asked for', () => {
  const DATABASE_URL = 'postgresql://kairos:secret@db/kairos';
  expect(loadConfig({ DATABASE_URL }).demo).toBe(false);
  expect(loadConfig({ DATABASE_URL, DEMO: 'on' }).demo).toBe(true);
  expect(loadConfig({ DATABASE_URL }).databaseOwnerUrl).toBe(DATABASE_URL);
});

test('PUBLIC_URL loses its trailing slash', () => {
  expect(loadConfig({ PUBLIC_URL: 'https://kairos.example.org/base/' }).publicUrl).toBe(
    'https://kairos.example.org/base',
  );
});

describe('a bad value is named with what it must be, in one sentence', () => {
  test.each([
    [{ PORT: 'http' }, 'PORT must be a whole number from 0 to 65535.'],
    [{ PORT: '70000' }, 'PORT must be a whole number from 0 to 65535.'],
    [{ DEMO: 'yes' }, 'DEMO must be one of on, off.'],
    [{ LOG_LEVEL: 'loud' }, 'LOG_LEVEL must be one of debug, info, warn, error, silent.'],
    [
      { DATABASE_URL: 'mysql://localhost' },
      'DATABASE_URL must be a URL that starts with postgres:// or postgresql://.',
    ],
    [{ PUBLIC_URL: 'localhost:8080' }, 'PUBLIC_URL must be a URL that starts with http:// or https://.'],
    [
      { LIMIT_PAGE_SIZE: '100', LIMIT_MAX_PAGE_SIZE: '10' },
      'LIMIT_PAGE_SIZE must be no larger than LIMIT_MAX_PAGE_SIZE.',
    ],
  ])('%j', (env, message) => {
    expect(problem(env)).toBe(message);
  });

  test.each(['0.0.0.0', '192.168.1.10', '::', 'example.org'])(
    'HOST=%s demands that what others are told is encrypted',
    (HOST) => {
      const refused = 'PUBLIC_URL must start with https:// when HOST is no loopback address';
      for (const PUBLIC_URL of ['http://kairos.example.org', 'http://192.168.1.10:8080', 'http://127.evil.example'])
        expect(problem({ HOST, PUBLIC_URL })).toContain(refused);
      for (const PUBLIC_URL of [
        undefined,
        'https://kairos.example.org',
        'http://localhost:8080',
        'http://127.0.0.1',
        'http://[::1]:80',
      ])
        expect(loadConfig({ HOST, PUBLIC_URL })).toMatchObject({ host: HOST });
    },
  );

  test.each(['256.1.1.1', '1.2.3', 'a b', 'http://localhost', '-a', 'a..b', '[::1]'])(
    'HOST=%s is no address',
    (HOST) => {
      expect(problem({ HOST })).toContain('HOST must be an IP address or host name');
    },
  );

  test('the value itself is not repeated: it may hold a password', () => {
    expect(problem({ DATABASE_URL: 'mysql://user:hunter2@db' })).not.toContain('hunter2');
  });
});

test('the table of settings names each once, with its default', () => {
  const lines = configTable().split('\n');
  expect(lines.filter((l) => l.startsWith('| `PORT` |'))).toEqual([
    '| `PORT` | number | `8080` | Port to listen on. `0` takes a free one. |',
  ]);
});
