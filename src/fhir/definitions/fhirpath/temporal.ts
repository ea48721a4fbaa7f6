/**
 * Order of FHIR dates, times and numbers, where it can be told.
 * @see https://hl7.org/fhirpath/N1/#comparison
 */

interface Moment {
  /** Written fields from the largest: year, month, day, hour, minute, second with fraction. */
  readonly fields: readonly number[];
  /** Milliseconds since the epoch, for values with an offset. */
  readonly instant: number | undefined;
}

const MOMENT = /^(?:(\d{4})(?:-(\d\d)(?:-(\d\d))?)?)?(?:T?(\d\d):(\d\d):(\d\d(?:\.\d+)?))?(Z|[+-]\d\d:\d\d)?$/;

function moment(text: string): Moment | undefined {
  const match = MOMENT.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second, offset] = match;
  const fields = [year, month, day, hour, minute, second].filter((f) => f !== undefined).map(Number);
  if (offset === undefined || second === undefined) return { fields, instant: undefined };
  const [y = 0, mo = 1, d = 1, h = 0, mi = 0, s = 0] = fields;
  const sign = offset.startsWith('-') ? -1 : 1;
  const minutes = offset === 'Z' ? 0 : sign * (Number(offset.slice(1, 3)) * 60 + Number(offset.slice(4, 6)));
  const date = new Date(0);
  // Date.UTC would take the years 0 to 99 for 1900 to 1999.
  date.setUTCFullYear(y, mo - 1, d);
  date.setUTCHours(h, mi - minutes, 0, 0);
  return { fields, instant: date.getTime() + s * 1000 };
}

/**
 * Negative, zero or positive as `a` is before, at or after `b`; undefined when their precisions don't tell.
 * Two values with offsets are compared as instants, others by their written fields.
 */
export function compareMoments(a: string, b: string): number | undefined {
  const left = moment(a);
  const right = moment(b);
  if (!left || !right) return undefined;
  if (left.instant !== undefined && right.instant !== undefined) return left.instant - right.instant;
  const shared = Math.min(left.fields.length, right.fields.length);
  for (let i = 0; i < shared; i++) {
    const difference = (left.fields[i] ?? 0) - (right.fields[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.fields.length === right.fields.length ? 0 : undefined;
}
