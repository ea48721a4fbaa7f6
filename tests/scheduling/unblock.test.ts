/** `Schedule/[id]/$unblock`: blocked time is given back, whole blocks or parts of them. https://hl7.org/fhir/R4/slot.html */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json } from '../http/client.ts';
import { deadlocksIn } from '../../src/bench/storm/stage.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { slotId } from '../../src/scheduling/slot-id.ts';
import {
  at,
  done,
  entries,
  idOf,
  ofMode,
  openClinic,
  params,
  put,
  referring,
  said,
  schedule,
  starts,
  visit,
  workdays,
  type Clinic,
} from './clinic.ts';
import { generateAsAsked, untrue } from './slots.ts';

let database: TestDatabase;
let clinic: Clinic;
beforeAll(async () => {
  database = await createTestDatabase();
  clinic = await openClinic({ roles: database });
  await put(clinic.system, schedule('grey-too', 'grey'));
  await generateAsAsked(clinic.server.kairos);
});
afterAll(() => database.drop());
const nextDay = workdays(7);

const moment = (name: string, valueDateTime: string): object => ({ name, valueDateTime });
const scope = (valueCode: string): object => ({ name: 'scope', valueCode });
const dryRun = { name: 'dry-run', valueBoolean: true };
const span = (day: string, from: string, to: string): object[] => [
  moment('start', at(day, from)),
  moment('end', at(day, to)),
];
const call = (name: string, ...parameter: readonly object[]): Promise<Answer> =>
  clinic.staff('POST', `Schedule/grey/$${name}`, params(...parameter));
const of = (answer: Answer, mode: 'match' | 'include' | 'outcome'): Json[] => ofMode(done(answer), mode);
const block = async (day: string, from: string, to: string, ...more: readonly object[]): Promise<Json> =>
  of(await call('block', ...span(day, from, to), ...more), 'match')[0] ?? {};
const word = (slot: Json): string => `${String(slot['start']).slice(11, 16)}-${String(slot['end']).slice(11, 16)}`;
/** Blocks of a day, as the search finds them. */
const blocks = async (day: string, schedule = 'grey'): Promise<string[]> => {
  const list = await clinic.staff(
    'GET',
    `Slot?schedule=Schedule/${schedule}&start=ge${at(day, '00:00')}&start=lt${at(day, '23:59')}&status=busy-unavailable&_count=200&identifier:missing=false`,
  );
  return entries(done(list)).map((e) => word(e['resource'] as Json));
};
const free = (day: string): Promise<string[]> => starts(clinic.nobody, day, 'schedule=Schedule/grey');
const words = (answer: Answer): string =>
  of(answer, 'outcome')
    .map((o) => JSON.stringify(o))
    .join(' ');
const named = (slot: Json): object => referring('slot', `Slot/${String(slot['id'])}`);

describe('a span', () => {
  test('inside a block splits it', async () => {
    const day = nextDay();
    const whole = await block(day, '09:00', '12:00', { name: 'comment', valueString: 'course' });
    const answer = await call('unblock', ...span(day, '10:00', '10:30'));
    const [[cut], [rest]] = [of(answer, 'match'), of(answer, 'include')];
    expect([cut?.['id'], cut && word(cut), rest && word(rest)]).toEqual([whole['id'], '09:00-10:00', '10:30-12:00']);
    expect(rest).toMatchObject({ comment: 'course', extension: whole['extension'], status: 'busy-unavailable' });
    expect(await blocks(day)).toEqual(['09:00-10:00', '10:30-12:00']);
    expect((await free(day)).slice(0, 2)).toEqual(['10:00', '13:00']);
  });

  test('over an end of it shortens it; what lies in it is removed; what only touches it stays', async () => {
    const day = nextDay();
    for (const [from, to] of [
      ['09:00', '10:00'],
      ['10:00', '10:30'],
      ['11:00', '12:00'],
      ['13:00', '14:00'],
    ] as const)
      await block(day, from, to);
    const answer = await call('unblock', ...span(day, '09:30', '11:30'));
    expect(of(answer, 'match').map(word)).toEqual(['09:00-09:30', '10:00-10:30', '11:30-12:00']);
    expect(of(answer, 'include')).toEqual([]);
    expect(words(answer)).toMatch(/is cut.*is removed.*is cut/);
    expect(await blocks(day)).toEqual(['09:00-09:30', '11:30-12:00', '13:00-14:00']);
    expect(await free(day)).toEqual([
      '09:30',
      '10:00',
      '10:30',
      '11:00',
      '14:00',
      '14:30',
      '15:00',
      '15:30',
      '16:00',
      '16:30',
    ]);
  });

  test('of dates: the whole days, by the clock of the place', async () => {
    const [first, second, third] = [nextDay(), nextDay(), nextDay()];
    done(await call('block', moment('start', first), moment('end', third)));
    done(await call('unblock', moment('start', second), moment('end', second)));
    expect([(await free(first)).length, (await free(second)).length, (await free(third)).length]).toEqual([0, 14, 0]);
  });

  test('in which nothing is blocked: nothing happens', async () => {
    const day = nextDay();
    expect((await call('unblock', ...span(day, '09:00', '12:00'))).body).toMatchObject({ total: 0 });
  });
});

