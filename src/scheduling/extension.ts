/** Reads and writes extensions. @see https://hl7.org/fhir/R4/extensibility.html */
import type { Duration, Extension } from '@medplum/fhirtypes';

/** Whatever bears extensions. */
export interface Extended {
  readonly extension?: readonly Extension[];
}

export const extensionOf = (from: Extended | undefined, url: string): Extension | undefined =>
  from?.extension?.find((e) => e.url === url);

export const extensionsOf = (from: Extended | undefined, url: string): readonly Extension[] =>
  from?.extension?.filter((e) => e.url === url) ?? [];

/** The extensions without those of some URLs. */
export const withoutExtensions = (from: Extended, ...urls: readonly string[]): Extension[] =>
  from.extension?.filter((e) => !urls.includes(e.url)) ?? [];

/** As an element holds them: never an empty list. */
export const asExtensions = (list: readonly Extension[]): { extension?: Extension[] } =>
  list.length > 0 ? { extension: [...list] } : {};

/** `HH:MM:SS` as minutes from midnight. */
export function minutesOfTime(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
}

const MINUTES_OF_UNIT: Readonly<Record<string, number>> = { s: 1 / 60, min: 1, h: 60, d: 1440, wk: 10_080 };

/** A Duration in minutes; undefined where its unit is none of s, min, h, d, wk. */
export function minutesOf(duration: Duration | undefined): number | undefined {
  if (duration?.value === undefined) return undefined;
  const unit = MINUTES_OF_UNIT[duration.code ?? duration.unit ?? ''];
  return unit === undefined ? undefined : duration.value * unit;
}
