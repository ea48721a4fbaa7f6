/** Generated Slots on the days on which clocks change, and as the horizon rolls on. https://hl7.org/fhir/R4/datatypes.html#instant */
import { afterEach, expect, test } from 'vitest';
import { generateSlots } from '../../src/scheduling/generate.ts';
import { availability, openClinic, put, schedule, weekly, type Clinic } from './clinic.ts';
import { mismatch, partsOf, rowsOf, snapshot } from './slots.ts';

const closing: Clinic[] = [];
afterEach(async () => {
  for (const clinic of closing.splice(0)) await clinic.close();
});

/** A clinic at another time. */
async function clinicAt(now: string): Promise<Clinic & { at(time: string): void }> {
  let time = Date.parse(now);
  const clinic = await openClinic({ clock: { now: () => time } });
  closing.push(clinic);
  return { ...clinic, at: (text) => void (time = Date.parse(text)) };
}

const daily = (start: string, end: string): object =>
  availability({
    id: 'daily',
    url: 'availableTime',
    extension: [
      { url: 'availableStartTime', valueTime: start },
      { url: 'availableEndTime', valueTime: end },
    ],
  });

async function labelsOn({ server }: Clinic, of: string, date: string): Promise<string[]> {
  const rows = await rowsOf(
    server.kairos,
    `select content::json->>'start' from slot where schedule = $1 and content::json->>'start' like $2 order by start`,
    [`Schedule/${of}`, `${date}T%`],
  );
  return rows.map(([text]) => text?.slice(11) ?? '');
}

test('a day has as many Slots as its clock has half hours', async () => {
  const spring = await clinicAt('2026-03-05T12:00:00Z');
  for (const clinic of [spring, await clinicAt('2026-10-28T12:00:00Z')]) {
    await put(clinic.system, schedule('grey', 'grey', { extension: [daily('00:00:00', '06:00:00')] }));
    await put(clinic.system, schedule('house', 'house', { extension: [daily('09:00:00', '17:00:00')] }));
    await generateSlots(partsOf(clinic.server.kairos));
    expect(await mismatch(clinic.server.kairos)).toEqual([]);
  }
  const [, autumn = spring] = closing;
  const night = await labelsOn(spring, 'grey', '2026-03-08');
  expect(night).toHaveLength(10);
  expect(night.filter((l) => l.startsWith('02:'))).toEqual([]);
  const long = await labelsOn(autumn, 'grey', '2026-11-01');
  expect(long).toHaveLength(14);
  expect(long.filter((l) => l.startsWith('01:30'))).toEqual(['01:30:00-04:00', '01:30:00-05:00']);
  expect(await labelsOn(spring, 'grey', '2026-03-07')).toHaveLength(12);
  for (const [clinic, date] of [
    [spring, '2026-03-08'],
    [autumn, '2026-11-01'],
    [spring, '2026-03-07'],
  ] as const)
    expect(await labelsOn(clinic, 'house', date)).toHaveLength(16);
});

test('the horizon rolls: at midnight of the place a further day comes, and nothing else is written', async () => {
  const clinic = await clinicAt('2026-12-01T15:00:00Z');
  const { kairos } = clinic.server;
  await generateSlots(partsOf(kairos));
  // Sixty days from Tuesday, 1 December, is Saturday, 30 January.
  const last = (): Promise<string[][]> =>
    rowsOf(kairos, `select left(max(content::json->>'start'), 10) from slot where schedule = 'Schedule/grey'`);
  expect(await last()).toEqual([['2027-01-29']]);
  const before = await snapshot(kairos);
  clinic.at('2026-12-02T04:59:00Z');
  expect(await generateSlots(partsOf(kairos))).toMatchObject({ offers: 0 });
  clinic.at('2026-12-03T05:01:00Z');
  expect(await generateSlots(partsOf(kairos))).toMatchObject({ offers: 2, created: 28, unchanged: 0, deleted: 0 });
  expect(await last()).toEqual([['2027-02-01']]);
  await kairos.pool.query(
    `delete from slot where start > '2027-01-30'; delete from outbox where id > (select max(id) - 2 from outbox)`,
  );
  expect(await snapshot(kairos)).toBe(before);
});

test('a place goes by its own midnight, a service by its own horizon', async () => {
  const clinic = await clinicAt('2026-12-01T15:00:00Z');
  const { kairos } = clinic.server;
  await put(
    clinic.system,
    schedule('house', 'house', {
      extension: [
        availability({ url: 'timezone', valueCode: 'Asia/Tokyo' }, weekly('09:00:00', '17:00:00')),
        {
          url: 'https://kairos.example/fhir/StructureDefinition/scheduling-parameters',
          extension: [{ url: 'horizon', extension: [{ url: 'days', valuePositiveInt: 7 }] }],
        },
      ],
    }),
  );
  await generateSlots(partsOf(kairos));
  // In Tokyo it is midnight of the second.
  const days = await rowsOf(
    kairos,
    `select distinct left(content::json->>'start', 10) d from slot where schedule = 'Schedule/house' order by 1`,
  );
  expect(days.flat()).toEqual(['2026-12-02', '2026-12-03', '2026-12-04', '2026-12-07', '2026-12-08', '2026-12-09']);
  expect(await mismatch(kairos)).toEqual([]);
  // Shorter still: what lies beyond goes.
  await put(
    clinic.system,
    schedule('house', 'house', {
      extension: [
        availability({ url: 'timezone', valueCode: 'Asia/Tokyo' }, weekly('09:00:00', '17:00:00')),
        {
          url: 'https://kairos.example/fhir/StructureDefinition/scheduling-parameters',
          extension: [{ url: 'horizon', extension: [{ url: 'days', valuePositiveInt: 2 }] }],
        },
      ],
    }),
  );
  expect(await generateSlots(partsOf(kairos))).toMatchObject({ created: 0, deleted: 48 });
  expect(await mismatch(kairos)).toEqual([]);
});

test('the setting bounds every horizon', async () => {
  const clinic = await openClinic({ env: { SLOT_HORIZON_DAYS: '3' } });
  closing.push(clinic);
  const { kairos } = clinic.server;
  await generateSlots(partsOf(kairos));
  const [[days] = []] = await rowsOf(kairos, `select max(start) < now() + interval '4 days' from slot`);
  expect(days).toBe('t');
});
