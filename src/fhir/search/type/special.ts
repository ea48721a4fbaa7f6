/** `near`: the position of a Location. @see https://hl7.org/fhir/R4/location.html#positional */
import { and, or, sql, type Sql } from '../../../platform/database/sql.ts';
import type { NearValue, Value } from '../criteria.ts';
import { splitEscaped, unescape } from '../escape.ts';
import { badValue, shown, type ColumnKind, type SearchKind } from '../kind.ts';
import { asObject, eachValue } from '../values.ts';

export const specialColumns: ColumnKind = {
  shapes: () => [
    { suffix: 'latitude', sqlType: 'double precision', index: 'btree' },
    { suffix: 'longitude', sqlType: 'double precision', index: 'none' },
  ],
  extractor: (param) => (resource, out, at) =>
    eachValue(resource, param, (value) => {
      const { latitude, longitude } = asObject(value) ?? {};
      if (typeof latitude !== 'number' || typeof longitude !== 'number') return;
      out[at] = String(latitude);
      out[at + 1] = String(longitude);
    }),
};

/** Kilometres in a unit of UCUM. @see https://ucum.org/ucum */
const KILOMETRES: Readonly<Record<string, number>> = {
  km: 1,
  m: 0.001,
  '[mi_us]': 1.609347219,
  '[mi_i]': 1.609344,
  '[nmi_i]': 1.852,
  '[ft_i]': 0.0003048,
};
/** Without a distance, what counts as near is for the server to say. */
const NEAR_KM = 50;
const EARTH_KM = 6371;
const RADIANS = Math.PI / 180;

function inDegrees(text: string | undefined, limit: number, name: string, what: string): number {
  const value = text === undefined || !/^-?\d{1,3}(\.\d{1,20})?$/.test(text) ? NaN : Number(text);
  if (!(Math.abs(value) <= limit))
    throw badValue(
      name,
      `${shown(text ?? '')} is no ${what}: write near=latitude|longitude|distance|unit, such as 42.36|-71.06|5|km.`,
    );
  return value;
}

/** Great-circle distance. */
export function haversineKm(lat1: number, lon1: number, lat2: number, lon2: number): number {
  const a =
    Math.sin(((lat2 - lat1) * RADIANS) / 2) ** 2 +
    Math.cos(lat1 * RADIANS) * Math.cos(lat2 * RADIANS) * Math.sin(((lon2 - lon1) * RADIANS) / 2) ** 2;
  return 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(a)));
}

/** The bounding box uses the index on latitude; the distance decides. */
function nearCondition(latitude: Sql, longitude: Sql, near: NearValue): Sql {
  const reach = near.distanceKm / EARTH_KM / RADIANS;
  const { latitude: lat, longitude: lon } = near;
  const box = [sql`${latitude} between ${lat - reach - 1e-9}::float8 and ${lat + reach + 1e-9}::float8`];
  const widest = Math.cos((Math.abs(lat) + reach) * RADIANS);
  const width = widest > 0.01 ? reach / widest : 360;
  if (Math.abs(lat) + reach < 89 && lon - width > -180 && lon + width < 180) {
    box.push(sql`${longitude} between ${lon - width - 1e-9}::float8 and ${lon + width + 1e-9}::float8`);
  }
  const distance = sql`2 * ${EARTH_KM}::float8 * asin(least(1, sqrt(
    power(sin(radians(${latitude} - ${lat}::float8) / 2), 2) +
    cos(radians(${lat}::float8)) * cos(radians(${latitude})) * power(sin(radians(${longitude} - ${lon}::float8) / 2), 2))))`;
  return and([...box, sql`${distance} <= ${near.distanceKm}::float8`]);
}

const isNear = (value: Value): value is NearValue => value.kind === 'near';

export const specialKind: SearchKind = {
  modifiers: () => [],
  comparators: [],
  parse(text, _param, _modifier, _meaning, name) {
    const parts = splitEscaped(text, '|').map(unescape);
    const [lat, lon, distance = '', unit = ''] = parts;
    if (parts.length > 4) throw badValue(name, 'write near=latitude|longitude|distance|unit.');
    const latitude = inDegrees(lat, 90, name, 'latitude');
    const longitude = inDegrees(lon, 180, name, 'longitude');
    if (distance !== '' && !/^\d{1,9}(\.\d{1,20})?$/.test(distance))
      throw badValue(name, `${shown(distance)} is no distance: write a number such as 5.`);
    const factor = unit === '' ? 1 : Object.hasOwn(KILOMETRES, unit) ? KILOMETRES[unit] : undefined;
    if (factor === undefined)
      throw badValue(name, `${shown(unit)} is no unit of length here: use ${Object.keys(KILOMETRES).join(', ')}.`);
    return {
      kind: 'near',
      parts,
      latitude,
      longitude,
      distanceKm: distance === '' ? NEAR_KM : Number(distance) * factor,
    };
  },
  condition(columns, _modifier, values) {
    const latitude = columns.column('latitude');
    const longitude = columns.column('longitude');
    return { sql: or(values.filter(isNear).map((v) => nearCondition(latitude, longitude, v))), exact: true };
  },
  matches(_param, found, _modifier, values) {
    return found.some(({ value }) => {
      const { latitude, longitude } = asObject(value) ?? {};
      if (typeof latitude !== 'number' || typeof longitude !== 'number') return false;
      return values.some((v) => isNear(v) && haversineKm(v.latitude, v.longitude, latitude, longitude) <= v.distanceKm);
    });
  },
  sortKey: () => undefined,
};
