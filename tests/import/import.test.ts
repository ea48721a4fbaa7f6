/** Import: what is read, which ids and references result, what is refused and how that is told. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { ClientConfig } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestKairos, type TestKairos } from '../support/kairos.ts';
import { program } from '../support/process.ts';
import { TEST_ROOT_KEY } from '../support/root-key.ts';
import { importContext, importPaths, importTexts, told } from './support.ts';

let kairos: TestKairos;
beforeAll(async () => {
  kairos = await openTestKairos();
});
afterAll(() => kairos.close());

const stored = async (type: string, id: string): Promise<Record<string, unknown>> => {
  const found = await kairos.engine.repository.read(type, id, importContext(kairos.engine).access.to('read'));
  return JSON.parse(found?.content ?? '{}') as Record<string, unknown>;
};
const patient = (id: string | undefined, rest: object = {}): object => ({
  resourceType: 'Patient',
  ...(id ? { id } : {}),
  ...rest,
});
const lines = (...resources: readonly unknown[]): string => resources.map((r) => JSON.stringify(r)).join('\n');
const bundle = (type: string, ...entry: readonly object[]): object => ({ resourceType: 'Bundle', type, entry });

describe('import: references', () => {
  it('resolves references between files whatever their order, in circles too', async () => {
    const report = await importTexts(kairos.engine, {
      '1.ndjson': lines(patient('ring-1', { link: [{ other: { reference: 'Patient/ring-2' }, type: 'seealso' }] }), {
        resourceType: 'Slot',
        id: 'early',
        schedule: { reference: 'Schedule/late' },
        status: 'free',
        start: '2027-01-04T09:00:00Z',
        end: '2027-01-04T09:30:00Z',
      }),
      '2.json': patient('ring-2', { link: [{ other: { reference: 'Patient/ring-1' }, type: 'seealso' }] }),
      '3.json': { resourceType: 'Schedule', id: 'late', actor: [{ reference: 'Patient/ring-1' }] },
    });
    expect(told(report)).toEqual([]);
    expect(report.counts.get('Patient')).toEqual({ created: 2, updated: 0, unchanged: 0, refused: 0 });
    expect(await stored('Slot', 'early')).toMatchObject({ schedule: { reference: 'Schedule/late' } });
  });

  it('urn:uuid references become ids: within a Bundle first, then over all files', async () => {
    const a = 'urn:uuid:0f4c1f1e-3bd5-4a0c-8d35-6f1f2b4a7c01';
    const shared = 'urn:uuid:0f4c1f1e-3bd5-4a0c-8d35-6f1f2b4a7c02';
    const report = await importTexts(kairos.engine, {
      '1.json': bundle(
        'collection',
        { fullUrl: a, resource: patient('urn-a1') },
        {
          resource: {
            resourceType: 'Account',
            id: 'urn-1',
            status: 'active',
            subject: [{ reference: a }, { reference: shared }],
          },
        },
      ),
      '2.json': bundle(
        'transaction',
        { fullUrl: a, resource: patient('urn-a2'), request: { method: 'POST', url: 'Patient' } },
        {
          resource: { resourceType: 'Account', id: 'urn-2', status: 'active', subject: [{ reference: a }] },
          request: { method: 'POST', url: 'Account' },
        },
      ),
      '3.json': bundle('batch', {
        fullUrl: shared,
        resource: patient(undefined),
        request: { method: 'POST', url: 'Patient' },
      }),
    });
    expect(told(report)).toEqual([]);
    expect(await stored('Account', 'urn-1')).toMatchObject({
      subject: [{ reference: 'Patient/urn-a1' }, { reference: 'Patient/0f4c1f1e-3bd5-4a0c-8d35-6f1f2b4a7c02' }],
    });
    expect(await stored('Account', 'urn-2')).toMatchObject({ subject: [{ reference: 'Patient/urn-a2' }] });
  });

  it('a dangling reference is refused with the element, and so is what refers to that resource', async () => {
    const report = await importTexts(kairos.engine, {
      '1.ndjson': lines(
        { resourceType: 'Account', id: 'lost-account', status: 'active', owner: { reference: 'Organization/lost-2' } },
        { resourceType: 'Organization', id: 'lost-2', name: 'Two', partOf: { reference: 'Organization/lost-1' } },
        {
          resourceType: 'Organization',
          id: 'lost-1',
          name: 'One',
          endpoint: [{ reference: 'Endpoint/nowhere' }, { reference: 'urn:uuid:0f4c1f1e-3bd5-4a0c-8d35-6f1f2b4a7c09' }],
        },
        {
          resourceType: 'Organization',
          id: 'other',
          name: 'Elsewhere',
          partOf: { reference: 'https://elsewhere.example/fhir/Organization/1' },
        },
        { resourceType: 'Account', id: 'asks', status: 'active', owner: { reference: 'Organization?name=x' } },
      ),
    });
    expect(told(report)).toEqual([
      '1.ndjson, line 1: Account/lost-account: not-found Account.owner.reference',
      '1.ndjson, line 2: Organization/lost-2: not-found Organization.partOf.reference',
      '1.ndjson, line 3: Organization/lost-1: not-found Organization.endpoint[0].reference; not-found Organization.endpoint[1].reference',
      '1.ndjson, line 5: Account/asks: not-supported Account.owner.reference',
    ]);
    expect(report.refused.map((r) => r.issues[0]?.diagnostics.includes('was refused'))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(report.counts.get('Organization')?.created).toBe(1);
  });
});

describe('import: ids and repetition', () => {
  const nameless = { resourceType: 'Patient', name: [{ family: 'Nameless' }] };

  it('the same input again changes nothing; what differs becomes a new version', async () => {
    const files = {
      '1.ndjson': lines(patient('again-1'), patient('again-2', { active: true }), nameless),
      '2.json': bundle(
        'searchset',
        { resource: patient('again-3'), search: { mode: 'match' } },
        { resource: { resourceType: 'OperationOutcome', issue: [] }, search: { mode: 'outcome' } },
      ),
    };
    expect((await importTexts(kairos.engine, files)).counts.get('Patient')).toEqual({
      created: 4,
      updated: 0,
      unchanged: 0,
      refused: 0,
    });
    expect((await importTexts(kairos.engine, files)).counts.get('Patient')).toEqual({
      created: 0,
      updated: 0,
      unchanged: 4,
      refused: 0,
    });
    const changed = await importTexts(kairos.engine, { '1.json': patient('again-2', { active: false }) });
    expect(changed.counts.get('Patient')).toEqual({ created: 0, updated: 1, unchanged: 0, refused: 0 });
    expect(await stored('Patient', 'again-2')).toMatchObject({ active: false, meta: { versionId: '2' } });
  });

  it('one id with different content is refused the second time, equal content counts once', async () => {
    const report = await importTexts(kairos.engine, {
      '1.ndjson': lines(
        patient('twice', { active: true }),
        patient('twice', { active: true }),
        patient('twice', { active: false }),
      ),
    });
    expect(told(report)).toEqual(['1.ndjson, line 3: Patient/twice: duplicate Patient.id']);
    expect(report.counts.get('Patient')).toEqual({ created: 1, updated: 0, unchanged: 0, refused: 1 });
    expect(await stored('Patient', 'twice')).toMatchObject({ active: true });
  });

  it('a deleted resource comes back as the version after its deletion', async () => {
    await importTexts(kairos.engine, { '1.json': patient('phoenix') });
    await kairos.engine.repository.transaction('read committed', (tx) =>
      tx.delete(
        [{ type: 'Patient', id: 'phoenix', version: 2, lastUpdated: new Date() }],
        importContext(kairos.engine).access.to('delete'),
      ),
    );
    expect((await importTexts(kairos.engine, { '1.json': patient('phoenix') })).counts.get('Patient')?.created).toBe(1);
    expect(await stored('Patient', 'phoenix')).toMatchObject({ meta: { versionId: '3' } });
  });
});

describe('import: refusals', () => {
  it('names file, line or entry, element and reason of everything that cannot come in', async () => {
    const report = await importTexts(kairos.engine, {
      'a.ndjson': [
        JSON.stringify(patient('good-1')),
        '{"resourceType":"Patient","id":"bad-json"',
        '',
        '{"resourceType":"Patient","id":"double","active":true,"active":false}',
        JSON.stringify(patient('bad-date', { birthDate: '1973-02-30', gender: 'robot' })),
        JSON.stringify(patient('long', { name: [{ text: 'x'.repeat(200_000) }] })),
        '[1]',
        JSON.stringify(patient('bad id!')),
        JSON.stringify(patient('..')),
        JSON.stringify(patient('good-2')),
      ].join('\r\n'),
      'b.json': bundle(
        'collection',
        { resource: { resourceType: 'Observation', id: 'o' } },
        { request: { method: 'DELETE', url: 'Patient/x' } },
        { resource: { resourceType: 'AuditEvent', id: 'a' } },
        { resource: bundle('document', { resource: patient('inner', { active: 'yes' }) }) },
        { resource: patient('good-3') },
      ),
      'c.txt': 'not looked at',
    });
    expect(told(report)).toEqual([
      'a.ndjson, line 2: -: structure Patient.id',
      'a.ndjson, line 4: -: structure Patient.active',
      'a.ndjson, line 5: Patient/bad-date: value Patient.birthDate; code-invalid Patient.gender',
      'a.ndjson, line 6: -: too-long -',
      'a.ndjson, line 7: -: structure -',
      'a.ndjson, line 8: Patient/bad id!: value Patient.id',
      'a.ndjson, line 9: Patient/..: value Patient.id',
      'b.json, entry[0]: Observation/o: not-supported resourceType',
      'b.json, entry[1]: -: required Bundle.entry[1].resource',
      'b.json, entry[2]: AuditEvent/a: not-supported resourceType',
      'b.json, entry[3], entry[0]: Patient/inner: value Patient.active',
    ]);
    expect(report.counts.get('Patient')).toEqual({ created: 3, updated: 0, unchanged: 0, refused: 4 });
  });
});

describe('npm run import', () => {
  const url = ({ user, password, host, port, database }: ClientConfig): string =>
    `postgres://${encodeURIComponent(user ?? '')}:${encodeURIComponent(typeof password === 'string' ? password : '')}@localhost/${database ?? ''}?host=${encodeURIComponent(host ?? '')}&port=${port ?? 5432}`;

  async function run(...args: string[]): Promise<{ code: number | null; output: string }> {
    const child = spawn(process.execPath, [...program('src/cli/import.ts'), ...args], {
      env: {
        PATH: process.env['PATH'],
        DATABASE_URL: url(kairos.roles.app),
        DATABASE_OWNER_URL: url(kairos.roles.owner),
        ROOT_KEY: TEST_ROOT_KEY,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, output };
  }

  it('prints refusals and the sum by type, and ends with 0 only when everything came in', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-import-'));
    try {
      const good = path.join(folder, 'good.json');
      const bad = path.join(folder, 'bad.json');
      await writeFile(good, JSON.stringify(patient('from-cli')));
      await writeFile(bad, JSON.stringify(patient('from-cli-2', { gender: 'robot' })));
      const [first, second, third] = await Promise.all([
        run(good),
        run(good, bad),
        run(path.join(folder, 'none.json')),
      ]);
      expect(first).toEqual({ code: 0, output: expect.stringContaining('1 resource in') as string });
      expect([second.code, third.code]).toEqual([1, 1]);
      expect(second.output).toContain(`refused: ${bad}: Patient/from-cli-2: Patient.gender: `);
      expect(second.output).toMatch(/^type +created +updated +unchanged +refused\nPatient +\d +\d +\d +1\n/m);
      expect(third.output).toContain('none.json does not exist.');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('import: links in a folder', () => {
  it('reads a file behind a link; refuses one that leads nowhere or to a folder', async () => {
    const outer = await mkdtemp(path.join(os.tmpdir(), 'kairos-import-'));
    try {
      const folder = path.join(outer, 'in');
      await mkdir(folder);
      await writeFile(path.join(outer, 'real.json'), JSON.stringify(patient('behind-a-link')));
      await symlink(path.join(outer, 'real.json'), path.join(folder, 'a.json'));
      await symlink(path.join(outer, 'gone.ndjson'), path.join(folder, 'b.ndjson'));
      await symlink(outer, path.join(folder, 'c'));
      await symlink(path.join(outer, 'gone.txt'), path.join(folder, 'd.txt'));
      const report = await importPaths(kairos.engine, folder);
      expect(told(report)).toEqual(['b.ndjson: -: not-found -', 'c: -: not-found -']);
      expect(report.counts.get('Patient')?.created).toBe(1);
    } finally {
      await rm(outer, { recursive: true });
    }
  });
});
