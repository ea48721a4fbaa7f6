/** The demo clinic in a database: valid, complete, added once, its calendar true. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkInvariants } from '../../src/compose-doctor.ts';
import { seedDemo } from '../../src/demo/seed.ts';
import { generateSlots } from '../../src/scheduling/generate.ts';
import { openTestKairos, type TestKairos } from '../support/kairos.ts';
import { mismatch, partsOf, rowsOf, untrue } from '../scheduling/slots.ts';
import { demoResources } from './resources.ts';

const TODAY = '2026-10-20';
let kairos: TestKairos;
beforeAll(async () => {
  kairos = await openTestKairos();
});
afterAll(() => kairos.close());

describe('demo clinic in a database', () => {
  const all = demoResources(1, TODAY, Date.now());

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
    const later = demoResources(1, '2026-10-21', Date.now()).length;
    const { created, unchanged } = await seedDemo(kairos.engine, { today: '2026-10-21' });
    expect(created + unchanged).toBe(later);
    expect(created).toBeGreaterThan(0);
    expect(created).toBeLessThan(800);
  });

  it('lies where its rules offer time: what is generated around it changes none of its Slots', async () => {
    await seedDemo(kairos.engine);
    const taken = (): Promise<string[][]> =>
      rowsOf(kairos, `select id, version, xmin from slot where start > now() order by id`);
    const before = await taken();
    const statuses = await rowsOf(kairos, `select distinct status from slot where start > now() order by 1`);
    expect(statuses.flat()).toEqual(['busy', 'busy-tentative', 'busy-unavailable', 'free']);
    const { created, rewritten, deleted, settled, left } = await generateSlots(partsOf(kairos));
    expect([rewritten, deleted, settled, left.length]).toEqual([0, 0, 0, 0]);
    expect(created).toBeGreaterThan(3_000);
    const ids = new Set(before.map(([id]) => id));
    expect((await taken()).filter(([id]) => ids.has(id))).toEqual(before);
    expect([await untrue(kairos), await mismatch(kairos)]).toEqual([[], []]);
    expect(await rowsOf(kairos, 'select count(*) from scheduling_slot where withdrawn')).toEqual([['0']]);
    // Nobody is in two places: nothing had to be forced.
    expect(await rowsOf(kairos, 'select count(*) from occupancy where override')).toEqual([['0']]);
  });

  it('breaks nothing that must always hold of a calendar', async () => {
    const results = await checkInvariants(kairos.roles.app, kairos.processKeys.roots);
    expect(results.length).toBeGreaterThan(8);
    expect(results.flatMap(({ name, found }) => found.map((id) => `${name} ${id}`))).toEqual([]);
  });
});
