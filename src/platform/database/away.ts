/** Whether the database is away, or has no room: a matter of time. @see https://www.postgresql.org/docs/18/errcodes-appendix.html */

const codeOf = (error: Error): string => ('code' in error && typeof error.code === 'string' ? error.code : '');

/** Of connections that cannot be had or are lost, by PostgreSQL, by the network, or by the pool. */
export const isAway = (error: unknown): boolean =>
  error instanceof Error &&
  (/^(?:08|57P|53)/.test(codeOf(error)) ||
    /^E[A-Z]+$/.test(codeOf(error)) ||
    /timeout|terminated/i.test(error.message));
