/** The extension `scheduling-parameters` of a HealthcareService or Schedule as parameters of the model. @see https://hl7.org/fhir/R4/healthcareservice.html */
import type { Duration, Extension, HealthcareService, Schedule } from '@medplum/fhirtypes';
import {
  DEFAULT_PARAMETERS,
  WEEKDAYS,
  type Cap,
  type Channel,
  type Horizon,
  type Notice,
  type Parameters,
} from '../model/rules.ts';
import { extensionOf, extensionsOf, minutesOf, minutesOfTime } from '../extension.ts';
import { PARAMETERS } from '../urls.ts';

/** What is said; the rest comes from elsewhere. */
export type PartialParameters = { -readonly [K in keyof Parameters]?: Parameters[K] } & {
  /** `Location/1`, `Device/2`: one of them is needed. */
  pool?: readonly string[];
};

const MINUTE = 60_000;

/** Days are days of the calendar; shorter units are elapsed time. */
export function noticeOf(duration: Duration | undefined): Notice | undefined {
  const unit = duration?.code ?? duration?.unit;
  const minutes = minutesOf(duration);
  if (minutes === undefined) return undefined;
  return unit === 'd' || unit === 'wk'
    ? { unit: 'days', days: minutes / 1440 }
    : { unit: 'elapsed', ms: minutes * MINUTE };
}

const lengths = {
  duration: 'duration',
  interval: 'interval',
  offset: 'offset',
  before: 'bufferBefore',
  after: 'bufferAfter',
} as const;
const flags = ['strictBuffers', 'bufferIntoBreak', 'noFrontDesk'] as const;
const spans = { selfCheckInMs: 'selfCheckIn', noShowAfterMs: 'noShowAfter' } as const;

const isChannel = (code: string | undefined): code is Channel => code === 'patient' || code === 'staff';

function horizonOf(e: Extension): Horizon {
  const days = extensionOf(e, 'days')?.valuePositiveInt;
  const until = extensionOf(e, 'until')?.valueDate;
  const opensAt = extensionOf(e, 'opensAt')?.valueTime;
  return {
    ...(days === undefined ? {} : { days }),
    ...(until === undefined ? {} : { until }),
    ...(opensAt === undefined ? {} : { opensAt: minutesOfTime(opensAt) }),
  };
}

const OF: ReadonlySet<string> = new Set<Cap['of']>(['provider', 'service', 'patient', 'new-patient']);
const PER: ReadonlySet<string> = new Set<Cap['per']>(['day', 'week', 'month']);

function capOf(e: Extension): Cap[] {
  const of = extensionOf(e, 'of')?.valueCode ?? '';
  const per = extensionOf(e, 'per')?.valueCode ?? '';
  const limit = extensionOf(e, 'limit')?.valuePositiveInt;
  return limit !== undefined && OF.has(of) && PER.has(per)
    ? [{ of: of as Cap['of'], per: per as Cap['per'], limit }]
    : [];
}

function noticesOf(e: Extension): Parameters['notice'] | undefined {
  const found: Partial<Record<Channel, Notice>> = {};
  for (const each of extensionsOf(e, 'minimumNotice')) {
    const channel = extensionOf(each, 'channel')?.valueCode;
    const notice = noticeOf(extensionOf(each, 'notice')?.valueDuration);
    if (isChannel(channel) && notice) found[channel] = notice;
  }
  return found.patient || found.staff ? { ...DEFAULT_PARAMETERS.notice, ...found } : undefined;
}

/** One extension `scheduling-parameters`. */
export function parametersOf(e: Extension | undefined): PartialParameters {
  if (!e) return {};
  const found: PartialParameters = {};
  for (const [name, url] of Object.entries(lengths) as [keyof typeof lengths, string][]) {
    const minutes = minutesOf(extensionOf(e, url)?.valueDuration);
    if (minutes !== undefined) found[name] = minutes;
  }
  for (const [name, url] of Object.entries(spans) as [keyof typeof spans, string][]) {
    const minutes = minutesOf(extensionOf(e, url)?.valueDuration);
    if (minutes !== undefined) found[name] = minutes * MINUTE;
  }
  for (const name of flags) {
    const value = extensionOf(e, name)?.valueBoolean;
    if (value !== undefined) found[name] = value;
  }
  const notice = noticesOf(e);
  if (notice) found.notice = notice;
  const horizon = extensionOf(e, 'horizon');
  if (horizon) found.horizon = horizonOf(horizon);
  const cancelNotice = noticeOf(extensionOf(e, 'cancelNotice')?.valueDuration);
  if (cancelNotice) found.cancelNotice = cancelNotice;
  const lateCancel = noticeOf(extensionOf(e, 'lateCancel')?.valueDuration);
  if (lateCancel) found.lateCancel = lateCancel;
  const caps = extensionsOf(e, 'cap').flatMap(capOf);
  if (caps.length > 0) found.caps = caps;
  const capacity = extensionOf(e, 'capacity')?.valuePositiveInt;
  if (capacity !== undefined) found.capacity = capacity;
  const channels = extensionsOf(e, 'channel')
    .map((c) => c.valueCode)
    .filter(isChannel);
  if (channels.length > 0) found.channels = channels;
  const mode = extensionOf(e, 'mode')?.valueCode;
  if (mode === 'booked' || mode === 'pending' || mode === 'waitlist') found.mode = mode;
  const holdMinutes = extensionOf(e, 'holdMinutes')?.valuePositiveInt;
  if (holdMinutes !== undefined) found.holdMinutes = holdMinutes;
  const weekStart = WEEKDAYS.find((d) => d === extensionOf(e, 'weekStart')?.valueCode);
  if (weekStart) found.weekStart = weekStart;
  const pool = extensionsOf(e, 'resource').flatMap((r) => r.valueReference?.reference ?? []);
  if (pool.length > 0) found.pool = pool;
  return found;
}

/** Whether it says of any visits that they need a room or device of several. */
export const hasPool = (resource: HealthcareService | Schedule): boolean =>
  extensionsOf(resource, PARAMETERS).some((e) => extensionOf(e, 'resource') !== undefined);

/** What a Schedule says for a service (left out: for all of its services). */
function ofSchedule(schedule: Schedule, service: string | undefined): PartialParameters {
  const each = extensionsOf(schedule, PARAMETERS).map(
    (e) => [extensionOf(e, 'service')?.valueReference?.reference, parametersOf(e)] as const,
  );
  return Object.assign(
    {},
    ...each.filter(([of]) => of === undefined).map(([, p]) => p),
    ...each.filter(([of]) => of !== undefined && of === service).map(([, p]) => p),
  ) as PartialParameters;
}

/** The parameters of visits of a service in a Schedule: what the Schedule says wins, value by value. */
export function mergeParameters(
  schedule: Schedule,
  service: HealthcareService | undefined,
): Parameters & { readonly pool: readonly string[] } {
  const said = {
    ...parametersOf(extensionOf(service, PARAMETERS)),
    ...ofSchedule(schedule, service && `HealthcareService/${service.id ?? ''}`),
  };
  const duration = said.duration ?? DEFAULT_PARAMETERS.duration;
  return { ...DEFAULT_PARAMETERS, interval: duration, pool: [], ...said, duration };
}
