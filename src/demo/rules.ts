/** How the demo clinic works, as the extensions of working hours and of booking rules. See docs/availability.md and docs/booking-rules.md. */
import type { Extension } from '@medplum/fhirtypes';
import { AVAILABILITY, HOLIDAY, PARAMETERS } from '../scheduling/urls.ts';

export type Day = 'mon' | 'tue' | 'wed' | 'thu' | 'fri';

/** Working hours of a day as wall-clock times `HH:MM` at the site. */
export interface Hours {
  readonly from: string;
  readonly lunchFrom: string;
  readonly lunchTo: string;
  readonly to: string;
}

type Unit = 'min' | 'h' | 'd' | 'wk';

export const duration = (value: number, unit: Unit): NonNullable<Extension['valueDuration']> => ({
  value,
  unit,
  system: 'http://unitsofmeasure.org',
  code: unit,
});

const lasting = (url: string, value: number, unit: Unit = 'min'): Extension => ({
  url,
  valueDuration: duration(value, unit),
});

/** How a service is booked; what is left out has the usual value. Lengths in minutes. */
export interface Booking {
  readonly duration: number;
  readonly interval?: number;
  readonly bufferBefore?: number;
  readonly bufferAfter?: number;
  readonly notice?: { readonly channel: 'patient' | 'staff'; readonly value: number; readonly unit: Unit };
  readonly horizonDays?: number;
  readonly cancelNotice?: readonly [value: number, unit: Unit];
  readonly lateCancel?: readonly [value: number, unit: Unit];
  readonly cap?: {
    readonly of: 'provider' | 'service' | 'patient' | 'new-patient';
    readonly per: 'day' | 'week' | 'month';
    readonly limit: number;
  };
  readonly capacity?: number;
  readonly staffOnly?: boolean;
  readonly mode?: 'pending' | 'waitlist';
  readonly noFrontDesk?: boolean;
  readonly selfCheckIn?: number;
  readonly noShowAfter?: number;
}

export function parametersOf(rules: Booking): Extension {
  const { notice, cap, cancelNotice, lateCancel } = rules;
  const given = (url: string, value: number | undefined): Extension[] =>
    value === undefined ? [] : [lasting(url, value)];
  return {
    url: PARAMETERS,
    extension: [
      lasting('duration', rules.duration),
      ...given('interval', rules.interval),
      ...given('bufferBefore', rules.bufferBefore),
      ...given('bufferAfter', rules.bufferAfter),
      ...(notice
        ? [
            {
              url: 'minimumNotice',
              extension: [{ url: 'channel', valueCode: notice.channel }, lasting('notice', notice.value, notice.unit)],
            },
          ]
        : []),
      ...(rules.horizonDays === undefined
        ? []
        : [{ url: 'horizon', extension: [{ url: 'days', valuePositiveInt: rules.horizonDays }] }]),
      ...(cancelNotice ? [lasting('cancelNotice', ...cancelNotice)] : []),
      ...(lateCancel ? [lasting('lateCancel', ...lateCancel)] : []),
      ...(cap
        ? [
            {
              url: 'cap',
              extension: [
                { url: 'of', valueCode: cap.of },
                { url: 'per', valueCode: cap.per },
                { url: 'limit', valuePositiveInt: cap.limit },
              ],
            },
          ]
        : []),
      ...(rules.capacity === undefined ? [] : [{ url: 'capacity', valuePositiveInt: rules.capacity }]),
      ...(rules.staffOnly ? [{ url: 'channel', valueCode: 'staff' }] : []),
      ...(rules.mode ? [{ url: 'mode', valueCode: rules.mode }] : []),
      ...(rules.noFrontDesk ? [{ url: 'noFrontDesk', valueBoolean: true }] : []),
      ...given('selfCheckIn', rules.selfCheckIn),
      ...given('noShowAfter', rules.noShowAfter),
    ],
  };
}

/** Weekly hours. @param services `HealthcareService/1`: only for these */
export interface Week {
  readonly id: string;
  readonly days: readonly Day[];
  readonly hours: Pick<Hours, 'from' | 'to'> & Partial<Hours>;
  readonly services?: readonly string[];
}

const time = (url: string, value: string): Extension => ({ url, valueTime: `${value}:00` });

const windowOf = ({ id, days, hours, services = [] }: Week): Extension => ({
  id,
  url: 'availableTime',
  extension: [
    ...days.map((day) => ({ url: 'daysOfWeek', valueCode: day })),
    time('availableStartTime', hours.from),
    time('availableEndTime', hours.to),
    ...(hours.lunchFrom !== undefined && hours.lunchTo !== undefined
      ? [
          {
            url: 'break',
            extension: [
              { url: 'name', valueString: 'Lunch' },
              time('start', hours.lunchFrom),
              time('end', hours.lunchTo),
            ],
          },
        ]
      : []),
    ...services.map((reference) => ({ url: 'service', valueReference: { reference } })),
  ],
});

/** The zone and the holidays are those of the site. */
export const availabilityOf = (weeks: readonly Week[]): Extension => ({
  url: AVAILABILITY,
  extension: weeks.map(windowOf),
});

export interface Holiday {
  readonly date: string;
  readonly name: string;
  readonly yearly: boolean;
}

export const holidaysOf = (holidays: readonly Holiday[]): Extension[] =>
  holidays.map(({ date, name, yearly }) => ({
    url: HOLIDAY,
    extension: [
      { url: 'date', valueDate: date },
      { url: 'name', valueString: name },
      ...(yearly ? [{ url: 'yearly', valueBoolean: true }] : []),
    ],
  }));