test('a dry run says what would become of them', async () => {
  const day = nextDay();
  const [long, short] = [await block(day, '09:00', '12:00'), await block(day, '13:00', '14:00')];
  const before = await clinic.sql('select id, version from slot order by id');
  const answer = await call('unblock', ...span(day, '10:00', '15:00'), dryRun);
  expect(of(answer, 'match').map((s) => `${String(s['id'])} ${word(s)}`)).toEqual([
    `${String(long['id'])} 09:00-10:00`,
    `${String(short['id'])} 13:00-14:00`,
  ]);
  expect(words(answer)).toMatch(/is cut: Schedule\/grey stays blocked.*is removed/);
  const split = await call('unblock', ...span(day, '10:00', '10:30'), dryRun);
  expect(of(split, 'include').map((s) => `${String(s['id'])} ${word(s)}`)).toEqual(['undefined 10:30-12:00']);
  expect(await clinic.sql('select id, version from slot order by id')).toEqual(before);
});

describe('by name', () => {
  test('the whole of it, or what of it lies in a span; others stay', async () => {
    const day = nextDay();
    const [first, second] = [await block(day, '09:00', '10:00'), await block(day, '09:00', '10:00')];
    done(await call('unblock', named(first), ...span(day, '09:30', '10:00')));
    expect(await blocks(day)).toEqual(['09:00-09:30', '09:00-10:00']);
    done(await call('unblock', named(second)));
    expect(await blocks(day)).toEqual(['09:00-09:30']);
    expect((await free(day))[0]).toBe('09:30');
  });

  test('what blocks nothing here is refused, and nothing is done', async () => {
    const day = nextDay();
    const mine = await block(day, '09:00', '10:00');
    const own = slotId('Schedule/grey', 'HealthcareService/visit', Date.parse(at(day, '13:00')));
    const theirs =
      of(await clinic.staff('POST', 'Schedule/house/$block', params(...span(day, '09:00', '10:00'))), 'match')[0] ?? {};
    for (const odd of [referring('slot', `Slot/${own}`), named(theirs), referring('slot', 'Slot/nothing')]) {
      const answer = await call('unblock', named(mine), odd);
      expect([answer.status, answer.body['issue']?.[0]?.['expression']?.[0]], said(answer)).toEqual([422, 'slot']);
    }
    expect(await blocks(day)).toEqual(['09:00-10:00']);
  });
});

describe('scope', () => {
  test('one Schedule, or all of the practitioner', async () => {
    const day = nextDay();
    await block(day, '09:00', '10:00', scope('all'));
    expect([await blocks(day), await blocks(day, 'grey-too')]).toEqual([['09:00-10:00'], ['09:00-10:00']]);
    done(await call('unblock', ...span(day, '09:00', '09:30')));
    expect([await blocks(day), await blocks(day, 'grey-too')]).toEqual([['09:30-10:00'], ['09:00-10:00']]);
    done(await call('unblock', ...span(day, '09:00', '09:40'), scope('all')));
    expect([await blocks(day), await blocks(day, 'grey-too')]).toEqual([['09:40-10:00'], ['09:40-10:00']]);
  });

  test('what was blocked in one act goes together', async () => {
    const day = nextDay();
    const [one, other] = [
      await block(day, '09:00', '10:00', scope('all')),
      await block(day, '11:00', '12:00', scope('all')),
    ];
    done(await call('unblock', named(one), scope('all')));
    expect([await blocks(day), await blocks(day, 'grey-too')]).toEqual([['11:00-12:00'], ['11:00-12:00']]);
    done(await call('unblock', named(other)));
    expect([await blocks(day), await blocks(day, 'grey-too')]).toEqual([[], ['11:00-12:00']]);
  });

  test('only blocks of some services', async () => {
    const day = nextDay();
    await block(day, '09:00', '10:00');
    await block(day, '09:00', '12:00', referring('service', 'HealthcareService/visit'));
    done(await call('unblock', ...span(day, '08:00', '18:00'), scope('service')));
    expect(await blocks(day)).toEqual(['09:00-10:00']);
  });
});

