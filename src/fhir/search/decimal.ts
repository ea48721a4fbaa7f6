/** Decimals of any length, exactly: `m · 10^e`. @see https://hl7.org/fhir/R4/search.html#number */
export interface Decimal {
  readonly m: bigint;
  readonly e: number;
}

const FORM = /^([+-]?)(\d{1,40})(?:\.(\d{1,40}))?(?:[eE]([+-]?\d{1,3}))?$/;

/** @returns undefined when the text is no decimal of a reasonable size */
export function parseDecimal(text: string): Decimal | undefined {
  const found = FORM.exec(text);
  if (!found) return undefined;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = found;
  const e = Number(exponent) - fraction.length;
  if (Math.abs(e) > 400) return undefined;
  const m = BigInt(whole + fraction);
  return { m: sign === '-' ? -m : m, e };
}

/** Negative, zero or positive. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  const e = Math.min(a.e, b.e);
  const left = a.m * 10n ** BigInt(a.e - e);
  const right = b.m * 10n ** BigInt(b.e - e);
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Text that PostgreSQL reads as numeric. */
export const numericText = (d: Decimal): string => `${d.m}e${d.e}`;

/** The interval that the digits of a number stand for: half a unit of the last digit below and above. */
export const precisionInterval = (d: Decimal): { readonly low: Decimal; readonly high: Decimal } => ({
  low: { m: d.m * 10n - 5n, e: d.e - 1 },
  high: { m: d.m * 10n + 5n, e: d.e - 1 },
});

/** The number and 10 % of it to both sides, for `ap`. */
export function approximately(d: Decimal): { readonly low: Decimal; readonly high: Decimal } {
  const tenth = d.m < 0n ? -d.m : d.m;
  return { low: { m: d.m * 10n - tenth, e: d.e - 1 }, high: { m: d.m * 10n + tenth, e: d.e - 1 } };
}
