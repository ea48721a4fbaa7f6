/** The quick start of docs/smart.md, word by word: only its two addresses are others here. */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectFolder } from '../../src/platform/paths.ts';
import { newContext, openBrowser } from '../support/browser.ts';
import { TEST_ROOT_KEY } from '../support/root-key.ts';
import { allow, openClinic, signIn, tokens, type Clinic } from './browser-world.ts';

const run = promisify(execFile);
const SECTION = '## Quick start for an app developer\n';

interface Blocks {
  of(language: string): readonly string[];
}

async function readBlocks(): Promise<Blocks> {
  const text = await readFile(path.join(projectFolder, 'docs/smart.md'), 'utf8');
  const [, section = ''] = text.split(SECTION);
  const blocks = [...(section.split(/^## /m)[0] ?? '').matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)];
  return {
    of: (language) => blocks.filter(([, name]) => name === language).map(([, , content]) => content ?? ''),
  };
}

const browser = await openBrowser();
const hasCurl = await run('curl', ['--version']).then(
  () => true,
  () => false,
);
if (!hasCurl) {
  if (process.env['CI'] === 'true') throw new Error('curl is missing: the quick start cannot be run');
  console.warn('curl is missing here, so the quick start for systems is skipped.');
}

describe('docs/smart.md: quick start', () => {
  let clinic: Clinic;
  let blocks: Blocks;
  let folder = '';
  let here: (text: string) => string;
  let env: NodeJS.ProcessEnv;

  beforeAll(async () => {
    clinic = await openClinic();
    blocks = await readBlocks();
    here = (text) =>
      text.replaceAll('http://localhost:8080', clinic.origin).replaceAll('http://localhost:9000', clinic.apps);
    folder = await mkdtemp(path.join(tmpdir(), 'kairos-quick-start-'));
    // As after `npm install jose`.
    await symlink(path.join(projectFolder, 'node_modules'), path.join(folder, 'node_modules'));
    // `npm run clients -- …` without looking for what is installed: that is npm's, and tested elsewhere.
    await writeFile(
      path.join(folder, 'npm'),
      '#!/bin/sh\nwhile [ "$1" != "--" ]; do shift; done\nshift\nexec node "$KAIROS/src/cli/clients.ts" "$@"\n',
    );
    await chmod(path.join(folder, 'npm'), 0o755);
    const { app, owner } = clinic.world.server.database;
    const url = ({ user, password, host, port, database }: typeof app): string =>
      `postgres://${encodeURIComponent(user ?? '')}:${encodeURIComponent(typeof password === 'string' ? password : '')}@localhost/${database ?? ''}?host=${encodeURIComponent(host ?? '')}&port=${port ?? 5432}`;
    env = {
      PATH: `${folder}:${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      KAIROS: projectFolder,
      DATABASE_URL: url(app),
      DATABASE_OWNER_URL: url(owner),
      ROOT_KEY: TEST_ROOT_KEY,
      LOG_LEVEL: 'error',
    };
  });
  afterAll(async () => {
    await browser?.close();
    await clinic.close();
    await rm(folder, { recursive: true, force: true });
  });

  const shell = async (script: string): Promise<string> =>
    (await run('sh', ['-euc', here(script)], { cwd: folder, env })).stdout;

  test.skipIf(!browser)('an app that people open', async () => {
    const [register = ''] = blocks.of('sh');
    expect(await shell(register)).toContain('my-first-app');
    const [launch = '', index = ''] = blocks.of('html');
    clinic.page('/launch.html', here(launch));
    clinic.page('/index.html', here(index));
    if (!browser) return;
    const { email } = await clinic.world.account({ profiles: ['Patient/maria', 'RelatedPerson/mother-of-leo'] });
    const context = await newContext(browser, { width: 1280, scheme: 'light', locale: 'en' });
    try {
      const page = await context.newPage();
      await page.goto(`${clinic.apps}/launch.html`);
      await signIn(page, email);
      await page.getByRole('button', { name: 'María' }).click();
      await allow(page);
      await page.waitForURL(/\/index\.html/);
      await page.waitForSelector('li, #problem:not(:empty)');
      expect(await page.textContent('#problem')).toBe('');
      expect(await page.textContent('h1')).toBe('María Fernanda García-Okonkwo');
      expect(await page.locator('li').allTextContents()).toEqual([
        '2026-12-01T09:00:00Z booked',
        '2026-12-01T09:00:00Z cancelled',
      ]);
      // What the text shows is what comes, with other values where they are made.
      const [shown = ''] = blocks.of('json');
      const told: unknown = JSON.parse(here(shown));
      await page.evaluate('FHIR.oauth2.ready().then((client) => { window.client = client; })');
      const made = { access_token: '…', refresh_token: '…', id_token: '…', patient: 'demo1-patient-001' };
      expect({ ...(await tokens(page)), ...made }).toEqual(told);
      expect(await page.evaluate('client.refresh().then(() => client.patient.read()).then((p) => p.id)')).toBe('maria');
    } finally {
      await context.close();
    }
  });

  test.skipIf(!hasCurl)('a system that acts for itself', async () => {
    const [key = '', assertion = ''] = blocks.of('js');
    await writeFile(path.join(folder, 'key.mjs'), here(key));
    await writeFile(path.join(folder, 'assertion.mjs'), here(assertion));
    const said = await shell(blocks.of('sh').at(-1) ?? '');
    const bundle: unknown = JSON.parse(said.slice(said.indexOf('{')));
    expect(bundle).toMatchObject({ resourceType: 'Bundle', entry: [{ resource: { resourceType: 'Appointment' } }] });
  });
});
