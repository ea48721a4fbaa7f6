/** The demo clinic in a database: valid, complete, added once. */
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { demoClinic } from '../../src/demo/clinic.ts';
import { runChecks } from '../../src/platform/database/checks.ts';
import { projectFolder } from '../../src/platform/paths.ts';
import { seedDemo } from '../../src/demo/seed.ts';
import { openTestKairos, type TestKairos } from '../support/kairos.ts';

const TODAY = '2026-10-20';
let kairos: TestKairos;
beforeAll(async () => {
  kairos = await openTestKairos();
});
afterAll(() => kairos.close());

describe('demo clinic in a database', () => {
  const all = [...demoClinic(1, TODAY)];

  it('every resource is valid, with the US Core profiles that it claims', () => {
    const { validator } = kairos.engine;
    expect(
      all.flatMap((r) =>
        validator.validate(r).map((i) => `${r.resourceType}/${r.id}: ${i.expression?.join() ?? ''} ${i.diagnostics}`),
      ),
    ).toEqual([]);
    const profiled = new Set(all.filter((r) => r.meta?.profile?.[0]?.includes('/us/core/')).map((r) => r.resourceType));
    expect([...profiled].sort()).toEqual([
      'Coverage',
      'Encounter',
      'Location',
      'Organization',
      'Patient',
      'Practitioner',
      'PractitionerRole',
      'RelatedPerson',
      'ServiceRequest',
    ]);
  });

  it('comes in once', async () => {
    expect(await seedDemo(kairos.engine, { today: TODAY })).toEqual({ created: all.length, unchanged: 0 });
    expect(await seedDemo(kairos.engine, { today: TODAY })).toEqual({ created: 0, unchanged: all.length });
    const later = [...demoClinic(1, '2026-10-21')].length;
    const { created, unchanged } = await seedDemo(kairos.engine, { today: '2026-10-21' });
    expect(created + unchanged).toBe(later);
    expect(created).toBeGreaterThan(0);
    expect(created).toBeLessThan(800);
  });

  it('breaks nothing that must always hold of a calendar', async () => {
    const file = path.join(projectFolder, 'src/cli/invariants.sql');
    const results = await runChecks(kairos.roles.app, file);
    expect(results.length).toBeGreaterThan(8);
    expect(results.flatMap(({ name, found }) => found.map((id) => `${name} ${id}`))).toEqual([]);
  });
});
