/**
 * One reader of the outbox for all streams of a process: it asks four times a second, while anybody listens, and tells each stream what its viewer may
 * know. Nobody is woken by NOTIFY: the commits of all writers would wait for one another there.
 * @see https://www.postgresql.org/docs/18/sql-notify.html
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Access } from '../../fhir/access.ts';
import { breather } from '../../fhir/breathe.ts';
import type { Engine } from '../../fhir/engine.ts';
import { badRequest, errorIssue, FhirError } from '../../fhir/outcome.ts';
import { createTurns } from '../../platform/database/turns.ts';
import { errorFields, type Log } from '../../platform/log.ts';
import { OUTBOX_DAYS } from '../../platform/outbox.ts';
import { readContents, type Contents } from './contents.ts';
import { openBookmark, sealBookmark, type Bookmark, type Position } from './position.ts';
import { readChanges, readPresent, type Page, type Present } from './read.ts';
import { FAREWELL_MS, openStream, pageText, type Listener, type Pace, type Stream } from './stream.ts';
import { tell } from './tell.ts';

export interface HubOptions extends Partial<Pace> {
  readonly log: Log;
  /** Signs positions. */
  readonly key: Uint8Array;
  /** Streams open at once. */
  readonly maxStreams: number;
  readonly pollMs?: number;
}

export interface Hub {
  /** @throws FhirError 400 for a bad `Last-Event-ID`, 429 and 503 when there are too many streams, 503 while it stops */
  open(listener: Listener): Promise<ReadableStream<Uint8Array>>;
  size(): number;
  /** Ends all streams, and opens no more. */
  close(): Promise<void>;
}

/** A day less than events are kept: a transaction may have begun long before the position that does not see it. */
const OLDEST_S = (OUTBOX_DAYS - 1) * 86_400;
/** Streams that read what they missed, at a time. */
const CATCHING_UP = 2;
/** Streams of one viewer at most, and of all who are not signed in. */
const SHARE_OF_ONE = 0.1;
const SHARE_OF_ANONYMOUS = 0.5;

const tooMany = (diagnostics: string, status = 503): FhirError =>
  new FhirError(status, [errorIssue('throttled', diagnostics)], { 'Retry-After': '5' });

const whoIs = ({ principal: { kind, account, client, name } }: Access): string =>
  kind === 'anonymous' ? kind : `${kind} ${account ?? client ?? name}`;

const filters = ({ filter }: Stream): boolean => filter.references.size > 0;

