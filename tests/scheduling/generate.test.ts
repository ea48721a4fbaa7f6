/** Generated Slots: what the rules say, and the same however often. https://hl7.org/fhir/R4/slot.html */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { generateSlots } from '../../src/scheduling/generate.ts';
import { sweepSlots } from '../../src/scheduling/sweep-slots.ts';
import { bookProposal, find, found, openClinic, put, schedule, service, workday, type Clinic } from './clinic.ts';
import { availability, weekly } from './clinic.ts';
import { generateAsAsked, mismatch, partsOf, rowsOf, snapshot, storedIds, untrue } from './slots.ts';
import type { TestKairos } from '../support/kairos.ts';

let clinic: Clinic;
let kairos: TestKairos;
beforeAll(async () => {
  clinic = await openClinic();
  ({ kairos } = clinic.server);
});
afterAll(() => clinic.close());
const compared = { comparedBefore: Infinity };

describe('what is generated', () => {
  test('each start that the rules offer is a Slot, and a valid one', async () => {
    const { created, left } = await generateSlots(partsOf(kairos));
    expect(created).toBeGreaterThan(1000);
    expect(left).toEqual([]);
    expect(await mismatch(kairos)).toEqual([]);
    const [[content = ''] = []] = await rowsOf(
      kairos,
      `select content from slot where schedule = 'Schedule/grey' order by start desc limit 1`,
    );
    const slot = JSON.parse(content) as Record<string, unknown>;
    expect(kairos.engine.validator.validate(slot)).toEqual([]);
    expect(slot).toMatchObject({
      resourceType: 'Slot',
      schedule: { reference: 'Schedule/grey' },
      status: 'free',
      meta: {
        versionId: '1',
        tag: [{ system: 'https://kairos.example/fhir/CodeSystem/slot-origin', code: 'generated' }],
      },
      extension: [
        {
          url: 'https://kairos.example/fhir/StructureDefinition/slot-service',
          valueReference: { reference: 'HealthcareService/visit' },
        },
      ],
    });
    expect(slot['start']).toMatch(/^\d{4}-\d\d-\d\dT16:30:00-0[45]:00$/);
  });

  test('the columns of search are those of the resource', async () => {
    const { drift } = await import('../../src/fhir/store/reindex.ts');
    expect((await drift(kairos.store, kairos.pool, 'Slot', 500)).drifted).toEqual([]);
    const day = workday(3);
    const answer = await clinic.nobody(
      'GET',
      `Slot?schedule=Schedule/grey&status=free&service=HealthcareService/visit&start=ge${day}T00:00:00-05:00&start=lt${day}T23:59:00-05:00&_count=50`,
    );
    expect([answer.status, (answer.body['entry'] as unknown as unknown[]).length]).toEqual([200, 14]);
  });

  test('subscribers are told of Schedules, not of Slots, and no Slot has a history', async () => {
    const events = await rowsOf(
      kairos,
      `select distinct payload->>'type', payload->>'id' from outbox where topic = 'event' order by 2`,
    );
    expect(events).toEqual([
      ['Schedule', 'grey'],
      ['Schedule', 'house'],
    ]);
    expect(await rowsOf(kairos, 'select count(*) from slot_history')).toEqual([['0']]);
  });
});

describe('a run that finds nothing to do', () => {
  test('changes no row, though it compares all', async () => {
    const before = await snapshot(kairos);
    expect(await generateSlots(partsOf(kairos))).toMatchObject({ offers: 0, created: 0 });
    const all = (await storedIds(kairos)).length;
    expect(await generateSlots(partsOf(kairos), compared)).toMatchObject({
      offers: 2,
      created: 0,
      rewritten: 0,
      deleted: 0,
      unchanged: all,
      settled: 0,
    });
    expect(await snapshot(kairos)).toBe(before);
  });

  test('without its records it still changes no Slot', async () => {
    const before = await snapshot(kairos);
    await kairos.pool.query('delete from scheduling_generated');
    expect(await generateSlots(partsOf(kairos))).toMatchObject({ created: 0, rewritten: 0, deleted: 0 });
    expect(await snapshot(kairos)).toBe(before);
  });

  test('the same Slots come back when all are lost; a Slot that is lost comes back when all are compared', async () => {
    const ids = await storedIds(kairos);
    await kairos.pool.query('delete from slot; delete from scheduling_generated');
    await generateSlots(partsOf(kairos));
    expect(await storedIds(kairos)).toEqual(ids);
    await kairos.pool.query('delete from slot where id = any($1)', [ids.slice(0, 10)]);
    expect((await generateSlots(partsOf(kairos))).created).toBe(0);
    expect((await generateSlots(partsOf(kairos), compared)).created).toBe(10);
    expect(await storedIds(kairos)).toEqual(ids);
  });
});

