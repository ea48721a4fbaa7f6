/** Calendars that nobody should keep, each with one thing wrong. */
import { expect, test } from 'vitest';
import { calendarProblems } from '../../../src/scheduling/model/calendar-problems.ts';
import type { Calendar } from '../../../src/scheduling/model/rules.ts';
import { at, calendar, rule } from './calendars.ts';

const lunch = { start: at('12:00'), end: at('12:30'), name: 'Lunch' };

test('what is wrong with a calendar is said, and nothing of one that is right', () => {
  const atBothEnds = [
    { start: at('09:00'), end: at('09:15') },
    { start: at('16:45'), end: at('17:00') },
  ];
  const pastMidnight = [
    { start: at('23:30'), end: at('00:30') },
    { start: at('05:00'), end: at('06:00') },
  ];
  const right = calendar(
    [
      rule('09:00', '17:00', { breaks: atBothEnds, capacity: 32, everyWeeks: 2, weekOf: '2026-06-08' }),
      rule('22:00', '06:00', { breaks: pastMidnight, capacity: 1, zone: 'Asia/Tokyo' }),
      rule('00:00', '24:00', { from: '2026-06-10', until: '2026-06-10', breaks: [lunch] }),
      rule('08:00', '08:00', { breaks: [{ start: at('07:00'), end: at('08:00') }] }),
    ],
    {
      from: '2026-06-10',
      until: '2026-06-10',
      notAvailable: [{ from: '2026-06-10' }, { until: 5 }, { from: '2026-06-10', until: 5 }, { from: 5, until: 6 }],
    },
  );
  expect([...calendarProblems(right)]).toEqual([]);
  const wrong: [Calendar, RegExp][] = [
    [calendar([], { zone: 'Mars/Olympus' }), /no time zone Mars/],
    [calendar([], { from: '2026-02-01', until: '2026-01-01' }), /season ends before/],
    [calendar([rule('09:00', '17:00'), rule('09:00', '17:00')]), /same id/],
    [calendar([rule('09:00', '17:00', { days: [] })]), /on no day/],
    [calendar([rule('09:00', '17:00', { zone: 'Nowhere' })]), /no time zone Nowhere/],
    [calendar([rule('09:00', '17:00', { from: '2026-02-01', until: '2026-01-01' })]), /ends before it begins/],
    [calendar([rule('09:00', '17:00', { everyWeeks: 2 })]), /needs weekOf/],
    [calendar([rule('09:00', '17:00', { everyWeeks: 0 })]), /1 or more/],
    [calendar([rule('09:00', '17:00', { capacity: 33 })]), /capacity/],
    [calendar([rule('09:00', '25:00')]), /from 00:00 to 24:00/],
    [
      calendar([rule('09:00', '17:00', { breaks: [{ start: at('16:30'), end: at('17:30') }] })]),
      /16:30 to 17:30 is not inside/,
    ],
    [calendar([rule('09:00', '17:00', { breaks: [{ start: at('08:00'), end: at('08:30') }] })]), /not inside/],
    [calendar([rule('09:00', '17:00', { breaks: [{ start: at('12:00'), end: at('12:00') }] })]), /is empty/],
    [
      calendar([], { overrides: [{ date: '2026-06-10', hours: [{ start: 0, end: 60, breaks: [], capacity: 0 }] }] }),
      /override of 2026-06-10/,
    ],
    [
      calendar([], { notAvailable: [{ id: 'a', from: '2026-06-10', until: '2026-06-09' }] }),
      /time off a: it ends before/,
    ],
    [calendar([], { notAvailable: [{ from: 5, until: 5 }] }), /ends before/],
    [
      calendar([], { notAvailable: [{ recurrence: { days: ['mon'], start: 0, end: 60, everyWeeks: 2 } }] }),
      /needs a start/,
    ],
    [calendar([], { notAvailable: [{ recurrence: { days: [], start: 0, end: 60, everyWeeks: 1 } }] }), /on no day/],
  ];
  for (const [of, problem] of wrong) {
    const found = [...calendarProblems(of)];
    expect(found, String(problem)).toHaveLength(1);
    expect(found[0]).toMatch(problem);
  }
});
