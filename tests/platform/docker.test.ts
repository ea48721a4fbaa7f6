/** docker-compose.yml and Dockerfile, read as Docker would read them. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/platform/config.ts';
import { projectFolder } from '../../src/platform/paths.ts';
import { TEST_ROOT_KEY } from '../support/root-key.ts';

interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
}

const read = (name: string): Promise<string> => readFile(path.join(projectFolder, name), 'utf8');
const compose = parse(await read('docker-compose.yml'), { merge: true }) as Compose;

/** `${NAME:-default}` as Compose fills it in when NAME is unset; the root key, without which it refuses, is given. */
const fill = (text: string): string =>
  text.replace(/\$\{ROOT_KEY:\?[^}]*\}/g, TEST_ROOT_KEY).replace(/\$\{\w+:-([^}]*)\}/g, '$1');
const filled = (service: string): Record<string, string> =>
  Object.fromEntries(Object.entries(compose.services[service]?.environment ?? {}).map(([k, v]) => [k, fill(v)]));

test('app, worker, migration, PostgreSQL 18, Redis and a mail catcher', () => {
  expect(Object.keys(compose.services).sort()).toEqual(['app', 'mail', 'migrate', 'postgres', 'redis', 'worker']);
  expect(compose.services['postgres']?.image).toBe('postgres:18');
});

test('Redis keeps jobs: append-only file, no eviction', () => {
  const command = compose.services['redis']?.command?.join(' ');
  expect(command).toContain('--appendonly yes');
  expect(command).toContain('--maxmemory-policy noeviction');
});

test('what others wait for says when it is healthy', () => {
  for (const { depends_on } of Object.values(compose.services)) {
    for (const [name, { condition }] of Object.entries(depends_on ?? {})) {
      expect(compose.services[name], name).toBeDefined();
      if (condition === 'service_healthy') expect(compose.services[name]?.healthcheck, name).toBeDefined();
    }
  }
});

test.each(['app', 'worker', 'migrate'])('the settings of %s are valid', (name) => {
  const config = loadConfig(filled(name));
  expect(config.redisUrl).toBeDefined();
  expect(new URL(config.databaseUrl ?? '').username).toBe('kairos_app');
});

test('only the migration connects as the owner', () => {
  expect(new URL(loadConfig(filled('migrate')).databaseOwnerUrl ?? '').username).toBe('kairos_owner');
  for (const name of ['app', 'worker']) expect(JSON.stringify(filled(name))).not.toContain('owner');
});

test('server and worker share the folder of the root key', () => {
  for (const name of ['app', 'worker']) expect(compose.services[name]?.volumes, name).toContain('keys:/data');
});

test('every published port is on loopback', () => {
  for (const { ports } of Object.values(compose.services))
    for (const port of ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
});

test('commands name files of the project', async () => {
  for (const { command } of Object.values(compose.services)) {
    if (command?.[0] === 'node') await expect(read(command.at(-1) ?? '')).resolves.not.toBe('');
  }
  expect(await read('Dockerfile')).toMatch(/^USER node$/m);
});