describe('taken time', () => {
  let day: string;
  const start = () => `${day}T10:00:00-05:00`;
  const statusAt = async (of: string): Promise<string | undefined> =>
    (await rowsOf(kairos, 'select status from slot where schedule = $1 and start = $2', [of, start()]))[0]?.[0];
  const book = async (): Promise<string> => {
    const free = await find(clinic.nobody, `start=${start()}&end=${day}T10:30:00-05:00&practitioner=Practitioner/grey`);
    const answer = await bookProposal(clinic.ann, String(found(free)[0]?.['id']));
    expect(answer.status, answer.text).toBe(200);
    return String(found(answer)[0]?.['id']);
  };
  const cancel = (id: string) => clinic.ann('POST', `Appointment/${id}/$cancel`, { resourceType: 'Parameters' });
  beforeEach(() => void (day = workday(5)));

  test('a Slot that is generated on it is busy from the start', async () => {
    await kairos.pool.query('delete from slot; delete from scheduling_generated');
    const id = await book();
    await generateSlots(partsOf(kairos));
    expect(await statusAt('Schedule/grey')).toBe('busy');
    expect(await rowsOf(kairos, `select version from slot where status = 'busy'`)).toEqual([['1']]);
    expect(await untrue(kairos)).toEqual([]);
    expect((await cancel(id)).status).toBe(200);
    expect(await statusAt('Schedule/grey')).toBe('free');
    expect(await untrue(kairos)).toEqual([]);
  });

  test('a Slot that somebody has is not touched, and goes when it is given back, unless it is offered again', async () => {
    const id = await book();
    const row = (): Promise<string[][]> =>
      rowsOf(kairos, 'select id, version, xmin, content from slot where schedule = $1 and start = $2', [
        'Schedule/grey',
        start(),
      ]);
    const before = await row();
    const afternoons = schedule('grey', 'grey', { extension: [availability(weekly('13:00:00', '17:00:00'))] });
    await put(clinic.system, afternoons);
    expect((await generateSlots(partsOf(kairos))).deleted).toBeGreaterThan(100);
    expect(await row()).toEqual(before);
    expect(await mismatch(kairos)).toEqual([]);
    expect((await cancel(id)).status).toBe(200);
    expect(await row()).toEqual([]);
    const gone = await clinic.staff('GET', `Slot/${before[0]?.[0] ?? ''}`);
    expect(gone.status).toBe(410);
    // Back with a further version, since its end is on record.
    await put(clinic.system, schedule('grey', 'grey'));
    await generateSlots(partsOf(kairos));
    const version = Number(before[0]?.[1]);
    expect((await row())[0]?.[1]).toBe(String(version + 2));
    expect((await clinic.staff('GET', `Slot/${before[0]?.[0] ?? ''}/_history`)).status).toBe(200);
    const again = await book();
    expect((await row())[0]?.[1]).toBe(String(version + 3));
    await cancel(again);
    expect(await untrue(kairos)).toEqual([]);
  });

  test('another length: free Slots are written anew, one that somebody has keeps its own until it is given back', async () => {
    const id = await book();
    await put(
      clinic.system,
      service('visit', {
        url: 'interval',
        valueDuration: { value: 30, unit: 'min', system: 'http://unitsofmeasure.org', code: 'min' },
      }),
    );
    expect(await generateSlots(partsOf(kairos))).toMatchObject({ created: 0, rewritten: 0, deleted: 0 });
    const longer = {
      resourceType: 'HealthcareService',
      id: 'visit',
      active: true,
      name: 'Service visit',
      extension: [
        {
          url: 'https://kairos.example/fhir/StructureDefinition/scheduling-parameters',
          extension: [
            {
              url: 'duration',
              valueDuration: { value: 20, unit: 'min', system: 'http://unitsofmeasure.org', code: 'min' },
            },
            {
              url: 'interval',
              valueDuration: { value: 30, unit: 'min', system: 'http://unitsofmeasure.org', code: 'min' },
            },
          ],
        },
      ],
    };
    await put(clinic.system, longer);
    const { rewritten, created } = await generateSlots(partsOf(kairos));
    expect([rewritten > 1000, created]).toEqual([true, 0]);
    const ends = (): Promise<string[][]> =>
      rowsOf(
        kairos,
        `select extract(epoch from "end" - start) / 60, count(*) from slot where schedule = 'Schedule/grey' and start > now() group by 1 order by 1`,
      );
    expect((await ends()).map(([length]) => Number(length))).toEqual([20, 30]);
    await cancel(id);
    await generateAsAsked(kairos);
    expect((await ends()).map(([length]) => Number(length))).toEqual([20]);
    expect(await mismatch(kairos)).toEqual([]);
    expect(await untrue(kairos)).toEqual([]);
    await put(clinic.system, service('visit'));
    await generateSlots(partsOf(kairos));
  });

  test('a block that staff makes of a generated Slot, and an opening, are theirs', async () => {
    const [[id = ''] = []] = await rowsOf(
      kairos,
      `select id from slot where schedule = 'Schedule/house' and status = 'free' and start > now() order by start offset 20 limit 1`,
    );
    const read = await clinic.staff('GET', `Slot/${id}`);
    const blocked = await clinic.staff('PUT', `Slot/${id}`, {
      ...read.body,
      status: 'busy-unavailable',
      comment: 'Staff meeting',
    });
    expect(blocked.status, blocked.text).toBe(200);
    await put(clinic.system, schedule('house', 'house', { active: false }));
    await generateSlots(partsOf(kairos));
    expect(
      await rowsOf(kairos, `select id, status from slot where schedule = 'Schedule/house' and start > now()`),
    ).toEqual([[id, 'busy-unavailable']]);
    await put(clinic.system, schedule('house', 'house'));
    await generateSlots(partsOf(kairos));
    expect((await clinic.staff('GET', `Slot/${id}`)).body['comment']).toBe('Staff meeting');
  });
});

test('free Slots of more than a week ago are forgotten, taken ones are kept', async () => {
  await kairos.pool.query(
    `update slot set start = start - interval '70 days', "end" = "end" - interval '70 days' where schedule = 'Schedule/grey'`,
  );
  await kairos.pool.query(
    `update slot set status = 'busy' where id = (select id from slot where schedule = 'Schedule/grey' order by start limit 1)`,
  );
  const [[old] = []] = await rowsOf(
    kairos,
    `select count(*) from slot where schedule = 'Schedule/grey' and status = 'free' and start < now() - interval '7 days'`,
  );
  expect(await sweepSlots(partsOf(kairos), undefined)).toBe(Number(old));
  expect(await rowsOf(kairos, `select count(*) from slot where start < now() - interval '7 days'`)).toEqual([['1']]);
});
