/** A row of the table `audit_log`: what is known of one event about at most one patient. */
import type { Kind } from './kinds.ts';

/** 0 done, 4 refused or mistaken, 8 failed here. @see https://hl7.org/fhir/R4/valueset-audit-event-outcome.html */
export type Outcome = 0 | 4 | 8;

/** Keys are columns: rows go in as JSON. */
export interface AuditRow {
  readonly id: string;
  /** When, as an instant. */
  readonly recorded: string;
  readonly kind: Kind;
  readonly outcome: Outcome;
  /** Part of the server that acts by itself. */
  readonly actor?: string | undefined;
  /** `Practitioner/1`: the person's own resource. */
  readonly person?: string | undefined;
  readonly account?: string | undefined;
  readonly roles?: readonly string[] | undefined;
  readonly client?: string | undefined;
  /** The client's network. */
  readonly address?: string | undefined;
  /** The first of the patients, and of the entities, is whom it is about. */
  readonly about: boolean;
  /** Patients that the event has to do with in any way. */
  readonly patients?: readonly string[] | undefined;
  /** `Type/id` of what was shown or changed. */
  readonly entities?: readonly string[] | undefined;
  /** A code that says more of the kind. */
  readonly detail?: string | undefined;
  /** X-Request-Id */
  readonly request?: string | undefined;
  /** The query as it was sent, sealed. */
  readonly query?: string | undefined;
}

/** In the order of the table; `xid` the database adds. */
export const AUDIT_COLUMNS: readonly (readonly [name: keyof AuditRow, sqlType: string])[] = [
  ['id', 'text'],
  ['recorded', 'timestamptz'],
  ['kind', 'text'],
  ['outcome', 'smallint'],
  ['actor', 'text'],
  ['person', 'text'],
  ['account', 'text'],
  ['roles', 'text[]'],
  ['client', 'text'],
  ['address', 'text'],
  ['about', 'boolean'],
  ['patients', 'text[]'],
  ['entities', 'text[]'],
  ['detail', 'text'],
  ['request', 'text'],
  ['query', 'text'],
];

const NAMES = AUDIT_COLUMNS.map(([name]) => name).join(', ');

/** Text of the insert, without a semicolon. @param parameter of the rows as JSON, `$1`. Sent twice, a row is kept once. */
export const insertRows = (parameter: string): string =>
  `insert into audit_log (${NAMES}) select ${NAMES} from json_to_recordset(${parameter}::json) as u(${AUDIT_COLUMNS.map(([name, type]) => `${name} ${type}`).join(', ')}) on conflict do nothing`;
