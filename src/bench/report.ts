/** The benchmark's results as a Markdown table, each beside its floor and its target. */
import type { Measured } from './client.ts';
import type { Operation } from './operations.ts';

/** With the processor time that a request took, in microseconds; NaN where the system does not tell. */
export interface Costed extends Measured {
  readonly nodeUs: number;
  readonly postgresUs: number;
}

/** One round: the server, and right before or after it the floor. */
export interface Round {
  readonly subject: Costed;
  readonly floor: Costed;
  /** Floor of single reads in the same round, requests a second. */
  readonly readFloor: number;
}

export interface Series {
  readonly operation: Operation;
  readonly connections: number;
  readonly rounds: readonly Round[];
}

export interface Check {
  readonly name: string;
  readonly value: string;
  readonly target: string;
  readonly met: boolean;
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
};

const whole = (n: number): string => Math.round(n).toLocaleString('en');
const percent = (n: number): string => `${Math.round(n * 100)} %`;
const ms = (n: number): string => (n < 10 ? n.toFixed(2) : n.toFixed(1));
const us = (costs: readonly Costed[]): string =>
  [median(costs.map((c) => c.nodeUs)), median(costs.map((c) => c.postgresUs))].map(whole).join(' + ');
const verdict = (met: boolean): string => (met ? 'OK' : '**MISSED**');

/** The targets of the series, with what was reached. */
export function checksOf(series: Series): Check[] {
  const { operation, connections, rounds } = series;
  const { target, unit } = operation;
  const checks: Check[] = [];
  const per = (r: Round): number => r.subject.perSecond * unit;
  if (connections === 50) {
    const least = (what: string, value: number, wanted: number, print: (n: number) => string): void => {
      checks.push({
        name: `${operation.name}: ${what}`,
        value: print(value),
        target: `≥ ${print(wanted)}`,
        met: value >= wanted,
      });
    };
    if (target.ofFloor !== undefined)
      least(
        'of its floor',
        median(rounds.map((r) => r.subject.perSecond / r.floor.perSecond)),
        target.ofFloor,
        percent,
      );
    if (target.ofReadFloor !== undefined)
      least(
        'of the single-read floor',
        median(rounds.map((r) => r.subject.perSecond / r.readFloor)),
        target.ofReadFloor,
        percent,
      );
    if (target.perSecond !== undefined)
      least(unit > 1 ? 'resources a second' : 'a second', median(rounds.map(per)), target.perSecond, whole);
  }
  const most = (what: string, values: readonly number[], wanted: number | undefined): void => {
    if (connections !== 10 || wanted === undefined) return;
    const value = median(values);
    checks.push({
      name: `${operation.name}: ${what} at 10 connections`,
      value: `${ms(value)} ms`,
      target: `≤ ${wanted} ms`,
      met: value <= wanted,
    });
  };
  most(
    'p50',
    rounds.map((r) => r.subject.p50Ms),
    target.p50MsAt10,
  );
  most(
    'p99',
    rounds.map((r) => r.subject.p99Ms),
    target.p99MsAt10,
  );
  if (target.noneRefused) {
    const refused = rounds.reduce((n, r) => n + r.subject.failures, 0);
    checks.push({
      name: `${operation.name}: refused at ${connections} connections`,
      value: whole(refused),
      target: 'none',
      met: refused === 0,
    });
  }
  return checks;
}

function line({ operation, connections, rounds }: Series): string {
  const rates = rounds.map((r) => r.subject.perSecond * operation.unit);
  const floors = rounds.map((r) => r.floor.perSecond * operation.unit);
  const failures = rounds.reduce((n, r) => n + r.subject.failures + r.floor.failures, 0);
  return [
    '',
    operation.name,
    connections,
    `${whole(median(rates))} (${whole(Math.min(...rates))}–${whole(Math.max(...rates))})`,
    `${ms(median(rounds.map((r) => r.subject.p50Ms)))} / ${ms(median(rounds.map((r) => r.subject.p99Ms)))}`,
    `${whole(median(floors))} (${whole(Math.min(...floors))}–${whole(Math.max(...floors))})`,
    percent(median(rounds.map((r) => r.subject.perSecond / r.floor.perSecond))),
    operation.unit > 1 ? '' : percent(median(rounds.map((r) => r.subject.perSecond / r.readFloor))),
    us(rounds.map((r) => r.subject)),
    us(rounds.map((r) => r.floor)),
    failures,
    '',
  ]
    .join(' | ')
    .trim();
}

export function renderReport(series: readonly Series[], checks: readonly Check[], notes: readonly string[]): string {
  return [
    '| operation | connections | a second: median (lowest–highest) | p50 / p99 ms | floor a second | of its floor | of the read floor | CPU µs a request: Node + PostgreSQL | the floor’s | failures |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...series.map(line),
    '',
    '| target | wanted | reached | |',
    '| --- | --- | --- | --- |',
    ...checks.map((c) => `| ${c.name} | ${c.target} | ${c.value} | ${verdict(c.met)} |`),
    '',
    ...notes.map((n) => `- ${n}`),
  ].join('\n');
}
