/** Why a start is not free: by the same rules as the free starts themselves. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { blocksBetween, windowsBetween } from '../../../src/scheduling/model/availability.ts';
import { type ExplainInput, explainStart } from '../../../src/scheduling/model/explain.ts';
import type { Calendar } from '../../../src/scheduling/model/rules.ts';
import { freeStarts } from '../../../src/scheduling/model/starts.ts';
import { at, calendar, instant, MINUTE, parameters, rule } from './calendars.ts';
import { anyInput } from './inputs.ts';

const lunch = { start: at('12:00'), end: at('12:30'), name: 'Lunch' };
const [from, to] = [instant('2026-06-01 00:00'), instant('2026-07-01 00:00')];
const weekdays = rule('09:00', '17:00', { days: ['mon', 'tue', 'wed', 'thu', 'fri'], breaks: [lunch] });

const question = (of: Partial<Calendar> = {}, more: Partial<ExplainInput> = {}): ExplainInput => {
  const asked = calendar([weekdays], of);
  return {
    calendar: asked,
    windows: windowsBetween(asked, from, to),
    blocks: blocksBetween(asked, from, to),
    taken: [],
    actors: ['doctor'],
    parameters: parameters(),
    from,
    to,
    earliest: from,
    latest: to,
    ...more,
  };
};
const codes = (input: ExplainInput, local: string): string[] =>
  explainStart(input, instant(local)).map(({ rule }) => rule);
const only = (input: ExplainInput, local: string) => {
  const reasons = explainStart(input, instant(local));
  expect(reasons).toHaveLength(1);
  return reasons[0];
};

test('a start is explained exactly when it is not free', () => {
  let [free, refused] = [0, 0];
  fc.assert(
    fc.property(anyInput, ({ input }) => {
      const starts = new Set(freeStarts(input));
      const asked = { ...input, calendar: calendar([]) };
      for (let start = input.from; start < input.to; start += MINUTE) {
        const reasons = explainStart(asked, start);
        if ((reasons.length === 0) !== starts.has(start))
          expect.fail(`${new Date(start).toISOString()} ${JSON.stringify(reasons)}`);
        if (starts.has(start)) free++;
        else refused++;
      }
    }),
    { numRuns: 150 },
  );
  expect(Math.min(free, refused)).toBeGreaterThan(100);
});

describe('reasons', () => {
  test('none: it is free', () => {
    expect(codes(question(), '2026-06-10 09:00')).toEqual([]);
  });

  test('outside the hours, which are told', () => {
    expect(only(question(), '2026-06-10 08:00')).toMatchObject({
      rule: 'outside-hours',
      text: 'open on 2026-06-10 from 09:00 to 17:00',
    });
    expect(only(question(), '2026-06-13 09:00')).toMatchObject({
      rule: 'outside-hours',
      text: 'no hours on 2026-06-13',
    });
  });

  test('an off week, where the hours hold in some weeks only', () => {
    const off = 'works on these days only every 2 weeks, and this is an off week';
    const other = (more: object) =>
      rule('09:00', '12:00', { days: ['wed'], everyWeeks: 2, weekOf: '2026-06-03', ...more });
    const asked = question({ rules: [other({})] });
    expect(codes(asked, '2026-06-17 09:00')).toEqual([]);
    expect(only(asked, '2026-06-10 09:00')?.text).toBe(`no hours on 2026-06-10; ${off}`);
    // Another day of the week has no hours in any week.
    expect(only(asked, '2026-06-11 09:00')?.text).toBe('no hours on 2026-06-11');
    const afternoons = question({ rules: [other({}), rule('14:00', '17:00')] });
    expect(only(afternoons, '2026-06-10 09:00')?.text).toBe(`open on 2026-06-10 from 14:00 to 17:00; ${off}`);
    expect(only(afternoons, '2026-06-10 18:00')?.text).toBe('open on 2026-06-10 from 14:00 to 17:00');
    expect(only(question({ rules: [other({ until: '2026-06-09' })] }), '2026-06-10 09:00')?.text).not.toContain(off);
    const service = 'HealthcareService/x';
    const theirs = question({ rules: [other({ services: ['HealthcareService/y'] })] }, { service });
    expect(only(theirs, '2026-06-10 09:00')?.text).toBe('no hours on 2026-06-10');
  });

  test('a holiday and an override', () => {
    const holidays = [{ date: '2026-06-10', name: 'Anniversary', yearly: false }];
    expect(only(question({ holidays }), '2026-06-10 09:00')).toMatchObject({
      rule: 'holiday',
      text: 'closed on 2026-06-10: Anniversary',
    });
    const overrides = [{ date: '2026-06-10', hours: [], description: 'Painters' }];
    expect(only(question({ holidays, overrides }), '2026-06-10 09:00')).toEqual({
      rule: 'override',
      text: 'closed on 2026-06-10',
      private: 'Painters',
    });
    const hours = [{ start: at('10:00'), end: at('11:00'), breaks: [] }];
    expect(codes(question({ overrides: [{ date: '2026-06-10', hours }] }), '2026-06-10 09:00')).toEqual(['override']);
    expect(codes(question({ overrides: [{ date: '2026-06-10', hours }] }), '2026-06-10 10:00')).toEqual([]);
    const both = [
      { date: '2026-06-10', hours: [] },
      { date: '2026-06-10', hours },
    ];
    const text = '2026-06-10 has hours of its own, and this is outside them';
    expect(only(question({ overrides: both }), '2026-06-10 09:00')).toEqual({ rule: 'override', text });
  });

  test('a season', () => {
    expect(codes(question({ until: '2026-06-09' }), '2026-06-10 09:00')).toEqual(['season']);
    const over = question({ rules: [{ ...weekdays, until: '2026-06-09' }] });
    expect(only(over, '2026-06-10 09:00')?.text).toBe('no hours on 2026-06-10; some hours hold in a season only');
  });

  test('a break, the grid, and the end of the hours', () => {
    expect(only(question(), '2026-06-10 12:00')).toMatchObject({
      rule: 'break',
      text: 'break from 12:00 to 12:30',
      private: 'Lunch',
    });
    expect(only(question(), '2026-06-10 09:10')).toMatchObject({ rule: 'grid', text: 'visits start every 30 minutes' });
    const long = question({}, { parameters: parameters({ duration: 60 }) });
    expect(only(long, '2026-06-10 16:30')).toMatchObject({ rule: 'too-long' });
    const strict = question({}, { parameters: parameters({ before: 15, strictBuffers: true }) });
    expect(only(strict, '2026-06-10 09:00')).toMatchObject({ rule: 'buffer' });
  });

  test('time off, whose cause is for staff only, and other blocks', () => {
    const notAvailable = [{ from: '2026-06-10', until: '2026-06-10', description: 'Surgery', reason: 'sick' }];
    const reason = only(question({ notAvailable }), '2026-06-10 09:00');
    expect(reason).toMatchObject({ rule: 'time-off', private: 'Surgery; sick' });
    expect(reason?.text).not.toMatch(/Surgery|sick/);
    const blocks = [{ start: instant('2026-06-10 09:00'), end: instant('2026-06-10 10:00') }];
    expect(codes(question({}, { blocks }), '2026-06-10 09:30')).toEqual(['blocked']);
  });

  test('another visit, its buffer, and whose', () => {
    const taken = [
      { start: instant('2026-06-10 10:00'), end: instant('2026-06-10 10:30'), actor: 'doctor', lane: 1, capacity: 1 },
    ];
    expect(only(question({}, { taken }), '2026-06-10 10:00')).toMatchObject({
      rule: 'taken',
      actor: 'doctor',
      text: 'taken',
      private: '10:00 to 10:30',
      during: { start: instant('2026-06-10 10:00') },
    });
    const buffered = question({}, { taken, parameters: parameters({ after: 10 }) });
    expect(only(buffered, '2026-06-10 09:30')).toMatchObject({ rule: 'buffer', actor: 'doctor' });
    const two = [...taken, ...taken].map((each, i) => ({ ...each, lane: i + 1, capacity: 2 }));
    const full = question({}, { taken: two, parameters: parameters({ capacity: 2 }) });
    expect(only(full, '2026-06-10 10:00')?.text).toMatch(/^all 2 places are taken$/);
  });

  test('of several visits, the one that it would meet itself', () => {
    const visit = (start: string, end: string) => ({
      start: instant(`2026-06-10 ${start}`),
      end: instant(`2026-06-10 ${end}`),
      actor: 'doctor',
      lane: 1,
      capacity: 1,
    });
    const taken = [visit('09:30', '10:00'), visit('10:10', '10:30')];
    const input = question({}, { taken, parameters: parameters({ before: 10 }) });
    expect(only(input, '2026-06-10 10:00')).toMatchObject({ rule: 'taken', private: '10:10 to 10:30' });
  });

  test('nothing beside what it is: what fits is no reason', () => {
    const short = question({}, { parameters: parameters({ duration: 20 }) });
    expect(codes(short, '2026-06-10 16:40')).toEqual(['grid']);
    const loose = question({}, { parameters: parameters({ before: 15, after: 15 }) });
    expect(codes(loose, '2026-06-10 09:05')).toEqual(['grid']);
    const strict = question(
      {},
      { parameters: parameters({ duration: 20, before: 15, after: 5, strictBuffers: true }) },
    );
    expect(codes(strict, '2026-06-10 09:15')).toEqual(['grid']);
    expect(codes(strict, '2026-06-10 16:35')).toEqual(['grid']);
    expect(codes(question(), '2026-06-10 17:00')).toEqual(['outside-hours']);
    const one = {
      start: instant('2026-06-13 09:00'),
      end: instant('2026-06-13 10:00'),
      actor: 'doctor',
      lane: 1,
      capacity: 2,
    };
    expect(codes(question({}, { taken: [one], parameters: parameters({ capacity: 2 }) }), '2026-06-13 09:00')).toEqual([
      'outside-hours',
    ]);
  });

  test('of several windows, the nearest to having room', () => {
    const rules = [rule('09:00', '10:30'), rule('09:30', '12:00')];
    const input = question({ rules }, { parameters: parameters({ duration: 60 }) });
    expect(codes(input, '2026-06-10 10:10')).toEqual(['grid']);
    expect(
      codes(question({ rules: rules.toReversed() }, { parameters: input.parameters }), '2026-06-10 10:10'),
    ).toEqual(['grid']);
  });

  test('notice and horizon', () => {
    const soon = question({}, { earliest: instant('2026-06-10 11:00'), latest: instant('2026-06-11 00:00') });
    expect(only(soon, '2026-06-10 09:00')).toMatchObject({
      rule: 'notice',
      text: 'too soon: the first start that may be booked is 2026-06-10 11:00',
    });
    expect(codes(soon, '2026-06-11 09:00')).toEqual(['horizon']);
  });

  test('all that speaks against it', () => {
    const holidays = [{ date: '2026-06-10', name: 'Anniversary', yearly: false }];
    const notAvailable = [{ from: '2026-06-10', until: '2026-06-10' }];
    const input = question({ holidays, notAvailable }, { earliest: to });
    expect(codes(input, '2026-06-10 09:00')).toEqual(['notice', 'holiday', 'time-off']);
  });
});
