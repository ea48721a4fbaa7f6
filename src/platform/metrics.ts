/**
 * Counters, gauges and histograms in the text format that Prometheus reads.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

type Labels = Readonly<Record<string, string>>;

interface Histogram {
  observe(labels: Labels, value: number): void;
}

interface Counter {
  add(labels: Labels, by?: number): void;
}

export interface Metrics {
  counter(name: string, help: string): Counter;
  /** @param bounds upper bounds of the buckets, rising */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram;
  /** @param read called at each scrape. @param type `counter` where what is read never falls */
  gauge(name: string, help: string, read: () => Iterable<readonly [Labels, number]>, type?: 'gauge' | 'counter'): void;
  /** Awaited before each page, for what must be fetched first. It must not fail. */
  before(refresh: () => Promise<void>): void;
  /** The page. */
  text(): Promise<string>;
}

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const escape = (value: string): string => value.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`));
const print = (labels: Labels): string => {
  const parts = Object.entries(labels).map(([k, v]) => `${k}="${escape(v)}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
};

/** Values that differ in labels, found again by the labels' values. */
function series<T>(make: () => T): { get(labels: Labels): T; entries(): Iterable<readonly [Labels, T]> } {
  const known = new Map<string, readonly [Labels, T]>();
  return {
    get(labels) {
      let key = '';
      for (const name in labels) key += `${labels[name] ?? ''}\0`;
      let entry = known.get(key);
      if (!entry) known.set(key, (entry = [labels, make()]));
      return entry[1];
    },
    entries: () => known.values(),
  };
}

export function createMetrics(): Metrics {
  const families: (() => string[])[] = [];
  const refreshes: (() => Promise<void>)[] = [];
  const family = (name: string, help: string, type: string, lines: () => string[]): void => {
    families.push(() => [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines()]);
  };
  return {
    counter(name, help) {
      const all = series(() => ({ value: 0 }));
      family(name, help, 'counter', () =>
        Array.from(all.entries(), ([labels, c]) => `${name}${print(labels)} ${c.value}`),
      );
      return { add: (labels, by = 1) => void (all.get(labels).value += by) };
    },

    histogram(name, help, bounds) {
      const all = series(() => ({ buckets: new Float64Array(bounds.length + 1), sum: 0, count: 0 }));
      family(name, help, 'histogram', () =>
        Array.from(all.entries()).flatMap(([labels, { buckets, sum, count }]) => {
          let below = 0;
          return [
            ...bounds.map(
              (le, i) => `${name}_bucket${print({ ...labels, le: String(le) })} ${(below += buckets[i] ?? 0)}`,
            ),
            `${name}_bucket${print({ ...labels, le: '+Inf' })} ${count}`,
            `${name}_sum${print(labels)} ${sum}`,
            `${name}_count${print(labels)} ${count}`,
          ];
        }),
      );
      return {
        observe(labels, value) {
          const h = all.get(labels);
          let i = 0;
          while (i < bounds.length && value > (bounds[i] ?? Infinity)) i++;
          h.buckets[i] = (h.buckets[i] ?? 0) + 1;
          h.sum += value;
          h.count++;
        },
      };
    },

    before: (refresh) => void refreshes.push(refresh),

    gauge(name, help, read, type = 'gauge') {
      family(name, help, type, () => Array.from(read(), ([labels, value]) => `${name}${print(labels)} ${value}`));
    },

    async text() {
      await Promise.all(refreshes.map((refresh) => refresh()));
      return `${families.flatMap((f) => f()).join('\n')}\n`;
    },
  };
}

/** What every Node process should tell of itself. @returns stops the measuring */
export function observeProcess(metrics: Metrics): () => void {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  metrics.gauge('nodejs_eventloop_lag_seconds', 'Delay of the event loop since the last scrape.', () => {
    const lines = (
      [
        ['0.5', 50],
        ['0.99', 99],
        ['1', 100],
      ] as const
    ).map(([quantile, p]) => [{ quantile }, delay.percentile(p) / 1e9] as const);
    delay.reset();
    return lines;
  });
  metrics.gauge('process_resident_memory_bytes', 'Memory of the process.', () => [[{}, process.memoryUsage.rss()]]);
  metrics.gauge('process_cpu_seconds_total', 'Processor time used.', () => {
    const { user, system } = process.cpuUsage();
    return [[{}, (user + system) / 1e6]];
  });
  metrics.gauge('process_uptime_seconds', 'Time since the start.', () => [[{}, process.uptime()]]);
  return () => delay.disable();
}
