/** What a person sees of an import: progress, refusals, and the sum of it. */
import { performance } from 'node:perf_hooks';
import type { ImportReport, Refusal } from './run.ts';

const PHASES = { check: 'Checking', store: 'Storing' } as const;
const BAR = 30;
const MS_BETWEEN_FRAMES = 100;
const MS_BETWEEN_LINES = 5000;

export interface Screen {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface ProgressBar {
  progress(phase: keyof typeof PHASES, done: number, total: number): void;
  /** Takes the bar away, so that other lines can be written. */
  clear(): void;
}

/** A bar on a terminal, a line now and then elsewhere. */
export function progressBar(screen: Screen): ProgressBar {
  const bar = screen.isTTY === true;
  let last = performance.now() - (bar ? MS_BETWEEN_FRAMES : 0);
  let shown = false;
  const clear = (): void => {
    if (shown) screen.write('\r\u001b[2K');
    shown = false;
  };
  return {
    clear,
    progress(phase, done, total) {
      const now = performance.now();
      if (now - last < (bar ? MS_BETWEEN_FRAMES : MS_BETWEEN_LINES)) return;
      last = now;
      const share = total === 0 ? 1 : Math.min(1, done / total);
      const percent = `${Math.floor(share * 100)} %`.padStart(5);
      const amount =
        phase === 'check'
          ? `${(done / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`
          : `${done} of ${total} resources`;
      const filled = Math.round(share * BAR);
      if (!bar) screen.write(`${PHASES[phase]}:${percent}, ${amount}\n`);
      else
        screen.write(
          `\r\u001b[2K${PHASES[phase].padEnd(8)} ${'█'.repeat(filled)}${'░'.repeat(BAR - filled)} ${percent}  ${amount}`,
        );
      shown = bar;
    },
  };
}

/** One line for each thing that is wrong: file, line or entry, resource, element, reason. */
export function refusalLines({ place, key, issues }: Refusal): string[] {
  const where = [place.file, ...(place.within === '' ? [] : [place.within])].join(', ');
  return issues.map((issue) =>
    [where, key, issue.expression?.join(', '), issue.diagnostics]
      .filter((part) => part !== undefined && part !== '')
      .join(': '),
  );
}

/** The counts of each type as a table, and how long it took. */
export function summary({ counts, refusals }: ImportReport, ms: number): string {
  const names = ['created', 'updated', 'unchanged', 'refused'] as const;
  const rows = [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([type, c]) => [type, ...names.map((n) => String(c[n]))]);
  const sums = names.map((n) => [...counts.values()].reduce((sum, c) => sum + c[n], 0));
  const table = [['type', ...names], ...rows, ['all', ...sums.map(String)]];
  const widths = table[0]?.map((_, i) => Math.max(...table.map((row) => row[i]?.length ?? 0))) ?? [];
  const lines = table.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
  );
  const handled = sums.reduce((a, b) => a + b, 0);
  const rate = Math.round((handled * 1000) / Math.max(1, ms));
  return `${lines.join('\n')}\n${handled} resource${handled === 1 ? '' : 's'} in ${(ms / 1000).toFixed(1)} s (${rate} a second)${refusals > 0 ? `; ${refusals} refused` : ''}.\n`;
}
