/** `POST [base]` with a Bundle of type batch: every entry on its own. @see https://hl7.org/fhir/R4/http.html#transaction */
import { breather } from '../breathe.ts';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { targetOf, type Reply } from '../http/request.ts';
import { badRequest, type FhirError } from '../outcome.ts';
import {
  bundleReply,
  errorEntry,
  inEntry,
  replyBudget,
  replyEntry,
  replyTooLarge,
  type BundleEntry,
} from './bundle-entry.ts';

/** Entries that run at the same time: they then share statements. */
const CONCURRENT = 20;

/** What an entry is about: whoever changes several resources and keeps them locked does so in this order, as transactions do. */
const aboutOf = ({ request }: BundleEntry): string =>
  'method' in request ? `${request.type ?? ''}/${request.id ?? ''}` : '';

/** The last phase. */
const READS = 3;

/** Deletions first and reads last, as in a transaction: then a batch that mixes them answers the same each time. */
const phaseOf = (entry: BundleEntry): number => {
  const method = 'method' in entry.request ? entry.request.method : undefined;
  return method === 'DELETE' ? 0 : method === 'POST' ? 1 : method === 'PUT' || method === 'PATCH' ? 2 : READS;
};

/** @param toFhirError makes any error one that a client may see */
export async function batch(
  engine: Engine,
  ctx: RequestContext,
  entries: readonly BundleEntry[],
  toFhirError: (error: unknown, ctx: RequestContext) => FhirError,
): Promise<Reply> {
  ctx.access.demand('batch');
  const answers: string[] = [];
  const budget = replyBudget(engine);
  const breathe = breather();
  const { isWithin = false } = engine.repository;
  const concurrent = isWithin ? 1 : CONCURRENT;
  // One after the other, or all that begin at the same time would be one long piece of work.
  let begun: Promise<unknown> = Promise.resolve();
  const run = async (entry: BundleEntry): Promise<void> => {
    const turn = (begun = begun.then(breathe));
    await turn;
    try {
      if (!('method' in entry.request) || !entry.route) throw entry.request;
      if (entry.route.interaction === 'transaction') {
        throw badRequest('not-supported', 'A Bundle cannot hold another to be run: send it by itself.', 'http.url');
      }
      // What only reads is not even begun when its answer has no room.
      if (budget.isSpent && phaseOf(entry) === READS) throw replyTooLarge(engine);
      const reply = await entry.route.handle(engine, ctx, entry.request);
      const answer = replyEntry(reply, entry.request.method);
      if (budget.take(answer)) answers[entry.index] = answer;
      // A write has happened: its answer is shortened, not refused.
      else if (reply.version && phaseOf(entry) !== READS) {
        const { body: _, ...short } = reply;
        answers[entry.index] = replyEntry(short);
      } else throw replyTooLarge(engine);
    } catch (error) {
      const failure = await toFhirError(error, ctx).complete();
      if (entry.route)
        ctx.emit({
          interaction: entry.route.interaction,
          ...('method' in entry.request ? targetOf(entry.request) : {}),
          outcome: failure.status === 403 ? 'denied' : 'failure',
        });
      answers[entry.index] = errorEntry(inEntry(entry.index, failure));
    }
  };
  for (let phase = 0; phase <= READS; phase++) {
    const waiting = entries.filter((entry) => phaseOf(entry) === phase);
    if (isWithin && phase < READS)
      waiting.sort((a, b) => (aboutOf(a) < aboutOf(b) ? -1 : aboutOf(a) > aboutOf(b) ? 1 : 0));
    for (let from = 0; from < waiting.length; from += concurrent) {
      await Promise.all(waiting.slice(from, from + concurrent).map(run));
    }
  }
  return bundleReply('batch-response', answers);
}
