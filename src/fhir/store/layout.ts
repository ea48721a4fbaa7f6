/** Where a resource type lives: its tables, their columns, and what search adds to them. */
import type { Resource } from '@medplum/fhirtypes';

/** A column of search, filled from the resource. */
export interface StoreColumn {
  readonly name: string;
  readonly sqlType: string;
  readonly index: 'btree' | 'gin' | 'trgm' | 'gist' | 'none';
}

/** What search gives to the store; columns and extracted values are in the same order. */
export interface Layout {
  columns(type: string): readonly StoreColumn[];
  /** @returns one value a column: null, string, number, boolean, or an array of strings or numbers */
  extract(type: string, resource: Resource): readonly unknown[];
}

/** `AppointmentResponse` → `appointment_response`. */
export const tableOf = (type: string): string => type.replace(/(?<!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();

export const historyTableOf = (type: string): string => `${tableOf(type)}_history`;

/** Columns that every current row has, before those of search. */
export const BASE_COLUMNS: readonly (readonly [name: string, sqlType: string])[] = [
  ['id', 'text'],
  ['version', 'integer'],
  ['last_updated', 'timestamptz(3)'],
  ['method', 'text'],
  ['content', 'text'],
];
