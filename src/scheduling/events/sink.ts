/**
 * The queue between those who tell and one connection: it takes what it is given at once, hands over all that waits when the connection wants more, and
 * knows how long it has been waiting. @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */

export interface Sink {
  readonly stream: ReadableStream<Uint8Array>;
  /** Nothing more will be taken from it. */
  readonly closed: boolean;
  /** Bytes that wait. */
  readonly waiting: number;
  push(text: string): void;
  /** Since when something waits, by the monotonic clock; undefined: nothing does. */
  waitingSince(): number | undefined;
  /** Waits until all was taken, or nobody takes any more. */
  room(): Promise<void>;
  /** What waits is dropped in favour of these last words. */
  cut(text: string): void;
  close(): void;
}

/** @param onClosed called once: the connection is gone, or has taken the last words */
export function createSink(onClosed: () => void): Sink {
  let chunks: Uint8Array[] = [];
  let waiting = 0;
  let since: number | undefined;
  let last = false;
  let closed = false;
  let taken = Promise.withResolvers<void>();
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Set while the connection wants more. */
  let wanted: (() => void) | undefined;

  const drop = (): void => {
    chunks = [];
    waiting = 0;
    since = undefined;
    taken.resolve();
    taken = Promise.withResolvers();
  };
  const close = (): void => {
    if (closed) return;
    closed = true;
    drop();
    onClosed();
  };
  const hand = (): void => {
    if (!wanted || chunks.length === 0) return;
    controller?.enqueue(Buffer.concat(chunks));
    drop();
    wanted();
    wanted = undefined;
    if (!last) return;
    controller?.close();
    close();
  };
  const push = (text: string): void => {
    if (closed || last) return;
    const chunk = Buffer.from(text);
    chunks.push(chunk);
    waiting += chunk.byteLength;
    since ??= performance.now();
    hand();
  };

  const stream = new ReadableStream<Uint8Array>(
    {
      start: (given) => void (controller = given),
      pull: () =>
        new Promise<void>((resolve) => {
          wanted = resolve;
          hand();
        }),
      cancel: close,
    },
    // The queue is ours: the stream itself holds nothing that nobody asked for.
    { highWaterMark: 0 },
  );
  return {
    stream,
    get closed() {
      return closed;
    },
    get waiting() {
      return waiting;
    },
    push,
    waitingSince: () => since,
    room: async () => {
      if (waiting > 0) await taken.promise;
    },
    cut(text) {
      if (closed || last) return;
      drop();
      push(text);
      last = true;
      // Whoever waited for more has taken the last words already.
      if (waiting > 0) return;
      controller?.close();
      close();
    },
    close() {
      if (!closed) controller?.close();
      close();
    },
  };
}
