/** Time off: whole local days, instants, and what recurs. Scheduling semantics D6 to D9. */
import { describe, expect, test } from 'vitest';
import { blocksBetween } from '../../../src/scheduling/model/availability.ts';
import { type Calendar, WEEKDAYS } from '../../../src/scheduling/model/rules.ts';
import { zoneNamed } from '../../../src/scheduling/model/zone.ts';
import { at, calendar, HOUR, instant, written } from './calendars.ts';

describe('time off', () => {
  const [from, to] = [instant('2026-06-01 00:00'), instant('2026-07-01 00:00')];
  const blocked = (notAvailable: Calendar['notAvailable'], service?: string): string[] =>
    written(blocksBetween(calendar([], { notAvailable }), from, to, service));

  test('dates are whole local days, the last one included', () => {
    expect(blocked([{ from: '2026-06-10', until: '2026-06-11' }])).toEqual(['2026-06-10 00:00 to 2026-06-12 00:00']);
    const [day] = blocksBetween(
      calendar([], { notAvailable: [{ from: '2026-03-08', until: '2026-03-08' }] }),
      instant('2026-03-01 00:00'),
      to,
    );
    expect(day && (day.end - day.start) / HOUR).toBe(23);
  });

  test('instants are half-open', () => {
    const off = { from: instant('2026-06-10 10:00'), until: instant('2026-06-10 11:30') };
    expect(blocked([off])).toEqual(['2026-06-10 10:00 to 2026-06-10 11:30']);
    const of = calendar([], { notAvailable: [off] });
    expect(blocksBetween(of, off.until, off.until + HOUR)).toEqual([]);
    expect(blocksBetween(of, off.until - 1, off.until)).toHaveLength(1);
    expect(blocksBetween(of, off.from - HOUR, off.from)).toEqual([]);
  });

  test('a side left out is open', () => {
    const [block] = blocksBetween(calendar([], { notAvailable: [{ from: '2026-06-10' }] }), from, to);
    expect(block).toMatchObject({ start: instant('2026-06-10 00:00'), end: Infinity });
  });

  test('recurs on its days and at its times, within its span', () => {
    const recurrence = { days: ['tue', 'thu'] as const, start: at('13:00'), end: at('15:00'), everyWeeks: 1 };
    expect(blocked([{ from: '2026-06-04', until: '2026-06-11', recurrence }])).toEqual([
      '2026-06-04 13:00 to 2026-06-04 15:00',
      '2026-06-09 13:00 to 2026-06-09 15:00',
      '2026-06-11 13:00 to 2026-06-11 15:00',
    ]);
  });

  test('recurs every second week from that of its start', () => {
    const recurrence = { days: ['mon'] as const, start: at('13:00'), end: at('15:00'), everyWeeks: 2 };
    expect(blocked([{ from: '2026-06-03', recurrence }])).toEqual([
      '2026-06-15 13:00 to 2026-06-15 15:00',
      '2026-06-29 13:00 to 2026-06-29 15:00',
    ]);
  });

  test('recurs past midnight, also out of the day before the span that is asked for', () => {
    const recurrence = { days: ['sun'] as const, start: at('22:00'), end: at('04:00'), everyWeeks: 1 };
    expect(blocked([{ until: '2026-06-06', recurrence }])).toEqual(['2026-05-31 22:00 to 2026-06-01 04:00']);
    expect(blocked([{ from: from + HOUR, until: from + 2 * HOUR, recurrence }])).toEqual([
      '2026-06-01 01:00 to 2026-06-01 02:00',
    ]);
  });

  test('of some services is no time off from others', () => {
    const off = { from: '2026-06-10', until: '2026-06-10', services: ['HealthcareService/a'], description: 'Course' };
    expect(blocked([off], 'HealthcareService/a')).toHaveLength(1);
    expect(blocked([off], 'HealthcareService/b')).toEqual([]);
    expect(blocked([off])).toEqual([]);
    expect(blocksBetween(calendar([], { notAvailable: [off] }), from, to, 'HealthcareService/a')[0]?.why).toBe(off);
  });

  test('goes by the zone of the calendar', () => {
    const of = calendar([], { zone: 'Asia/Tokyo', notAvailable: [{ from: '2026-06-10', until: '2026-06-10' }] });
    expect(blocksBetween(of, from, to)[0]?.start).toBe(zoneNamed('Asia/Tokyo').instantOf('2026-06-10', 0, 'start'));
  });

  test('time off covers both midnights of Havana', () => {
    const days = [
      { from: '2026-11-01', until: '2026-11-01' },
      { from: '2026-10-31', until: '2026-10-31' },
    ];
    const of = calendar([], { zone: 'America/Havana', notAvailable: days });
    const [before, after] = blocksBetween(of, Date.UTC(2026, 9, 30), Date.UTC(2026, 10, 3));
    expect(before?.end).toBe(Date.UTC(2026, 10, 1, 5));
    expect(after?.start).toBe(Date.UTC(2026, 10, 1, 4));
  });

  test('recurring time off is as long as the day has it', () => {
    const recurrence = { days: WEEKDAYS, start: at('01:00'), end: at('01:30'), everyWeeks: 1 };
    const of = calendar([], { notAvailable: [{ from: '2026-11-01', until: '2026-11-01', recurrence }] });
    const [block] = blocksBetween(of, instant('2026-11-01 00:00'), instant('2026-11-02 00:00'));
    expect(block && (block.end - block.start) / HOUR).toBe(1.5);
  });
});
