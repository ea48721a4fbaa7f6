/** The outcome of a storm in lines, and what speaks against it. @see https://jepsen.io/consistency */
import type { CheckResult } from '../../platform/database/checks.ts';
import type { StormResult } from './run.ts';

export interface Report {
  readonly lines: readonly string[];
  /** None: it has passed. */
  readonly problems: readonly string[];
}

const SHOWN = 5;

const some = (title: string, list: readonly string[]): string[] =>
  list.length === 0 ? [] : [`${title}: ${list.length}`, ...list.slice(0, SHOWN).map((line) => `  ${line}`)];

export function reportOf(
  { tally, verdict, miscounted, seconds, cpuMs }: StormResult,
  checks: readonly CheckResult[],
  deadlocks: number,
): Report {
  const { p50, p99, most } = tally.latency();
  const [won, lost] = [tally.of('won'), tally.of('lost')];
  const lines = [
    `${tally.attempts} attempts in ${seconds.toFixed(1)} s: ${Math.round(tally.attempts / seconds)} a second; ${won} succeeded, ${lost} came too late`,
    `latency: p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, at most ${most.toFixed(0)} ms`,
    ...(cpuMs > 0
      ? [`processor time of the servers and PostgreSQL: ${(cpuMs / tally.attempts).toFixed(1)} ms an attempt`]
      : []),
    ...tally.lines(),
    `deadlocks: ${deadlocks}`,
    ...[...tally.samples].filter(([key]) => key.endsWith(', rule')).map(([key, text]) => `  ${key}: ${text}`),
  ];
  const samples = (of: string): string[] =>
    [...tally.samples].filter(([key]) => key.endsWith(`, ${of}`)).map(([key, text]) => `${key}: ${text}`);
  const problems = [
    ...some('two had the same time', verdict.doubles),
    ...some('refused a time that nobody had', verdict.baseless),
    ...some('wrong number of winners', miscounted),
    ...checks.flatMap((c) => some(`${c.name}, ${c.title}`, c.found)),
    ...some(`answers of 500 and more (${tally.of('broken')})`, samples('broken')),
    ...some(`no answer (${tally.of('unknown')})`, samples('unknown')),
    ...some(`answers that no client should get (${tally.of('odd')})`, samples('odd')),
    ...(deadlocks > 0 ? [`deadlocks: ${deadlocks}`] : []),
    ...(won === 0 || lost === 0 ? ['void: nobody fought'] : []),
  ];
  return { lines, problems };
}
