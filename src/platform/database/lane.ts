/**
 * Natural batching: whatever is asked for while the last statement runs shares the next one. No timer, so a lone request
 * waits for nothing, and the more requests there are the fewer statements each costs.
 */

export interface LaneOptions<In> {
  /** Items in one batch at most. */
  readonly cap: number;
  /** Items of equal key never share a batch. */
  readonly key?: (item: In) => string;
  /** Share of a batch that an item takes; a batch holds at most 1, or one item. */
  readonly weight?: (item: In) => number;
  /** Batches that run at a time; 1 unless said. */
  readonly atOnce?: number;
}

interface Waiting<In, Out> {
  readonly item: In;
  readonly resolve: (value: Out) => void;
  readonly reject: (reason: unknown) => void;
}

/** The outcome for one item of a batch, when items may fail on their own. */
export class Failure {
  readonly reason: unknown;
  constructor(reason: unknown) {
    this.reason = reason;
  }
}

export type Lane<In, Out> = (item: In) => Promise<Out>;

function takeBatch<In, Out>(queue: Waiting<In, Out>[], { cap, key, weight }: LaneOptions<In>): Waiting<In, Out>[] {
  if (!key && !weight) return queue.splice(0, cap);
  const batch: Waiting<In, Out>[] = [];
  const rest: Waiting<In, Out>[] = [];
  const keys = new Set<string>();
  let load = 0;
  for (const waiting of queue) {
    const itemKey = key?.(waiting.item);
    const share = weight?.(waiting.item) ?? 0;
    const roomy = batch.length === 0 || (batch.length < cap && load + share <= 1);
    if (!roomy || (itemKey !== undefined && keys.has(itemKey))) {
      rest.push(waiting);
      continue;
    }
    batch.push(waiting);
    load += share;
    if (itemKey !== undefined) keys.add(itemKey);
  }
  queue.splice(0, queue.length, ...rest);
  return batch;
}

/**
 * @param run answers a batch: one outcome an item, in order; what it throws fails the whole batch
 * @param onIdle called when nothing waits any more
 */
function createLane<In, Out>(
  run: (items: readonly In[]) => Promise<readonly (Out | Failure)[]>,
  options: LaneOptions<In>,
  onIdle?: () => void,
): Lane<In, Out> {
  const queue: Waiting<In, Out>[] = [];
  const { atOnce = 1 } = options;
  let running = 0;

  const settle = (batch: readonly Waiting<In, Out>[], outcomes: readonly (Out | Failure)[]): void => {
    batch.forEach((waiting, i) => {
      const outcome = outcomes[i];
      if (outcome instanceof Failure) waiting.reject(outcome.reason);
      else waiting.resolve(outcome as Out);
    });
  };

  const runBatch = async (batch: readonly Waiting<In, Out>[]): Promise<void> => {
    try {
      settle(batch, await run(batch.map((waiting) => waiting.item)));
    } catch (error) {
      for (const waiting of batch) waiting.reject(error);
    }
    // Requests that these answers set free, or that arrived with them, join the next batch.
    setImmediate(flush);
  };

  const flush = (): void => {
    if (queue.length === 0) {
      if (--running === 0) onIdle?.();
      return;
    }
    void runBatch(takeBatch(queue, options));
  };

  return (item) =>
    new Promise((resolve, reject) => {
      queue.push({ item, resolve, reject });
      if (running === atOnce) return;
      running++;
      setImmediate(flush);
    });
}

/** Lanes by key, each kept only while something waits in it. `run` of the first caller serves all that share the key. */
export function createLanes<In, Out>(
  options: LaneOptions<In>,
): (key: string, run: (items: readonly In[]) => Promise<readonly (Out | Failure)[]>) => Lane<In, Out> {
  const lanes = new Map<string, Lane<In, Out>>();
  return (key, run) => {
    let lane = lanes.get(key);
    if (!lane) {
      lane = createLane(run, options, () => lanes.delete(key));
      lanes.set(key, lane);
    }
    return lane;
  };
}
