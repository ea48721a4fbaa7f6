/**
 * The load generator, a process of its own: keeps a number of connections busy with prepared requests, one at a time each, over plain sockets,
 * so that it costs little beside the server that it measures. Told what to do by its parent.
 */
import net from 'node:net';
import { performance } from 'node:perf_hooks';

export interface Shot {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Job {
  readonly port: number;
  readonly connections: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  readonly shots: readonly Shot[];
  /** Each shot is sent once; else they are sent in turn, as often as there is time. */
  readonly once: boolean;
  /** Goes with every shot that has none of its own. */
  readonly authorization?: string;
}

export interface Measured {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failures: number;
  /** Status line and start of the body of the first failure. */
  readonly firstFailure?: string;
}

const HEADER_END = Buffer.from('\r\n\r\n');
const CHUNKED_END = '0\r\n\r\n';

const requestOf = (shot: Shot, authorization: string | undefined): Buffer => {
  const headers = {
    Host: '127.0.0.1',
    ...(authorization === undefined ? {} : { Authorization: authorization }),
    ...shot.headers,
    ...(shot.body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(shot.body)) }),
  };
  const head = Object.entries(headers)
    .map(([k, v]) => `${k}: ${v}\r\n`)
    .join('');
  return Buffer.from(`${shot.method} ${shot.path} HTTP/1.1\r\n${head}\r\n${shot.body ?? ''}`);
};

/** Reads replies off one connection: how much of the current one is still to come. */
class Reply {
  private head: Buffer | undefined;
  private remaining = 0;
  private chunked = false;
  status = 0;
  start = '';

  /** @returns whether the reply is complete */
  take(chunk: Buffer): boolean {
    if (this.remaining > 0) {
      this.remaining -= chunk.length;
      return this.remaining <= 0;
    }
    if (this.chunked) return this.endOfChunks(chunk);
    const data = this.head ? Buffer.concat([this.head, chunk]) : chunk;
    const end = data.indexOf(HEADER_END);
    if (end === -1) {
      this.head = data;
      return false;
    }
    this.head = undefined;
    this.status = Number(data.toString('latin1', 9, 12));
    if (this.status >= 400) this.start = data.toString('utf8', 0, 600);
    const header = data.toString('latin1', 0, end);
    const body = data.length - end - 4;
    const length = /\r\ncontent-length: (\d+)/i.exec(header);
    if (length) {
      this.remaining = Number(length[1]) - body;
      return this.remaining <= 0;
    }
    this.chunked = /\r\ntransfer-encoding: chunked/i.test(header);
    return this.chunked ? this.endOfChunks(data) : true;
  }

  private endOfChunks(data: Buffer): boolean {
    const done = data.toString('latin1', Math.max(0, data.length - 5)) === CHUNKED_END;
    if (done) this.chunked = false;
    return done;
  }
}

/** Runs one job. @param next numbers the shots over all connections */
async function run(job: Job): Promise<Measured> {
  const requests = job.shots.map((shot) => requestOf(shot, job.authorization));
  const times: number[] = [];
  let next = 0;
  let failures = 0;
  let firstFailure: string | undefined;
  const measureFrom = performance.now() + job.warmUpMs;
  const end = measureFrom + job.measureMs;

  const connection = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = net.connect({ port: job.port, host: '127.0.0.1', noDelay: true });
      const reply = new Reply();
      let sentAt = 0;
      let finished = false;
      const send = (): void => {
        sentAt = performance.now();
        if (sentAt >= end) {
          finished = true;
          socket.end();
          resolve();
          return;
        }
        if (job.once && next >= requests.length) {
          failures++;
          firstFailure ??= 'there were too few requests for the time';
          finished = true;
          socket.end();
          resolve();
          return;
        }
        const request = requests[next++ % requests.length];
        if (request) socket.write(request);
      };
      socket.on('connect', send);
      socket.on('data', (chunk) => {
        if (!reply.take(chunk)) return;
        const now = performance.now();
        if (now >= measureFrom && now <= end) {
          if (reply.status >= 200 && reply.status < 300) {
            times.push(now - sentAt);
          } else {
            failures++;
            firstFailure ??= reply.start;
          }
        }
        send();
      });
      socket.on('error', reject);
      socket.on('close', () => {
        if (finished) return;
        // The server ended the connection between two requests: the rest goes over a new one.
        failures++;
        firstFailure ??= 'connection closed by the server';
        if (performance.now() < end) connection().then(resolve, reject);
        else resolve();
      });
    });

  await Promise.all(Array.from({ length: job.connections }, connection));
  times.sort((a, b) => a - b);
  const quantile = (q: number): number => times[Math.min(times.length - 1, Math.floor(q * times.length))] ?? Number.NaN;
  return {
    perSecond: (times.length * 1000) / job.measureMs,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    failures,
    ...(firstFailure === undefined ? {} : { firstFailure }),
  };
}

process.on('message', (job: Job) => {
  run(job).then(
    (measured) => process.send?.(measured),
    (error: unknown) =>
      process.send?.({
        perSecond: 0,
        p50Ms: Number.NaN,
        p99Ms: Number.NaN,
        failures: 1,
        firstFailure: String(error),
      } satisfies Measured),
  );
});
