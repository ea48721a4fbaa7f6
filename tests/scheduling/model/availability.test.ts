/** Weekly hours, seasons, overrides and holidays. Scheduling semantics D5.2 and D6 to D9. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { blocksBetween, rulesOn, windowsBetween, windowsOf } from '../../../src/scheduling/model/availability.ts';
import { merge, overlaps } from '../../../src/scheduling/model/interval.ts';
import { type Calendar, type Weekday, WEEKDAYS } from '../../../src/scheduling/model/rules.ts';
import { addDays } from '../../../src/scheduling/model/zone.ts';
import { at, calendar, HOUR, instant, rule, written } from './calendars.ts';

const hoursOf = (of: Calendar, date: string, service?: string): string[] =>
  written(windowsOf(of, date, service)).map((span) => span.replaceAll(`${date} `, ''));

const lunch = { start: at('12:00'), end: at('12:30'), name: 'Lunch' };
// 2026-06-10 is a Wednesday.

describe('weekly hours', () => {
  test('hold on their days', () => {
    const of = calendar([rule('09:00', '17:00', { days: ['mon', 'wed'] })]);
    expect(hoursOf(of, '2026-06-10')).toEqual(['09:00 to 17:00']);
    expect(hoursOf(of, '2026-06-11')).toEqual([]);
  });

  test('that end no later than they start end on the next day, and 00:00 is midnight', () => {
    expect(hoursOf(calendar([rule('22:00', '06:00')]), '2026-06-10')).toEqual(['22:00 to 2026-06-11 06:00']);
    expect(hoursOf(calendar([rule('18:00', '00:00')]), '2026-06-10')).toEqual(['18:00 to 2026-06-11 00:00']);
    expect(hoursOf(calendar([rule('00:00', '00:00')]), '2026-06-10')).toEqual(['00:00 to 2026-06-11 00:00']);
    expect(hoursOf(calendar([rule('00:00', '24:00')]), '2026-06-10')).toEqual(['00:00 to 2026-06-11 00:00']);
  });

  test('are of the day they start on', () => {
    const of = calendar([rule('22:00', '06:00', { days: ['fri'] })]);
    expect(hoursOf(of, '2026-06-12')).toHaveLength(1);
    expect(hoursOf(of, '2026-06-13')).toEqual([]);
    const [night] = windowsBetween(of, instant('2026-06-13 03:00'), instant('2026-06-13 04:00'));
    expect(written(night ? [night] : [])).toEqual(['2026-06-12 22:00 to 2026-06-13 06:00']);
  });

  test('have a season, inclusive on both sides, within that of the calendar', () => {
    const of = calendar([rule('09:00', '10:00', { from: '2026-06-02', until: '2026-06-04' })], { until: '2026-06-03' });
    const dates = ['2026-06-01', '2026-06-02', '2026-06-03', '2026-06-04'];
    expect(dates.filter((date) => windowsOf(of, date).length > 0)).toEqual(['2026-06-02', '2026-06-03']);
    expect(rulesOn(of, '2026-06-04').outOfSeason).toBe(true);
  });

  test('of every second or third week count from a week that counts, before it as well', () => {
    const weeks = (everyWeeks: number): string[] => {
      const of = calendar([rule('09:00', '10:00', { days: ['wed'], everyWeeks, weekOf: '2026-06-08' })]);
      return ['2026-05-20', '2026-05-27', '2026-06-03', '2026-06-10', '2026-06-17', '2026-06-24', '2026-07-01'].filter(
        (date) => windowsOf(of, date).length > 0,
      );
    };
    expect(weeks(2)).toEqual(['2026-05-27', '2026-06-10', '2026-06-24']);
    expect(weeks(3)).toEqual(['2026-05-20', '2026-06-10', '2026-07-01']);
  });

  test('weeks start on the day that is said', () => {
    // Sunday 14 June ends the week of the 8th where weeks start on Monday, and starts the next one where they start on Sunday.
    const on = (weekStart: Weekday): boolean =>
      windowsOf(
        calendar([rule('09:00', '10:00', { everyWeeks: 2, weekOf: '2026-06-08' })], { weekStart }),
        '2026-06-14',
      ).length > 0;
    expect([on('mon'), on('sun')]).toEqual([true, false]);
  });

  test('may be for some services only', () => {
    const of = calendar([rule('09:00', '12:00'), rule('13:00', '17:00', { services: ['HealthcareService/a'] })]);
    expect(hoursOf(of, '2026-06-10', 'HealthcareService/a')).toEqual(['09:00 to 12:00', '13:00 to 17:00']);
    expect(hoursOf(of, '2026-06-10', 'HealthcareService/b')).toEqual(['09:00 to 12:00']);
    expect(hoursOf(of, '2026-06-10')).toHaveLength(2);
  });

  test('go by the zone of the rule, when it has one', () => {
    const [window] = windowsOf(calendar([rule('09:00', '17:00', { zone: 'Asia/Tokyo', capacity: 3 })]), '2026-06-10');
    expect(window).toMatchObject({
      start: Date.UTC(2026, 5, 10),
      zone: 'Asia/Tokyo',
      capacity: 3,
      origin: { kind: 'rule', id: '09:00-17:00' },
    });
  });

  test('have breaks inside them, also after midnight', () => {
    const day = windowsOf(calendar([rule('09:00', '17:00', { breaks: [lunch] })]), '2026-06-10')[0];
    expect(day?.breaks).toEqual([
      { start: instant('2026-06-10 12:00'), end: instant('2026-06-10 12:30'), name: 'Lunch' },
    ]);
    const breaks = [
      { start: at('23:45'), end: at('00:15') },
      { start: at('02:00'), end: at('02:30') },
    ];
    const night = windowsOf(calendar([rule('22:00', '06:00', { breaks })]), '2026-06-10')[0];
    expect(written(night?.breaks ?? [])).toEqual([
      '2026-06-10 23:45 to 2026-06-11 00:15',
      '2026-06-11 02:00 to 2026-06-11 02:30',
    ]);
  });

  test('keep what of a break is inside them', () => {
    const breaks = [
      { start: at('08:30'), end: at('09:30') },
      { start: at('18:00'), end: at('18:30') },
    ];
    const [window] = windowsOf(calendar([rule('09:00', '17:00', { breaks })]), '2026-06-10');
    expect(written(window?.breaks ?? [])).toEqual(['2026-06-10 09:00 to 2026-06-10 09:30']);
  });
});

describe('on days when clocks change', () => {
  const spring = '2026-03-08';
  const autumn = '2026-11-01';
  const lengths = (start: string, end: string): (number | undefined)[] =>
    [spring, autumn].map((date) => {
      const [window] = windowsOf(calendar([rule(start, end)]), date);
      return window && (window.end - window.start) / HOUR;
    });

  test('hours are as long as the day has them', () => {
    expect(lengths('00:00', '06:00')).toEqual([5, 7]);
    expect(lengths('09:00', '17:00')).toEqual([8, 8]);
    expect(lengths('00:00', '24:00')).toEqual([23, 25]);
  });

  test('what starts or ends in the gap does so at the jump; in the fold it starts early and ends late', () => {
    expect(lengths('02:30', '04:00')).toEqual([1, 1.5]);
    expect(lengths('00:00', '02:30')).toEqual([2, 3.5]);
    expect(lengths('01:30', '03:00')).toEqual([0.5, 2.5]);
    expect(lengths('00:00', '01:30')).toEqual([1.5, 2.5]);
  });

  test('hours inside the gap are none', () => {
    expect(windowsOf(calendar([rule('02:00', '02:45')]), spring)).toEqual([]);
    expect(windowsOf(calendar([rule('02:00', '02:45')]), autumn)).toHaveLength(1);
  });

  test('a break in the fold is both times that are shown', () => {
    const breaks = [{ start: at('01:00'), end: at('01:30') }];
    const [window] = windowsOf(calendar([rule('00:00', '06:00', { breaks })]), autumn);
    expect(window?.breaks.map((each) => (each.end - each.start) / HOUR)).toEqual([1.5]);
  });

  test('a night has an hour less or more', () => {
    const night = (date: string): number => {
      const [window] = windowsOf(calendar([rule('22:00', '06:00')]), date);
      return window ? (window.end - window.start) / HOUR : 0;
    };
    expect([night('2026-03-07'), night('2026-10-31'), night('2026-06-10')]).toEqual([7, 9, 8]);
  });
});

test('windows, breaks and time off are in order, whatever that of the rules', () => {
  const breaks = [{ start: at('15:00'), end: at('15:10') }, lunch];
  const of = calendar([rule('18:00', '19:00'), rule('09:00', '17:00', { breaks })], {
    notAvailable: [{ from: '2026-06-11' }, { from: '2026-06-10', until: '2026-06-10' }],
  });
  const ascending = (list: readonly { start: number }[]): boolean =>
    list.every(({ start }, i) => i === 0 || start > (list[i - 1]?.start ?? Infinity));
  const [from, to] = [instant('2026-06-10 00:00'), instant('2026-06-13 00:00')];
  const lists = [
    windowsOf(of, '2026-06-10'),
    windowsOf(of, '2026-06-10')[0]?.breaks ?? [],
    windowsBetween(of, from, to),
    blocksBetween(of, from, to),
  ];
  expect(lists.map((list) => list.length)).toEqual([2, 2, 6, 2]);
  expect(lists.map(ascending)).toEqual([true, true, true, true]);
});

describe('overrides and holidays', () => {
  const christmas = { date: '2020-12-25', name: 'Christmas', yearly: true };
  const once = { date: '2026-06-10', name: 'Anniversary', yearly: false };
  const override = { date: '2026-12-25', hours: [{ start: at('10:00'), end: at('12:00'), breaks: [] }] };

  test('a holiday closes the rules, once or each year', () => {
    const of = calendar([rule('09:00', '17:00')], { holidays: [christmas, once] });
    expect(hoursOf(of, '2026-12-25')).toEqual([]);
    expect(hoursOf(of, '2026-06-10')).toEqual([]);
    expect(hoursOf(of, '2027-06-10')).toHaveLength(1);
    expect(rulesOn(of, '2026-12-25').holiday?.name).toBe('Christmas');
  });

  test('an override replaces the rules, and wins over the holiday', () => {
    const of = calendar([rule('09:00', '17:00')], { holidays: [christmas], overrides: [override] });
    expect(hoursOf(of, '2026-12-25')).toEqual(['10:00 to 12:00']);
    expect(windowsOf(of, '2026-12-25')[0]?.origin).toEqual({ kind: 'override' });
    expect(hoursOf(of, '2026-12-24')).toEqual(['09:00 to 17:00']);
  });

  test('an override without hours closes the date, but not the night that came into it', () => {
    const of = calendar([rule('22:00', '06:00')], { overrides: [{ date: '2026-06-10', hours: [] }] });
    expect(hoursOf(of, '2026-06-10')).toEqual([]);
    const day = windowsBetween(of, instant('2026-06-10 00:00'), instant('2026-06-11 00:00'));
    expect(written(day)).toEqual(['2026-06-09 22:00 to 2026-06-10 06:00']);
  });

  test('an override for one service closes the date for the others', () => {
    const hours = [{ start: at('10:00'), end: at('12:00'), breaks: [], services: ['HealthcareService/a'] }];
    const of = calendar([rule('09:00', '17:00')], { overrides: [{ date: '2026-06-10', hours }] });
    expect(hoursOf(of, '2026-06-10', 'HealthcareService/a')).toEqual(['10:00 to 12:00']);
    expect(hoursOf(of, '2026-06-10', 'HealthcareService/b')).toEqual([]);
  });

  test('out of season there is nothing, whatever an override says', () => {
    expect(
      hoursOf(calendar([rule('09:00', '17:00')], { overrides: [override], until: '2026-11-30' }), '2026-12-25'),
    ).toEqual([]);
  });
});

describe('windowsBetween', () => {
  test('joins hours that run on through midnight, and none that touch by day', () => {
    const [from, to] = [instant('2026-06-10 12:00'), instant('2026-06-11 12:00')];
    const whole = windowsBetween(calendar([rule('00:00', '24:00')]), from, to);
    expect(whole).toHaveLength(1);
    expect(whole[0]?.start).toBeLessThanOrEqual(from);
    expect(whole[0]?.end).toBeGreaterThanOrEqual(to + 12 * HOUR);
    const halves = windowsBetween(
      calendar([rule('08:00', '12:00'), rule('12:00', '17:00')]),
      instant('2026-06-10 00:00'),
      to,
    );
    expect(written(halves)).toEqual([
      '2026-06-10 08:00 to 2026-06-10 12:00',
      '2026-06-10 12:00 to 2026-06-10 17:00',
      '2026-06-11 08:00 to 2026-06-11 12:00',
    ]);
  });

  test('does not join hours of other services or another capacity', () => {
    const [from, to] = [instant('2026-06-10 23:00'), instant('2026-06-11 01:00')];
    const evening = rule('20:00', '24:00', { capacity: 2 });
    expect(windowsBetween(calendar([evening, rule('00:00', '04:00')]), from, to)).toHaveLength(2);
    const morning = rule('00:00', '04:00', { services: ['HealthcareService/a'] });
    expect(windowsBetween(calendar([rule('20:00', '24:00'), morning]), from, to)).toHaveLength(2);
    expect(windowsBetween(calendar([rule('20:00', '24:00'), morning]), from, to, 'HealthcareService/a')).toHaveLength(
      1,
    );
  });

  test('keeps the breaks of what it joins', () => {
    const [window] = windowsBetween(
      calendar([rule('00:00', '24:00', { breaks: [lunch] })]),
      instant('2026-06-10 00:00'),
      instant('2026-06-11 00:00'),
    );
    expect(written(window?.breaks ?? [])).toContain('2026-06-10 12:00 to 2026-06-10 12:30');
    expect(written(window?.breaks ?? [])).toContain('2026-06-11 12:00 to 2026-06-11 12:30');
  });

  test('finds hours of a zone whose date is three days back', () => {
    const of = calendar([rule('23:59', '23:59', { days: ['sun'], zone: 'Pacific/Pago_Pago' })], {
      zone: 'Pacific/Kiritimati',
    });
    const moment = instant('2026-06-10 00:58', 'Pacific/Kiritimati');
    expect(written(windowsBetween(of, moment, moment + 1), 'Pacific/Pago_Pago')).toEqual([
      '2026-06-07 23:59 to 2026-06-08 23:59',
    ]);
  });

  test('of a span of nothing is nothing', () => {
    const moment = instant('2026-06-10 10:00');
    expect(windowsBetween(calendar([rule('09:00', '17:00')]), moment, moment)).toEqual([]);
  });

  test('covers what the windows of all dates cover', () => {
    const time = fc.integer({ min: 0, max: 96 }).map((quarter) => quarter * 15);
    const zone = fc.constantFrom('America/New_York', 'Pacific/Kiritimati', 'Pacific/Pago_Pago', 'Australia/Lord_Howe');
    const anyRule = fc.record({
      start: time,
      end: time,
      zone,
      days: fc.subarray([...WEEKDAYS]),
      everyWeeks: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(
        fc.array(anyRule, { maxLength: 4 }),
        fc.integer({ min: 0, max: 700 }),
        fc.integer({ min: 0, max: 72 }),
        zone,
        (rules, hour, hours, ofCalendar) => {
          const of = calendar(
            rules.map((each, i) => ({ ...each, id: String(i), breaks: [], weekOf: '2026-03-01' })),
            { zone: ofCalendar },
          );
          const asked = { start: Date.UTC(2026, 2, 1, hour), end: Date.UTC(2026, 2, 1, hour + hours) };
          const clip = (list: readonly { start: number; end: number }[]): unknown =>
            merge(
              list.map(({ start, end }) => ({ start: Math.max(start, asked.start), end: Math.min(end, asked.end) })),
            );
          const dates = Array.from({ length: 40 }, (_, i) => addDays('2026-02-25', i));
          const found = windowsBetween(of, asked.start, asked.end);
          expect(clip(found)).toEqual(clip(dates.flatMap((date) => windowsOf(of, date))));
          expect(found.every((window) => overlaps(window, asked))).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});
