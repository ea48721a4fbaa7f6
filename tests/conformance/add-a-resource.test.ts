/**
 * docs/add-a-resource.md, done step by step on a copy of the project: one file and a generated migration make a served type.
 * @see https://hl7.org/fhir/R4/flag.html
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Bundle, CapabilityStatement } from '@medplum/fhirtypes';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { projectFolder } from '../../src/platform/paths.ts';
import { asRobot, ROBOT } from '../support/robot.ts';

const run = promisify(execFile);
let copy: string;
let server: ChildProcess | undefined;
let base: string;
let robot: Readonly<Record<string, string>>;

async function readyBase(child: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk);
    const found = /FHIR\s+(http\S+)/.exec(text)?.[1];
    if (found) return found;
  }
  throw new Error(`the server ended: ${text}`);
}

beforeAll(async () => {
  copy = await mkdtemp(path.join(os.tmpdir(), 'kairos-copy-'));
  for (const name of ['src', 'migrations', 'fhir-profiles', 'package.json']) {
    await cp(path.join(projectFolder, name), path.join(copy, name), { recursive: true });
  }
  await symlink(path.join(projectFolder, 'node_modules'), path.join(copy, 'node_modules'));
  const guide = await readFile(path.join(projectFolder, 'docs/add-a-resource.md'), 'utf8');
  const file = /```ts\n([\s\S]*?)```/.exec(guide)?.[1]?.replaceAll(/^ {3}/gm, '');
  await writeFile(path.join(copy, 'src/resources/Flag.ts'), file ?? '');
  await run(process.execPath, ['src/cli/build.ts'], { cwd: copy });
  await run(process.execPath, ['src/cli/make-migration.ts', 'add-flag'], { cwd: copy });
  server = spawn(process.execPath, ['src/main.ts'], {
    cwd: copy,
    env: {
      ...process.env,
      PORT: '0',
      DEMO: 'off',
      WORKER: 'off',
      DATA_DIR: path.join(copy, 'data'),
      LOG_LEVEL: 'error',
      ...ROBOT,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  base = await readyBase(server);
  robot = await asRobot(base);
}, 120_000);

afterAll(async () => {
  if (server?.exitCode === null) {
    const ended = once(server, 'exit');
    server.kill('SIGTERM');
    await ended;
  }
  await rm(copy, { recursive: true, force: true });
});

test('one file and a generated migration serve a new type: routes, validation, search, history, capabilities', async () => {
  const json = { 'Content-Type': 'application/fhir+json', ...robot };
  const before = await readdir(path.join(projectFolder, 'migrations'));
  const after = await readdir(path.join(copy, 'migrations'));
  expect(after.filter((n) => !before.includes(n))).toEqual([expect.stringMatching(/^Migration\d{14}_add_flag\.ts$/)]);

  const patient = await (
    await fetch(`${base}/Patient`, { method: 'POST', headers: json, body: '{"resourceType":"Patient"}' })
  ).json();
  const { id } = patient as { id: string };
  const flag = {
    resourceType: 'Flag',
    status: 'active',
    code: { text: 'Needs an interpreter' },
    subject: { reference: `Patient/${id}` },
    period: { start: '2026-11-22' },
  };
  const created = await fetch(`${base}/Flag`, { method: 'POST', headers: json, body: JSON.stringify(flag) });
  expect(created.status).toBe(201);
  const wrong = await fetch(`${base}/Flag`, {
    method: 'POST',
    headers: json,
    body: JSON.stringify({ ...flag, status: 'x' }),
  });
  expect(wrong.status).toBe(422);
  expect(await wrong.text()).toContain('Flag.status');

  const search = async (query: string): Promise<number | undefined> =>
    ((await (await fetch(`${base}/${query}`, { headers: { Prefer: 'handling=strict', ...robot } })).json()) as Bundle)
      .entry?.length;
  expect(await search(`Flag?patient=${id}&date=ge2026-01-01`)).toBe(1);
  expect(await search(`Patient/${id}/Flag`)).toBe(1);
  expect(await search(`Patient?_has:Flag:patient:_profile:missing=true`)).toBe(1);
  expect(await search('Flag/_history')).toBe(1);

  const metadata = (await (await fetch(`${base}/metadata`)).json()) as CapabilityStatement;
  const declared = metadata.rest?.[0]?.resource?.find((r) => r.type === 'Flag');
  expect(declared?.searchParam?.map((p) => p.name)).toEqual(
    expect.arrayContaining(['author', 'date', 'encounter', 'identifier', 'patient', 'subject']),
  );
});
