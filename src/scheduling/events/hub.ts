/**
 * One reader of the outbox for all streams of a process: it asks four times a second, while anybody listens, and tells each stream what its viewer may
 * know. Nobody is woken by NOTIFY: commits of all writers would wait for one another there.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Access } from '../../fhir/access.ts';
import { breather } from '../../fhir/breathe.ts';
import type { Engine } from '../../fhir/engine.ts';
import { errorIssue, FhirError } from '../../fhir/outcome.ts';
import { createTurns } from '../../platform/database/turns.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import { OUTBOX_DAYS } from '../../platform/outbox.ts';
import { readContents, type Contents } from './contents.ts';
import type { Filter } from './filter.ts';
import { openBookmark, sealBookmark, type Bookmark, type Position } from './position.ts';
import { readChanges, readPresent, type Present } from './read.ts';
import { createSink, type Sink } from './sink.ts';
import { demandEvents, tell, type Told } from './tell.ts';

export interface HubOptions {
  readonly log: Log;
  /** Signs positions. */
  readonly key: Uint8Array;
  /** Streams open at once. */
  readonly maxStreams: number;
  readonly pollMs?: number;
  /** How often each token is looked at again. */
  readonly checkMs?: number;
  readonly heartbeatMs?: number;
  /** What may wait for a reader. */
  readonly maxWaitingBytes?: number;
  /** How long something may wait for a reader who takes nothing. */
  readonly maxWaitingMs?: number;
}

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

export interface Hub {
  /** @throws FhirError 400 for a bad `Last-Event-ID`, 429 and 503 when there are too many streams, 503 while it stops */
  open(listener: Listener): Promise<ReadableStream<Uint8Array>>;
  size(): number;
  /** Ends all streams. */
  close(): Promise<void>;
}

type End = 'token' | 'unavailable' | 'slow' | 'shutdown';

const WHY: Readonly<Record<End, string>> = {
  token: 'The access token is good no longer: get a new one, and go on with Last-Event-ID.',
  unavailable: 'The database cannot be asked just now: come again, and go on with Last-Event-ID.',
  slow: 'Events come faster than they are read: come again, and go on with Last-Event-ID.',
  shutdown: 'This server stops: come again, and go on with Last-Event-ID.',
};

interface Stream {
  readonly listener: Listener;
  readonly sink: Sink;
  access: Access;
  /** Up to where everything was told. */
  position: Position;
  /** Told together with all others; else it is still catching up. */
  joined: boolean;
  /** Events passed since the last position was told. */
  passed: boolean;
  /** By the monotonic clock: */
  spokenAt: number;
  positionAt: number;
  checkedAt: number;
  checking: boolean;
  endedAt: number | undefined;
}

/** A position is told at least so often, so that it never gets too old to go on from. */
const POSITION_MS = 3_600_000;
/** A day less than events are kept: transactions may have begun before a position that they are not part of. */
const OLDEST_S = (OUTBOX_DAYS - 1) * 86_400;
/** Last words that nobody takes. */
const FAREWELL_MS = 500;
/** On an older word nobody is told anything. */
const TRUSTED_MS = 1_000;
/** Streams that read what they missed, at a time. */
const CATCHING_UP = 2;
/** Streams of one viewer at most, and of all who are not signed in. */
const SHARE_OF_ONE = 0.1;
const SHARE_OF_ANONYMOUS = 0.5;

const unavailable = (diagnostics: string, status = 503): FhirError =>
  new FhirError(status, [errorIssue('throttled', diagnostics)], { 'Retry-After': '5' });

const whoIs = ({ principal: { kind, account, client, name } }: Access): string =>
  kind === 'anonymous' ? kind : `${kind} ${account ?? client ?? name}`;

