/** What became of the requests of a storm, by door, and how long they took. @see https://hl7.org/fhir/R4/http.html#Status-Codes */
import type { Got } from './wire.ts';

/** `lost`: somebody else was there; `rule`: a rule of the clinic; `raced`: the resource had changed; `broken`: the server's fault; `unknown`: no answer. */
export type Outcome = 'won' | 'lost' | 'rule' | 'raced' | 'broken' | 'odd' | 'unknown';

const CHANGED = 'Another request changed the resource';

export function outcomeOf(status: number | undefined, text: string): Outcome {
  if (status === undefined) return 'unknown';
  if (status < 300) return 'won';
  if (status >= 500) return 'broken';
  if (status === 412 || (status === 409 && text.includes(CHANGED))) return 'raced';
  if (status === 409) return 'lost';
  return status === 422 ? 'rule' : 'odd';
}

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;

export class Tally {
  /** How long each took, ms. */
  readonly #doors = new Map<string, Map<Outcome, number[]>>();
  readonly #times: number[] = [];
  /** One of each: door, status and text. */
  readonly samples = new Map<string, string>();
  attempts = 0;

  count(door: string, outcome: Outcome, got: Got | undefined, ms: number): void {
    this.attempts++;
    this.#times.push(ms);
    let counts = this.#doors.get(door);
    if (!counts) this.#doors.set(door, (counts = new Map()));
    const times = counts.get(outcome);
    if (times) times.push(ms);
    else counts.set(outcome, [ms]);
    const key = `${door}, ${outcome}`;
    if (outcome !== 'won' && outcome !== 'lost' && !this.samples.has(key))
      this.samples.set(key, `${got?.status ?? 'no answer'} ${got?.text.slice(0, 400) ?? ''}`);
  }

  of(outcome: Outcome): number {
    let sum = 0;
    for (const counts of this.#doors.values()) sum += counts.get(outcome)?.length ?? 0;
    return sum;
  }

  get doors(): readonly string[] {
    return [...this.#doors.keys()];
  }

  latency(): { readonly p50: number; readonly p99: number; readonly most: number } {
    const sorted = this.#times.toSorted((a, b) => a - b);
    return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), most: sorted.at(-1) ?? Number.NaN };
  }

  /** A line for each door: how many, and the median and 99th percentile of their time. */
  lines(): string[] {
    return [...this.#doors].toSorted().map(([door, counts]) => {
      const parts = [...counts].toSorted().map(([outcome, times]) => {
        const sorted = times.toSorted((a, b) => a - b);
        return `${outcome} ${sorted.length} (${quantile(sorted, 0.5).toFixed(0)}/${quantile(sorted, 0.99).toFixed(0)} ms)`;
      });
      return `  ${door.padEnd(34)} ${parts.join(', ')}`;
    });
  }
}
