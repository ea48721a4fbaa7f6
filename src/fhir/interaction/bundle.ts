/** `POST [base]`: a Bundle to be run, as a batch or as a transaction. @see https://hl7.org/fhir/R4/http.html#transaction */
import { createTurns } from '../../platform/database/turns.ts';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { receiveBundle } from '../http/bundle-body.ts';
import type { FhirRequest, Handler, Reply } from '../http/request.ts';
import { badRequest, type FhirError } from '../outcome.ts';
import { batch } from './batch.ts';
import { readEntries, type MatchRoute } from './bundle-entry.ts';
import { transaction } from './transaction.ts';

/** More at once would only hold more memory: one process has one thread for them, and the database two cores. */
const AT_ONCE = 6;
/** Short ones of few entries ask for little more than a request of its own would: they wait for no turn. */
const FEW_BYTES = 16_384;
const FEW_ENTRIES = 8;

const isSmall = (sent: unknown): boolean => {
  const { entry } = (sent ?? {}) as { readonly entry?: unknown };
  return !Array.isArray(entry) || entry.length <= FEW_ENTRIES;
};

type ToFhirError = (error: unknown, ctx: RequestContext) => FhirError;

async function run(
  engine: Engine,
  ctx: RequestContext,
  request: FhirRequest,
  sent: unknown,
  match: MatchRoute,
  toFhirError: ToFhirError,
): Promise<Reply> {
  if (typeof sent !== 'object' || sent === null || Array.isArray(sent))
    throw badRequest('structure', 'The body must be a Bundle.');
  const bundle = sent as Readonly<Record<string, unknown>>;
  if (bundle['resourceType'] !== 'Bundle') {
    throw badRequest(
      'invalid',
      'Only a Bundle is posted here; a resource goes to its type, such as [base]/Patient.',
      'resourceType',
    );
  }
  const { type } = bundle;
  if (type !== 'batch' && type !== 'transaction') {
    throw badRequest('value', 'Bundle.type must be batch or transaction to be run.', 'Bundle.type');
  }
  const entries = readEntries(engine, bundle, request.header('prefer'), match);
  const reply =
    type === 'batch' ? await batch(engine, ctx, entries, toFhirError) : await transaction(engine, ctx, entries);
  ctx.emit({ interaction: type, outcome: 'success' });
  return reply;
}

/** @param toFhirError makes any error one that a client may see */
export function createBundleHandler(match: MatchRoute, toFhirError: ToFhirError): Handler {
  const turns = createTurns(AT_ONCE);
  return async (engine, ctx, request) => {
    // Before the Bundle is read: which of the two it is makes no difference to who may send one.
    ctx.access.demand('transaction');
    // Whoever sends slowly waits for himself alone: the turn begins when the Bundle is here.
    const { size, read } = await receiveBundle(engine, request);
    const work = async (sent: unknown): Promise<Reply> => run(engine, ctx, request, sent, match, toFhirError);
    // A Bundle within a Bundle is part of its turn. And one with an Idempotency-Key has had one: waiting here it would hold what others wait for.
    const { body } = request;
    if (body.kind !== 'stream' || body.received === true) return work(await read());
    if (size >= FEW_BYTES) return turns(async () => work(await read()));
    const sent = await read();
    return isSmall(sent) ? work(sent) : turns(() => work(sent));
  };
}
