/**
 * `POST [base]` with a Bundle of type transaction: all entries or none, in few statements.
 * Deletions, then creates, updates and patches, then reads.
 * @see https://hl7.org/fhir/R4/http.html#trules
 */
import { mayWrite } from '../access.ts';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import type { Reply } from '../http/request.ts';
import { FhirError } from '../outcome.ts';
import type { PreparedWrite, Reader, Repository, StoredVersion, Transaction } from '../store/repository.ts';
import {
  bundleReply,
  inEntry,
  replyBudget,
  replyEntry,
  replyTooLarge,
  withBufferedEvents,
  type BundleEntry,
} from './bundle-entry.ts';
import { prepareChanges, runChanges, withinAsync, type Applied } from './transaction-changes.ts';
import { resolveChanges } from './transaction-conditions.ts';
import { planTransaction, type ChangeEntry, type TransactionPlan, type WriteEntry } from './transaction-plan.ts';
import { demandUnseen, replyToWrite, retryOnChange } from './write.ts';

/** The repository as seen from inside: handlers of reads and operations run in the open transaction. */
function repositoryInside(tx: Transaction): Repository {
  return { ...tx, create: (write, access) => tx.insert([write], access), transaction: (_, work) => work(tx) };
}

/** Current versions of what the entries name, read together. */
async function currentVersions(
  reader: Reader,
  ctx: RequestContext,
  entries: readonly ChangeEntry[],
): Promise<ReadonlyMap<string, StoredVersion>> {
  const named = entries.filter((e) => e.id !== undefined && e.kind !== 'create');
  const found = await Promise.all(
    named.map(async ({ index, kind, type, id = '' }) => {
      const act = kind === 'delete' ? 'delete' : 'update';
      const version = await reader.read(type, id, ctx.access.to(act));
      if (!version) await withinAsync(index, () => demandUnseen(reader, ctx.access, act, type, id));
      return version;
    }),
  );
  return new Map(found.flatMap((v) => (v ? [[`${v.type}/${v.id}`, v] as const] : [])));
}

/** What only adds frees nothing by itself: what is refused of it at once would be refused in the end. @throws FhirError */
async function foresee(
  engine: Engine,
  ctx: RequestContext,
  { writes }: TransactionPlan,
  creates: readonly PreparedWrite[],
): Promise<void> {
  const rows = ctx.access.to('create');
  // Of what they may not write, nobody is told more than that.
  if (!creates.every((create) => mayWrite(create, rows))) return;
  for (const [i, { type, resource }] of creates.entries()) {
    try {
      await engine.resources.get(type)?.foresee?.(resource, ctx.access.principal);
    } catch (error) {
      throw error instanceof FhirError ? inEntry(writes[i]?.index ?? i, await error.complete()) : error;
    }
  }
}

function changeReply(engine: Engine, ctx: RequestContext, entry: WriteEntry, applied: Applied): Reply {
  const done = applied.written.get(entry.index);
  if (!done) throw new Error(`entry ${entry.index} was not written`);
  return replyToWrite(engine, ctx.access, entry.request, done.created ? 201 : 200, done.version);
}

function emitChanges(ctx: RequestContext, plan: TransactionPlan, applied: Applied): void {
  const tell = (interaction: 'create' | 'update' | 'patch' | 'delete', type: string, id: string): void =>
    ctx.emit({ interaction, type, resources: [`${type}/${id}`], outcome: 'success' });
  for (const { type, id } of applied.deleted.values()) tell('delete', type, id);
  for (const write of plan.writes) {
    const id = applied.written.get(write.index)?.version.id;
    if (id !== undefined) tell(write.kind, write.type, id);
  }
}

export async function transaction(
  engine: Engine,
  ctx: RequestContext,
  entries: readonly BundleEntry[],
): Promise<Reply> {
  ctx.access.demand('transaction');
  const work = await planTransaction(engine, ctx, entries);
  const changes: readonly ChangeEntry[] = [...work.deletes, ...work.writes];
  const versioned = changes.some((e) => e.request.header('if-match') !== undefined);

  const attempt = async (): Promise<{ answers: string[]; applied: Applied; release(): void }> => {
    const current = await currentVersions(engine.repository, ctx, changes);
    // Without conditions all can be made ready before the transaction begins, which then holds its locks for a few statements only.
    const ready = work.conditional ? undefined : await prepareChanges(engine, ctx, work, current);
    if (ready && changes.every((e) => e.kind === 'create')) await foresee(engine, ctx, work, ready.creates);
    return engine.repository.transaction(work.conditional ? 'serializable' : 'read committed', async (tx) => {
      const applied = ready
        ? await runChanges(tx, ctx.access, ready)
        : await resolveChanges(engine, ctx, tx, work, current);
      const answers: string[] = [];
      const budget = replyBudget(engine);
      const give = (index: number, answer: string): void => {
        if (!budget.take(answer)) throw inEntry(index, replyTooLarge(engine));
        answers[index] = answer;
      };
      for (const entry of work.deletes) give(entry.index, replyEntry({ status: 204 }));
      for (const entry of work.writes) give(entry.index, replyEntry(changeReply(engine, ctx, entry, applied)));
      const events = withBufferedEvents(ctx);
      const inside: Engine = { ...engine, repository: repositoryInside(tx) };
      for (const { index, request, route } of work.reads) {
        try {
          const reply = await route.handle(inside, events.ctx, request);
          give(index, replyEntry(reply, request.method));
        } catch (error) {
          throw error instanceof FhirError ? inEntry(index, error) : error;
        }
      }
      return { answers, applied, release: () => events.release() };
    });
  };

  const { answers, applied, release } = await retryOnChange(versioned, attempt);
  emitChanges(ctx, work, applied);
  release();
  return bundleReply('transaction-response', answers);
}
