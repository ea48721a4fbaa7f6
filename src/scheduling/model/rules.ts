/**
 * The words of the model: when somebody is there, and how visits are laid into that time. Minutes are minutes of wall clock from local midnight.
 * @see https://hl7.org/fhir/R5/metadatatypes.html#Availability
 */

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

/** Who asks: patients (and who acts for them), or those who work here. */
export const CHANNELS = ['patient', 'staff'] as const;
export type Channel = (typeof CHANNELS)[number];

/** Wall-clock minutes; `end <= start` runs past midnight. */
export interface Break {
  readonly start: number;
  readonly end: number;
  readonly name?: string;
}

/** `allDay` is 0 to 1440; `end <= start` ends on the next day. */
export interface Hours {
  readonly start: number;
  readonly end: number;
  readonly breaks: readonly Break[];
  /** `HealthcareService/x`; left out: for all. */
  readonly services?: readonly string[];
  readonly capacity?: number;
}

export interface WeeklyRule extends Hours {
  readonly id: string;
  readonly days: readonly Weekday[];
  /** Inclusive local dates. */
  readonly from?: string;
  readonly until?: string;
  readonly everyWeeks: number;
  /** Any date in a week that counts, when not each does. */
  readonly weekOf?: string;
  readonly zone?: string;
}

/** Replaces the hours of one date; none: closed. */
export interface DateOverride {
  readonly date: string;
  readonly description?: string;
  readonly hours: readonly Hours[];
}

export interface Holiday {
  readonly date: string;
  readonly name: string;
  /** On this day and month of each year. */
  readonly yearly: boolean;
}

/** Time off. Strings are whole local days, inclusive; numbers are instants, half-open; a side left out is open. */
export interface NotAvailable {
  readonly id?: string;
  /** For staff only. */
  readonly description?: string;
  readonly reason?: string;
  readonly from?: string | number | undefined;
  readonly until?: string | number | undefined;
  /** Not the whole span, but these hours of these days in it. Weeks are counted from that of `from`. */
  readonly recurrence?: {
    readonly days: readonly Weekday[];
    readonly start: number;
    readonly end: number;
    readonly everyWeeks: number;
  };
  readonly services?: readonly string[];
}

export interface Calendar {
  readonly zone: string;
  /** The season that all of it holds for: inclusive local dates. */
  readonly from?: string;
  readonly until?: string;
  readonly rules: readonly WeeklyRule[];
  readonly overrides: readonly DateOverride[];
  /** Empty when they are worked through. */
  readonly holidays: readonly Holiday[];
  readonly notAvailable: readonly NotAvailable[];
  readonly weekStart: Weekday;
}

/** "24 hours" is elapsed time, "1 day" is a day of the calendar at the place. */
export type Notice =
  { readonly unit: 'elapsed'; readonly ms: number } | { readonly unit: 'days'; readonly days: number };

/** How far ahead may be booked: the last day is so many days ahead, or this date. With `opensAt` (minutes) the last day opens at that local time. */
export interface Horizon {
  readonly days?: number;
  readonly until?: string;
  readonly opensAt?: number;
}

export interface Cap {
  readonly of: 'provider' | 'service' | 'patient' | 'new-patient';
  readonly per: 'day' | 'week' | 'month';
  readonly limit: number;
}

/** How visits are laid into hours. Lengths in minutes unless the name says otherwise. */
export interface Parameters {
  readonly duration: number;
  readonly interval: number;
  readonly offset: number;
  readonly before: number;
  readonly after: number;
  /** Buffers must lie in the hours and outside time off, too. */
  readonly strictBuffers: boolean;
  readonly bufferIntoBreak: boolean;
  readonly notice: Readonly<Record<Channel, Notice>>;
  readonly horizon: Horizon;
  readonly cancelNotice: Notice;
  readonly lateCancel?: Notice;
  readonly caps: readonly Cap[];
  readonly capacity: number;
  readonly channels: readonly Channel[];
  readonly mode: 'booked' | 'pending' | 'waitlist';
  readonly noFrontDesk: boolean;
  readonly selfCheckInMs?: number;
  readonly noShowAfterMs?: number;
  readonly holdMinutes?: number;
  readonly weekStart?: Weekday;
}

const HOUR = 3_600_000;

export const DEFAULT_PARAMETERS: Parameters = {
  duration: 30,
  interval: 30,
  offset: 0,
  before: 0,
  after: 0,
  strictBuffers: false,
  bufferIntoBreak: true,
  notice: { patient: { unit: 'elapsed', ms: 2 * HOUR }, staff: { unit: 'elapsed', ms: 0 } },
  horizon: { days: 60 },
  cancelNotice: { unit: 'elapsed', ms: 0 },
  caps: [],
  capacity: 1,
  channels: ['patient', 'staff'],
  mode: 'booked',
  noFrontDesk: false,
};
