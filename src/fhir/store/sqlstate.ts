/**
 * What a failure of the database means to a client.
 * @see https://www.postgresql.org/docs/18/errcodes-appendix.html
 */
import { DatabaseError } from 'pg';
import { badRequest, errorIssue, FhirError } from '../outcome.ts';

/** Seconds after which a client may try again. */
const RETRY_AFTER_S = '1';

const unavailable = (diagnostics: string): FhirError =>
  new FhirError(503, [errorIssue('transient', diagnostics)], { 'Retry-After': RETRY_AFTER_S });

/** Another transaction was in the way: the same work, run again, may succeed. */
export const isRetryable = (error: unknown): boolean =>
  error instanceof DatabaseError && (error.code === '40001' || error.code === '40P01');

/** The session is lost, or never came to be; nothing that PostgreSQL answered. */
export const isBroken = (error: unknown): boolean =>
  !(error instanceof DatabaseError) || error.code === undefined || /^(?:08|57P)/.test(error.code);

const BY_CODE: Readonly<Record<string, () => FhirError>> = {
  '23505': () =>
    new FhirError(409, [
      errorIssue(
        'duplicate',
        'A value that must be unique is taken already: choose another, or change the resource that has it.',
      ),
    ]),
  '23P01': () =>
    new FhirError(409, [errorIssue('conflict', 'This overlaps with what is stored already: choose another time.')]),
  '40001': () => unavailable('Other requests change the same resources just now: send the request again.'),
  '40P01': () => unavailable('Other requests change the same resources just now: send the request again.'),
  '55P03': () => unavailable('Another request holds what this one needs: send the request again.'),
  '57014': () =>
    badRequest('too-costly', 'This takes longer than the server allows: narrow the search, or send less at once.'),
  '54000': () => badRequest('too-long', 'A value of a searched element is longer than can be indexed: shorten it.'),
  '25006': () => unavailable('The database takes no writes just now: send the request again.'),
};

/**
 * A failure of a statement as the error that a client gets. What is neither the client's doing nor passing stays as it is
 * (and becomes a 500 with an id in the log).
 */
export function clientError(error: unknown): unknown {
  if (error instanceof FhirError) return error;
  if (isBroken(error)) return unavailable('The database cannot be reached just now: send the request again.');
  const code = error instanceof DatabaseError ? (error.code ?? '') : '';
  const known = BY_CODE[code];
  if (known) return known();
  if (code.startsWith('22'))
    return badRequest(
      'value',
      'A value cannot be stored or compared as what it should be: check numbers, dates and characters such as NUL.',
    );
  if (code.startsWith('53'))
    return unavailable('The database has no room for more work just now: send the request again.');
  return error;
}

/** The id that a violated primary key names. */
export function takenId(error: unknown): string | undefined {
  if (!(error instanceof DatabaseError) || error.code !== '23505' || !error.constraint?.endsWith('_pkey'))
    return undefined;
  return /^Key \(id\)=\((.+)\) already exists/.exec(error.detail ?? '')?.[1];
}
