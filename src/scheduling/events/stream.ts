/**
 * One open stream: what is written to it, whether its viewer may still listen, and when it has to end.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
import type { Access } from '../../fhir/access.ts';
import { FhirError } from '../../fhir/outcome.ts';
import type { Filter } from './filter.ts';
import type { Position } from './position.ts';
import { createSink, type Sink } from './sink.ts';
import { demandEvents, type Told } from './tell.ts';

export interface Listener {
  readonly filter: Filter;
  readonly access: Access;
  /** Asked again and again. @throws FhirError when the token is good no longer, or cannot be looked up */
  readonly accessNow: () => Access | Promise<Access>;
  /** `Last-Event-ID` */
  readonly lastEventId: string | undefined;
  /** Ends the connection of somebody who reads nothing. */
  readonly destroy: () => void;
}

export interface Pace {
  /** How often a token is looked at again. */
  readonly checkMs: number;
  readonly heartbeatMs: number;
  /** What may wait for a reader, who is told as it happens. */
  readonly maxWaitingBytes: number;
  /** How long something may wait for a reader who takes nothing. */
  readonly maxWaitingMs: number;
}

const WHY = {
  token: 'The access token is good no longer: get a new one, and go on with Last-Event-ID.',
  unavailable: 'The database cannot be asked just now: come again, and go on with Last-Event-ID.',
  slow: 'Events come faster than they are read: come again, and go on with Last-Event-ID.',
  shutdown: 'This server stops: come again, and go on with Last-Event-ID.',
} as const;
type Reason = keyof typeof WHY;

/** A position is told at least so often, so that the last one never gets too old to go on from. */
const POSITION_MS = 3_600_000;
/** For last words that nobody takes. */
export const FAREWELL_MS = 500;
/** On an older word nobody is told anything. */
const TRUSTED_MS = 1_000;

const written = (event: string, data: unknown, id?: string): string =>
  `event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;

/** Only the last event has an id: who has part of a page asks for all of it again. */
export const pageText = (told: readonly Told[], id: string): string =>
  told.map(({ event, data }, i) => written(event, data, i === told.length - 1 ? id : undefined)).join('');

export interface Stream {
  readonly filter: Filter;
  readonly sink: Sink;
  /** As it was found when it was looked at last. */
  readonly access: Access;
  /** Up to where everything was told. */
  position: Position;
  /** Told together with all others; else it is still catching up. */
  joined: boolean;
  readonly ended: boolean;
  /** @param text nothing: there was something, but not for this viewer */
  tell(text: string, to: Position): void;
  /** `reset`: what was told before is worth nothing. @param id as the client has it already */
  place(event: 'position' | 'reset', at: Position, id?: string): void;
  end(reason: Reason): void;
  /** Looks after it; to be called several times a second. */
  attend(): void;
  destroy(): void;
}

/**
 * @param bookmark a position as the client keeps it
 * @param onClosed called once it takes nothing more
 */
export function openStream(
  { filter, access: first, accessNow, destroy }: Listener,
  { checkMs, heartbeatMs, maxWaitingBytes, maxWaitingMs }: Pace,
  bookmark: (position: Position) => string,
  onClosed: () => void,
): Stream {
  const sink = createSink(onClosed);
  let access = first;
  let [spokenAt, placedAt] = [performance.now(), performance.now()];
  // Not all are looked at in the same moment.
  let checkedAt = performance.now() - Math.random() * checkMs;
  let checking = false;
  let passed = false;
  let endedAt: number | undefined;

  const say = (text: string): void => {
    sink.push(text);
    spokenAt = performance.now();
  };

  const fail = (error: unknown): void =>
    stream.end(error instanceof FhirError && error.status < 500 ? 'token' : 'unavailable');

  /** The answer is at hand unless something changed. */
  const check = (now: number): void => {
    if (checking) {
      if (now - checkedAt > TRUSTED_MS) stream.end('unavailable');
      return;
    }
    if (now - checkedAt < checkMs) return;
    const settle = (found: Access): void => {
      demandEvents({ access: found, filter });
      access = found;
      checkedAt = now;
    };
    try {
      const found = accessNow();
      if (!(found instanceof Promise)) return settle(found);
      checking = true;
      found
        .then(settle)
        .catch(fail)
        .finally(() => void (checking = false));
    } catch (error) {
      fail(error);
    }
  };

  const stream: Stream = {
    filter,
    sink,
    get access() {
      return access;
    },
    position: { next: 0n, running: [] },
    joined: false,
    get ended() {
      return endedAt !== undefined || sink.closed;
    },
    tell(text, to) {
      stream.position = to;
      passed = text === '';
      if (passed) return;
      placedAt = performance.now();
      say(text);
    },
    place(event, at, id = bookmark(at)) {
      stream.position = at;
      passed = false;
      placedAt = performance.now();
      say(written(event, {}, id));
    },
    end(reason) {
      if (endedAt !== undefined) return;
      endedAt = performance.now();
      sink.cut(written('end', { reason, diagnostics: WHY[reason] }));
    },
    attend() {
      const now = performance.now();
      if (endedAt !== undefined) {
        if (now - endedAt > FAREWELL_MS) stream.destroy();
        return;
      }
      check(now);
      const since = sink.waitingSince();
      // Who catches up is told no more than they read.
      if (stream.joined && sink.waiting > maxWaitingBytes) stream.end('slow');
      if (since !== undefined && now - since > maxWaitingMs) stream.end('slow');
      const due = passed ? now - spokenAt > heartbeatMs : now - placedAt > POSITION_MS;
      if (due && stream.joined) stream.place('position', stream.position);
      else if (now - spokenAt > heartbeatMs) say(':\n\n');
    },
    destroy() {
      destroy();
      sink.close();
    },
  };
  // A client that is cut off comes again after a while; not all in the same moment.
  say(`retry: ${1000 + Math.floor(Math.random() * 2000)}\n\n`);
  return stream;
}