const written = (event: string, data: unknown, id?: string): string =>
  `event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;

export function createHub(engine: Pick<Engine, 'repository' | 'baseUrl' | 'clock'>, options: HubOptions): Hub {
  const { log, key, maxStreams } = options;
  const { repository, clock } = engine;
  const pollMs = options.pollMs ?? 250;
  const checkMs = options.checkMs ?? 500;
  const heartbeatMs = options.heartbeatMs ?? 15_000;
  const maxWaitingBytes = options.maxWaitingBytes ?? 262_144;
  const maxWaitingMs = options.maxWaitingMs ?? 30_000;

  const streams = new Set<Stream>();
  const catchUpTurns = createTurns(CATCHING_UP);
  const closing = new AbortController();
  /** Where those stand who are told together; unknown while nobody listens. */
  let present: Present | undefined;
  let polling: Promise<unknown> | undefined;
  let running: Promise<void> | undefined;

  const bookmark = (position: Position): string =>
    sealBookmark(key, { position, era: present?.era ?? '00000000', at: Math.floor(clock.now() / 1000) });

  const say = (stream: Stream, text: string): void => {
    stream.sink.push(text);
    stream.spokenAt = performance.now();
  };
  const sayPosition = (stream: Stream, event: 'position' | 'reset', position: Position): void => {
    stream.position = position;
    stream.passed = false;
    stream.positionAt = performance.now();
    say(stream, written(event, {}, bookmark(position)));
  };
  const end = (stream: Stream, reason: End): void => {
    if (stream.endedAt !== undefined) return;
    stream.endedAt = performance.now();
    stream.sink.cut(written('end', { reason, diagnostics: WHY[reason] }));
  };

  const forget = (stream: Stream): void => {
    stream.listener.destroy();
    streams.delete(stream);
  };

  /** All that one viewer is told of a page. Only the last event has an id: who has part of the page asks for all of it again. */
  const pageText = (told: readonly Told[], id: string): string =>
    told.map(({ event, data }, i) => written(event, data, i === told.length - 1 ? id : undefined)).join('');

  const tellOne = (stream: Stream, text: string, to: Position): void => {
    stream.position = to;
    if (text === '') stream.passed = true;
    else {
      stream.passed = false;
      stream.positionAt = performance.now();
      say(stream, text);
    }
  };

  const textFor = (contents: Contents, { access, listener: { filter } }: Stream, id: string): string =>
    pageText(tell(contents, { access, filter }, engine.baseUrl), id);

  const filters = (stream: Stream): boolean => stream.listener.filter.references.size > 0;

  /** One page for all who have joined. @returns whether there is more */
  const poll = async (): Promise<boolean> => {
    const known = (present ??= await readPresent(repository));
    const { changes, to, more } = await readChanges(repository, known.position);
    const joined = [...streams].filter((s) => s.joined);
    if (changes.length > 0 && joined.length > 0) {
      const contents = await readContents(engine, changes, joined.some(filters));
      const id = bookmark(to);
      const texts = new Map<string, string>();
      const breathe = breather();
      for (const stream of joined) {
        const same = `${stream.access.key}\n${stream.listener.filter.key}`;
        const text = texts.get(same) ?? textFor(contents, stream, id);
        texts.set(same, text);
        tellOne(stream, text, to);
        await breathe();
      }
    } else for (const stream of joined) stream.position = to;
    present = { ...known, position: to };
    return more;
  };

  /** The token is looked at again; the answer is at hand unless something changed. */
  const check = (stream: Stream, now: number): void => {
    if (stream.checking) {
      if (now - stream.checkedAt > TRUSTED_MS) end(stream, 'unavailable');
      return;
    }
    if (now - stream.checkedAt < checkMs) return;
    const settle = (access: Access): void => {
      demandEvents({ access, filter: stream.listener.filter });
      stream.access = access;
      stream.checkedAt = now;
    };
    const fail = (error: unknown): void => {
      const known = error instanceof FhirError && error.status < 500;
      end(stream, known ? 'token' : 'unavailable');
    };
    try {
      const access = stream.listener.accessNow();
      if (!(access instanceof Promise)) return settle(access);
      stream.checking = true;
      access
        .then(settle)
        .catch(fail)
        .finally(() => void (stream.checking = false));
    } catch (error) {
      fail(error);
    }
  };

  const attend = (stream: Stream): void => {
    const now = performance.now();
    if (stream.endedAt !== undefined) {
      if (now - stream.endedAt > FAREWELL_MS) forget(stream);
      return;
    }
    check(stream, now);
    const since = stream.sink.waitingSince();
    // Who catches up is told no more than they read.
    if (stream.joined && stream.sink.waiting > maxWaitingBytes) end(stream, 'slow');
    if (since !== undefined && now - since > maxWaitingMs) end(stream, 'slow');
    if (stream.passed ? now - stream.spokenAt > heartbeatMs : now - stream.positionAt > POSITION_MS)
      sayPosition(stream, 'position', stream.position);
    else if (now - stream.spokenAt > heartbeatMs) say(stream, ':\n\n');
  };

  /** After a failure nobody knows which database answers next: one that was recovered from a backup begins again. */
  const recover = async (): Promise<void> => {
    const known = present;
    const found = await readPresent(repository);
    if (!known || (found.era === known.era && found.position.next >= known.position.next)) return;
    present = found;
    for (const stream of streams) {
      if (stream.joined) sayPosition(stream, 'reset', found.position);
      else end(stream, 'unavailable');
    }
  };

  /** While anybody listens. */
  const run = async (): Promise<void> => {
    const timer = setInterval(() => streams.forEach((stream) => attend(stream)), Math.min(checkMs, pollMs) / 2);
    timer.unref();
    let failed = false;
    while (streams.size > 0) {
      let more = false;
      try {
        polling = failed ? recover() : poll().then((rest) => void (more = rest));
        await polling;
        failed = false;
      } catch (error) {
        if (!failed) console.error(error);
        log.warn('Events cannot be read', errorFields(error));
        failed = true;
      }
      polling = undefined;
      await sleep(more ? 0 : pollMs, undefined, { ref: false, signal: closing.signal }).catch(() => undefined);
    }
    clearInterval(timer);
    present = undefined;
  };
  const start = (): void => {
    running ??= run().finally(() => {
      running = undefined;
      // Somebody came while it ended.
      if (streams.size > 0) start();
    });
  };

  /** Tells what was missed, page by page as it is read, and joins the others where they stand. */
  const catchUp = async (stream: Stream): Promise<void> => {
    for (;;) {
      while (polling) await polling.catch(() => undefined);
      const until = present?.position;
      if (!until || stream.sink.closed || stream.endedAt !== undefined) return;
      if (stream.position === until) break;
      const { changes, to, more } = await catchUpTurns(() => readChanges(repository, stream.position, until));
      if (changes.length > 0) {
        const contents = await readContents(engine, changes, filters(stream));
        if (stream.endedAt !== undefined) return;
        tellOne(stream, textFor(contents, stream, bookmark(to)), to);
        await stream.sink.room();
      }
      stream.position = more ? to : until;
    }
    stream.joined = true;
  };

  const refuseTooMany = (access: Access): void => {
    if (closing.signal.aborted) throw unavailable('The server stops: come again in a moment.');
    if (streams.size >= maxStreams) throw unavailable('The server has as many streams open as it takes: come again.');
    const who = whoIs(access);
    const theirs = [...streams].filter((s) => whoIs(s.access) === who).length;
    const share = who === 'anonymous' ? SHARE_OF_ANONYMOUS : SHARE_OF_ONE;
    if (theirs >= Math.max(1, maxStreams * share))
      throw unavailable('You have as many streams open as one may have: close some.', 429);
  };

  const openPosition = (text: string | undefined): Bookmark | undefined => {
    if (text === undefined || text === '') return undefined;
    const opened = openBookmark(key, text);
    if (opened) return opened;
    throw new FhirError(400, [
      errorIssue(
        'value',
        'Last-Event-ID is none that was sent from here: send the last one as it came, or leave the header out.',
        'http.Last-Event-ID',
      ),
    ]);
  };

  return {
    async open(listener) {
      const from = openPosition(listener.lastEventId);
      refuseTooMany(listener.access);
      // Checked now, and from then on not all at the same moment.
      const now = performance.now();
      const sink = createSink(() => void streams.delete(stream));
      const stream: Stream = {
        listener,
        sink,
        access: listener.access,
        position: { next: 0n, running: [] },
        joined: false,
        passed: false,
        spokenAt: now,
        positionAt: now,
        checkedAt: now - Math.random() * checkMs,
        checking: false,
        endedAt: undefined,
      };
      streams.add(stream);
      start();
      try {
        const found = await readPresent(repository);
        while (polling) await polling.catch(() => undefined);
        const here = (present ??= found);
        const { position } = here;
        const tooOld =
          from !== undefined &&
          (from.era !== here.era ||
            from.position.next > found.position.next ||
            clock.now() / 1000 - from.at > OLDEST_S);
        say(stream, `retry: ${1000 + Math.floor(Math.random() * 2000)}\n\n`);
        sayPosition(stream, tooOld ? 'reset' : 'position', from && !tooOld ? from.position : position);
      } catch (error) {
        streams.delete(stream);
        throw error;
      }
      catchUp(stream).catch(() => end(stream, 'unavailable'));
      return sink.stream;
    },
    size: () => streams.size,
    async close() {
      closing.abort();
      for (const stream of streams) end(stream, 'shutdown');
      for (let waited = 0; streams.size > 0 && waited < FAREWELL_MS; waited += 20) await sleep(20);
      streams.forEach(forget);
      await running;
    },
  };
}
