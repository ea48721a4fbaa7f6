/**
 * Why a transaction is refused before it begins: the errors of all entries, those of their references among them.
 * @see https://hl7.org/fhir/R4/http.html#transaction-response
 */
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { FhirError } from '../outcome.ts';
import { inEntry, type BundleEntry } from './bundle-entry.ts';
import { linkResolver, namesOf, rewriteLinks } from './bundle-references.ts';
import { danglingInvalid, withDangling } from './write.ts';

const CONDITIONAL = /^[A-Z][A-Za-z]+\?/;
/** Stands for what only the transaction itself would make known: a reference that is not looked up. */
const IN_BUNDLE = '#';

/** Entries that write what they hold. */
const writes = ({ route, resource }: BundleEntry): boolean =>
  resource !== undefined && (route?.interaction === 'create' || route?.interaction === 'update');

/** References of the entries that lead neither into the Bundle nor to what is stored. */
async function danglingEntries(
  engine: Engine,
  ctx: RequestContext,
  entries: readonly BundleEntry[],
): Promise<FhirError[]> {
  const names = new Map<string, string>();
  for (const { fullUrl, request } of entries) {
    for (const name of namesOf(fullUrl)) names.set(name, IN_BUNDLE);
    if (!('method' in request) || request.id === undefined) continue;
    const address = `${request.type ?? ''}/${request.id}`;
    names.set(address, IN_BUNDLE).set(`${engine.baseUrl}/${address}`, IN_BUNDLE);
  }
  const named = linkResolver(names, engine.baseUrl);
  const written = entries.filter(writes);
  const trees = written.map(({ resource }) =>
    rewriteLinks(engine.definitions, resource, (link) => (CONDITIONAL.test(link) ? IN_BUNDLE : named(link))),
  );
  const dangling = await danglingInvalid(engine, ctx.access, engine.repository, trees);
  return written.map(({ index }, i) => inEntry(index, new FhirError(422, dangling[i] ?? [])));
}

/** @param failures of single entries, at least one */
export async function planFailure(
  engine: Engine,
  ctx: RequestContext,
  entries: readonly BundleEntry[],
  failures: readonly FhirError[],
): Promise<FhirError> {
  const denied = failures.some((f) => f.status === 403);
  const status = denied ? 403 : (failures.find((f) => f.status !== 422)?.status ?? 422);
  const error = new FhirError(
    status,
    failures.flatMap((f) => f.issues),
    failures[0]?.headers,
  );
  if (denied) return error;
  return withDangling(
    error,
    (await danglingEntries(engine, ctx, entries)).flatMap((f) => f.issues),
  );
}
