/**
 * A request with an Idempotency-Key has its effect once, however often it is sent: effect and reply are committed together, and from then on the reply is
 * given again. So whoever does not know what became of a request simply repeats it.
 * @see https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07
 */
import { createTurns } from '../../platform/database/turns.ts';
import type { ContextEvent, RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { withBufferedEvents } from '../interaction/bundle-entry.ts';
import { errorIssue, FhirError } from '../outcome.ts';
import type { KeptReply } from '../store/kept-reply.ts';
import type { Isolation, Transaction } from '../store/repository.ts';
import { createWithin } from '../store/repository-within.ts';
import { keyedRequest, type Address, type KeyedRequest } from './idempotency-request.ts';
import { etagOf } from './preconditions.ts';
import { errorReply } from './render.ts';
import type { FhirRequest, Reply, Route } from './request.ts';

/** Handles a request; one with a key once. */
export type Once = (route: Route, ctx: RequestContext, request: FhirRequest, address: Address) => Promise<Reply>;

/**
 * Requests with a key that run at a time in one process. Each holds a connection of the pool from beginning to end while others need one for a
 * statement: they must never have all of them.
 */
const AT_ONCE = 4;
/** Bundles among them: they take long, and others must not wait for nothing but Bundles. */
const BUNDLES_AT_ONCE = 2;

const HEADER = 'http.Idempotency-Key';

const inProgress = (): FhirError =>
  new FhirError(
    409,
    [
      errorIssue(
        'conflict',
        'A request with this Idempotency-Key is under way: send this one again, and get its reply.',
        HEADER,
      ),
    ],
    { 'Retry-After': '1' },
  );

const otherRequest = (): FhirError =>
  new FhirError(422, [
    errorIssue(
      'business-rule',
      'This Idempotency-Key came with another request before: take a new key for every request, and the same one only to repeat it unchanged.',
      HEADER,
    ),
  ]);

/** What is answered to everyone who repeats the request: it was done, or refused because of how things stood. See docs/rest.md. */
const isFinal = ({ status, headers }: Reply): boolean =>
  ((status >= 200 && status < 300) || status === 409 || status === 412 || status === 422) &&
  headers?.['Retry-After'] === undefined;

/** An operation's reply that is not final. */
class NotFinal extends Error {
  readonly reply: Reply;
  constructor(reply: Reply) {
    super('The reply is not kept, and so must its effect not be');
    this.reply = reply;
  }
}

/** Some part needs more than `read committed`. */
class NeedsSerializable extends Error {}

/** The request was done meanwhile, under the same key. */
class Overtaken extends Error {}

interface Outcome {
  readonly reply: Reply;
  /** The handler threw it: then its effects are undone, and the reply says so. */
  readonly refusal?: FhirError;
}

async function outcomeOf(tx: Transaction, work: () => Promise<Reply>): Promise<Outcome> {
  try {
    return { reply: await tx.nested(work) };
  } catch (error) {
    if (!(error instanceof FhirError)) throw error;
    return { reply: errorReply(error), refusal: error };
  }
}

const failuresOf = (events: readonly ContextEvent[]): readonly ContextEvent[] =>
  events.filter((e) => e.outcome !== 'success');

/** @throws FhirError 413 */
function keptReply(
  { limits }: Engine,
  { ctx }: KeyedRequest,
  reply: Reply,
  events: readonly ContextEvent[],
): KeptReply {
  const { status, version, headers, body } = reply;
  if (body !== undefined && typeof body !== 'string') throw new Error('Only replies of text are kept');
  if (body !== undefined && body.length > limits.bundleBytes)
    throw new FhirError(413, [
      errorIssue(
        'too-costly',
        `Replies of ${limits.bundleBytes} bytes at most are kept under an Idempotency-Key: leave the reads to a request without one.`,
        HEADER,
      ),
    ]);
  const ofVersion = version && { ETag: etagOf(version.version), 'Last-Modified': version.lastUpdated.toUTCString() };
  return {
    status,
    headers: { ...ofVersion, ...headers },
    body,
    resources: [...new Set(events.flatMap((e) => e.resources ?? []))],
    accessKey: ctx.access.key,
  };
}

export function createOnce(engine: Engine): Once {
  const { keptReplies, repository } = engine;
  const turns = createTurns(AT_ONCE);
  const bundleTurns = createTurns(BUNDLES_AT_ONCE);

  /** The kept reply, if there is one. @throws FhirError 422 when it is another request's */
  const again = async ({ route, ctx, request, name, sameness }: KeyedRequest): Promise<Reply | undefined> => {
    const kept = await keptReplies.find(repository, name);
    if (!kept) return undefined;
    if (kept.request !== sameness) throw otherRequest();
    const { status, headers, body, resources, accessKey } = kept.reply;
    // Rights that have changed may show less by now: what it showed is left out, and can be read.
    const shown = accessKey === ctx.access.key;
    ctx.emit({
      interaction: route.interaction,
      ...(request.operation === undefined ? {} : { operation: request.operation }),
      ...(request.type === undefined ? {} : { type: request.type }),
      ...(shown ? { resources } : {}),
      outcome: status < 300 ? 'success' : 'failure',
      replayed: true,
    });
    const replayed = { ...headers, 'Idempotency-Replayed': 'true' };
    return { status, headers: replayed, ...(shown && body !== undefined ? { body } : {}) };
  };

  /** @param begun gets the events of the attempt, each time that it begins */
  const attempt = (
    keyed: KeyedRequest,
    isolation: Isolation,
    begun: (events: readonly ContextEvent[]) => void,
  ): Promise<Outcome> =>
    repository.transaction(isolation, async (tx) => {
      if (!(await keptReplies.claim(tx, keyed.name))) throw inProgress();
      const { ctx, events } = withBufferedEvents(keyed.ctx);
      begun(events);
      const within = createWithin(tx, isolation);
      const inside: Engine = { ...engine, repository: within.repository };
      const outcome = await outcomeOf(tx, () => keyed.route.handle(inside, ctx, keyed.request)).finally(() => {
        // Whatever became of it, also where a batch took it for the failure of an entry.
        if (within.needsSerializable()) throw new NeedsSerializable();
      });
      const { reply, refusal } = outcome;
      if (!isFinal(reply)) throw refusal ?? new NotFinal(reply);
      const kept = keptReply(engine, keyed, reply, refusal ? [] : events);
      if (!(await keptReplies.keep(tx, keyed.name, keyed.sameness, kept))) throw new Overtaken();
      return outcome;
    });

  const once = async (keyed: KeyedRequest): Promise<Reply> => {
    const before = await again(keyed);
    if (before) return before;
    const { ctx, route } = keyed;
    let events: readonly ContextEvent[] = [];
    const begun = (begunEvents: readonly ContextEvent[]): void => void (events = begunEvents);
    const tell = (some: readonly ContextEvent[]): void => some.forEach((event) => ctx.emit(event));
    let outcome: Outcome;
    try {
      outcome = await attempt(keyed, keyed.isolation, begun).catch((error: unknown) => {
        if (error instanceof NeedsSerializable) return attempt(keyed, 'serializable', begun);
        throw error;
      });
    } catch (error) {
      // A connection that broke at the commit, or another request that was faster: what holds is what has been kept.
      const meanwhile = await again(keyed);
      if (meanwhile) return meanwhile;
      tell(failuresOf(events));
      if (error instanceof Overtaken) throw inProgress();
      if (!(error instanceof NotFinal)) throw error;
      ctx.emit({ interaction: route.interaction, outcome: 'failure' });
      return error.reply;
    }
    const { reply, refusal } = outcome;
    tell(refusal ? failuresOf(events) : events);
    if (refusal) throw refusal;
    return reply;
  };

  return async (route, ctx, request, address) => {
    const keyed = await keyedRequest(engine, route, ctx, request, address);
    if (!keyed) return route.handle(engine, ctx, request);
    const inTurn = (): Promise<Reply> => turns(() => once(keyed));
    return route.interaction === 'transaction' ? bundleTurns(inTurn) : inTurn();
  };
}
