/** How much there is to measure on. */
import type { CalendarSize } from './calendars.ts';
import type { Size } from './population.ts';

export interface Scale {
  readonly size: Size;
  readonly calendars: CalendarSize;
  /** Resources that are imported. */
  readonly imported: number;
}

export const FULL: Scale = {
  size: {
    patients: 100_000,
    schedules: 1000,
    slotsPerSchedule: 1000,
    practitioners: 200,
    appointmentsPerPractitioner: 400,
  },
  calendars: { calendars: 1000, perService: 5 },
  imported: 50_000,
};

export const QUICK: Scale = {
  size: {
    patients: 10_000,
    schedules: 100,
    slotsPerSchedule: 1000,
    practitioners: 50,
    appointmentsPerPractitioner: 200,
  },
  calendars: { calendars: 100, perService: 5 },
  imported: 10_000,
};

export const SMALL: Size = {
  patients: 100,
  schedules: 10,
  slotsPerSchedule: 1000,
  practitioners: 5,
  appointmentsPerPractitioner: 1,
};