export function createHub(engine: Pick<Engine, 'repository' | 'baseUrl' | 'clock'>, options: HubOptions): Hub {
  const { log, key, maxStreams, pollMs = 250 } = options;
  const { checkMs = 500, heartbeatMs = 15_000, maxWaitingBytes = 262_144, maxWaitingMs = 30_000 } = options;
  const pace: Pace = { checkMs, heartbeatMs, maxWaitingBytes, maxWaitingMs };
  const { repository, clock, baseUrl } = engine;

  const streams = new Set<Stream>();
  const catchUpTurns = createTurns(CATCHING_UP);
  const closing = new AbortController();
  /** Where those stand who are told together; unknown while nobody listens. */
  let present: Present | undefined;
  /** Nobody joins meanwhile. */
  let polling: Promise<unknown> | undefined;
  let running: Promise<void> | undefined;

  const nowSeconds = (): number => Math.floor(clock.now() / 1000);
  /** @param since what has not been told before it may be so old, in seconds since the epoch */
  const bookmark = (position: Position, since = nowSeconds()): string =>
    sealBookmark(key, { position, era: present?.era ?? '00000000', at: since });
  const textFor = (contents: Contents, { access, filter }: Stream, id: string): string =>
    pageText(tell(contents, { access, filter }, baseUrl), id);

  /** Who sees and asks for the same is told the same. */
  const tellAll = async (all: readonly Stream[], contents: Contents, to: Position, since?: number): Promise<void> => {
    const id = bookmark(to, since);
    const texts = new Map<string, string>();
    const breathe = breather();
    for (const stream of all) {
      const same = `${stream.access.key}\n${stream.filter.key}`;
      const text = texts.get(same) ?? textFor(contents, stream, id);
      texts.set(same, text);
      stream.tell(text, to);
      await breathe();
    }
  };

  const tellPage = async (all: readonly Stream[], { changes, to }: Page, since?: number): Promise<void> => {
    try {
      await tellAll(all, await readContents(engine, changes, all.some(filters)), to, since);
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
      // A resource that cannot be understood would be in the way of everything after it, for ever.
      log.error('Events cannot be told', errorFields(error));
      for (const stream of all) stream.place('reset', to);
    }
  };

  /** Another database answers: one that was recovered from a backup, or took over, and knows nothing of where streams stood. */
  const startOver = async (): Promise<void> => {
    present = await readPresent(repository);
    for (const stream of streams) {
      if (stream.joined) stream.place('reset', present.position);
      else stream.end('unavailable');
    }
  };

  /** One page for all who have joined. @returns whether there is more */
  const poll = async (): Promise<boolean> => {
    const known = (present ??= await readPresent(repository));
    const page = await readChanges(repository, known.position);
    if (page.era !== known.era || page.to.next < known.position.next) {
      await startOver();
      return false;
    }
    const joined = [...streams].filter((s) => s.joined);
    if (page.changes.length > 0 && joined.length > 0) await tellPage(joined, page);
    else for (const stream of joined) stream.position = page.to;
    present = { ...known, position: page.to };
    return page.more;
  };

  /** While anybody listens. */
  const run = async (): Promise<void> => {
    const timer = setInterval(() => streams.forEach((stream) => stream.attend()), Math.min(checkMs, pollMs) / 2);
    timer.unref();
    let failed = false;
    while (streams.size > 0) {
      let more = false;
      try {
        polling = poll().then((rest) => void (more = rest));
        await polling;
        failed = false;
      } catch (error) {
        if (!failed) log.warn('Events cannot be read', errorFields(error));
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
  const catchUp = async (stream: Stream, since: number | undefined): Promise<void> => {
    for (;;) {
      if (polling) {
        await polling.catch(() => undefined);
        continue;
      }
      const here = present;
      if (!here || stream.ended) return;
      const until = here.position;
      if (stream.position === until) break;
      const page = await catchUpTurns(() => readChanges(repository, stream.position, until));
      if (page.era !== here.era) return stream.end('unavailable');
      if (page.changes.length > 0) await tellPage([stream], page, page.more ? since : undefined);
      await stream.sink.room();
      stream.position = page.more ? page.to : until;
    }
    stream.joined = true;
  };

  const demandRoom = (access: Access): void => {
    if (closing.signal.aborted) throw tooMany('The server stops: come again in a moment.');
    if (streams.size >= maxStreams) throw tooMany('The server has as many streams open as it takes: come again.');
    const who = whoIs(access);
    const theirs = [...streams].filter((s) => whoIs(s.access) === who).length;
    const share = who === 'anonymous' ? SHARE_OF_ANONYMOUS : SHARE_OF_ONE;
    if (theirs >= Math.max(1, maxStreams * share))
      throw tooMany('You have as many streams open as one may have: close some.', 429);
  };

  const parseBookmark = (text: string | undefined): Bookmark | undefined => {
    if (text === undefined || text === '') return undefined;
    const opened = openBookmark(key, text);
    if (opened) return opened;
    throw badRequest(
      'value',
      'Last-Event-ID is none that was sent from here: send the last one as it came, or leave the header out.',
      'http.Last-Event-ID',
    );
  };

  return {
    async open(listener) {
      const from = parseBookmark(listener.lastEventId);
      demandRoom(listener.access);
      const stream: Stream = openStream(listener, pace, bookmark, () => void streams.delete(stream));
      streams.add(stream);
      start();
      try {
        const found = await readPresent(repository);
        const { era, position } = (present ??= found);
        const isGood =
          from?.era === era && from.position.next <= found.position.next && nowSeconds() - from.at <= OLDEST_S;
        if (from && isGood) stream.place('position', from.position, listener.lastEventId);
        else stream.place(from ? 'reset' : 'position', position);
      } catch (error) {
        streams.delete(stream);
        throw error;
      }
      catchUp(stream, from?.at).catch(() => stream.end('unavailable'));
      return stream.sink.stream;
    },
    size: () => streams.size,
    async close() {
      closing.abort();
      for (const stream of streams) stream.end('shutdown');
      for (let waited = 0; streams.size > 0 && waited < FAREWELL_MS; waited += 20) await sleep(20);
      for (const stream of streams) stream.destroy();
      await running;
    },
  };
}
