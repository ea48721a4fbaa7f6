/** `POST [base]`: a Bundle to be run, as a batch or as a transaction. @see https://hl7.org/fhir/R4/http.html#transaction */
import type { RequestContext } from '../context.ts';
import { readBundle } from '../http/bundle-body.ts';
import type { Handler } from '../http/request.ts';
import { badRequest, type FhirError } from '../outcome.ts';
import { batch } from './batch.ts';
import { readEntries, type MatchRoute } from './bundle-entry.ts';
import { transaction } from './transaction.ts';

/** @param toFhirError makes any error one that a client may see */
export const createBundleHandler =
  (match: MatchRoute, toFhirError: (error: unknown, ctx: RequestContext) => FhirError): Handler =>
  async (engine, ctx, request) => {
    const sent = await readBundle(engine, request);
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
  };