test('a Slot of the rules that somebody has blocked is what the rules say again; its rest stays blocked', async () => {
  const day = nextDay();
  const id = slotId('Schedule/grey', 'HealthcareService/visit', Date.parse(at(day, '09:00')));
  const stored = async (): Promise<Json> => done(await clinic.staff('GET', `Slot/${id}`)).body;
  const set = async (status: string): Promise<Answer> =>
    clinic.staff('PUT', `Slot/${id}`, { ...(await stored()), status, comment: 'mine' });
  done(await set('busy-unavailable'));
  expect((await free(day))[0]).toBe('09:30');
  done(await call('unblock', ...span(day, '09:00', '09:15')));
  expect([(await stored())['status'], (await stored())['comment'], (await free(day))[0]]).toEqual([
    'busy-unavailable',
    undefined,
    '09:30',
  ]);
  done(await call('unblock', ...span(day, '09:15', '09:30')));
  expect([(await stored())['status'], (await free(day))[0]]).toEqual(['free', '09:00']);
  expect(await untrue(clinic.server.kairos)).toEqual([]);
});

test('what is asked for must be said', async () => {
  const day = nextDay();
  const expressions = async (...parameter: object[]): Promise<unknown[]> => {
    const answer = await call('unblock', ...parameter);
    return [answer.status, answer.body['issue']?.[0]?.['expression']?.[0]];
  };
  expect(await expressions()).toEqual([400, 'slot']);
  expect(await expressions(moment('start', day))).toEqual([400, 'end']);
  expect(await expressions(moment('end', day))).toEqual([400, 'start']);
  expect(await expressions(...span(day, '12:00', '11:00'))).toEqual([400, 'end']);
  expect((await clinic.ann('POST', 'Schedule/grey/$unblock', params(...span(day, '09:00', '10:00')))).status).toBe(403);
});

test('beside bookings, moves and cancellations all Slots are true', async () => {
  const day = nextDay();
  const times = ['09:00', '09:30', '10:00', '10:30', '11:00', '11:30'];
  const booked: string[] = [];
  const random = <T>(list: readonly T[]): T | undefined => list[Math.floor(Math.random() * list.length)];
  const acts: (() => Promise<Answer>)[] = [
    () => call('block', ...span(day, random(times) ?? '09:00', '12:00')),
    () => call('unblock', ...span(day, random(times) ?? '09:00', '12:00'), scope('all')),
    () => call('unblock', ...span(day, '09:10', random(times.slice(1)) ?? '12:00')),
    async () => {
      const answer = await clinic.staff('POST', 'Appointment', visit({ start: at(day, random(times) ?? '09:00') }));
      if (answer.status === 201) booked.push(idOf(answer));
      return answer;
    },
    () => clinic.staff('POST', `Appointment/${random(booked) ?? 'nothing'}/$cancel`, params()),
    () =>
      clinic.staff(
        'POST',
        `Appointment/${random(booked) ?? 'nothing'}/$reschedule`,
        params(moment('start', at(day, random(times) ?? '09:00'))),
      ),
  ];
  const seen = new Set<number>();
  await Promise.all(
    Array.from({ length: 12 }, async (_, worker) => {
      for (let i = 0; i < 12; i++) {
        const answer = await acts[(worker + i) % acts.length]?.();
        seen.add(answer?.status ?? 0);
        expect([200, 201, 404, 409, 412, 422], answer?.text).toContain(answer?.status);
      }
    }),
  );
  expect(seen.has(201) && seen.has(409)).toBe(true);
  expect(await untrue(clinic.server.kairos)).toEqual([]);
});

test('there was no deadlock', async () => {
  // Sessions tell at the latest when they end.
  await clinic.close();
  expect(await deadlocksIn(database.superuser)).toBe(0);
});
