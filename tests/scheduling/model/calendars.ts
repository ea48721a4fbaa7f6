/** Calendars and parameters for the tests of the model, of which each test says only what it is about. */
import {
  type Calendar,
  DEFAULT_PARAMETERS,
  type Parameters,
  type WeeklyRule,
  WEEKDAYS,
} from '../../../src/scheduling/model/rules.ts';
import { zoneNamed } from '../../../src/scheduling/model/zone.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const NEW_YORK = 'America/New_York';

/** `09:30` in minutes. */
export const at = (clock: string): number => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));

export const rule = (start: string, end: string, more: Partial<WeeklyRule> = {}): WeeklyRule => ({
  id: `${start}-${end}`,
  days: WEEKDAYS,
  everyWeeks: 1,
  breaks: [],
  start: at(start),
  end: at(end),
  ...more,
});

export const calendar = (rules: readonly WeeklyRule[], more: Partial<Calendar> = {}): Calendar => ({
  zone: NEW_YORK,
  rules,
  overrides: [],
  holidays: [],
  notAvailable: [],
  weekStart: 'mon',
  ...more,
});

export const parameters = (more: Partial<Parameters> = {}): Parameters => ({ ...DEFAULT_PARAMETERS, ...more });

/** `2026-06-10 09:00` of a zone, as an instant. */
export const instant = (local: string, zone = NEW_YORK): number =>
  zoneNamed(zone).instantOf(local.slice(0, 10), at(local.slice(11)), 'start');

/** Spans as `2026-06-10 09:00 to 2026-06-10 17:00` of a zone. */
export const written = (list: readonly { start: number; end: number }[], zone = NEW_YORK): string[] => {
  const label = (moment: number): string => zoneNamed(zone).format(moment).slice(0, 16).replace('T', ' ');
  return list.map(({ start, end }) => `${label(start)} to ${label(end)}`);
};
