/** The log: JSON lines on standard error, with only the fields listed here, so that no personal data can slip in. */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Everything that a line may say besides time, level and message. Ids of people's resources are not among it. */
export interface LogFields {
  readonly requestId?: string;
  readonly errorId?: string;
  readonly interaction?: string;
  readonly type?: string;
  readonly method?: string;
  readonly status?: number;
  readonly durationMs?: number;
  readonly job?: string;
  readonly attempt?: number;
  readonly count?: number;
  readonly changed?: number;
  readonly topic?: string;
  readonly pid?: number;
  readonly url?: string;
  readonly signal?: string;
  /** Class and message of an error of ours or of a library, and where it was thrown: never a client's value. */
  readonly error?: string;
  readonly code?: string;
  readonly stack?: string;
}

const FIELDS = new Set([
  'requestId',
  'errorId',
  'interaction',
  'type',
  'method',
  'status',
  'durationMs',
  'job',
  'attempt',
  'count',
  'changed',
  'topic',
  'pid',
  'url',
  'signal',
  'error',
  'code',
  'stack',
]);
const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/**
 * @param level least severe level that is written
 * @param write receives each line, with its newline
 */
export function createLog(level: LogLevel, write: (line: string) => void = (line) => process.stderr.write(line)): Log {
  const least = LEVELS.indexOf(level);
  const at = (name: LogLevel) => {
    if (LEVELS.indexOf(name) < least) return () => undefined;
    return (message: string, fields: LogFields = {}): void => {
      const line: Record<string, unknown> = { time: new Date().toISOString(), level: name, message };
      for (const [key, value] of Object.entries(fields)) if (FIELDS.has(key) && value !== undefined) line[key] = value;
      write(`${JSON.stringify(line)}\n`);
    };
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

export const silentLog: Log = createLog('silent');

/**
 * What of an error may be logged: its class, code and stack frames. Messages of the database can quote values
 * (`Key (id)=(…)`), so only those of other errors are kept.
 */
export function errorFields(error: unknown): LogFields {
  if (!(error instanceof Error)) return { error: typeof error };
  const code = (error as { code?: unknown }).code;
  const fromDatabase = 'severity' in error;
  const frames = (error.stack ?? '')
    .split('\n')
    .filter((l) => l.trimStart().startsWith('at '))
    .slice(0, 8);
  return {
    error: fromDatabase ? error.name : `${error.name}: ${error.message}`,
    ...(typeof code === 'string' ? { code } : {}),
    stack: frames.map((f) => f.trim()).join(' | '),
  };
}
