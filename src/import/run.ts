/**
 * Import in two passes. The first reads everything, validates it and notes who refers to whom; the second reads again and stores what can be stored,
 * in any order, since by then every target is known to be there or to come.
 */
import type { Resource } from '@medplum/fhirtypes';
import type { RequestContext } from '../fhir/context.ts';
import type { Engine } from '../fhir/engine.ts';
import { storeAll, type StoreOutcome } from '../fhir/interaction/store-all.ts';
import { errorIssue, FhirError, type Issue } from '../fhir/outcome.ts';
import { CONDITIONAL_MARK, firstPass, settled, type FirstPass } from './first-pass.ts';
import { idOf, keyOf } from './identity.ts';
import { Ledger, type Dangling } from './ledger.ts';
import { readFileItems, type Place, type ReadLimits, type SourceFile } from './source.ts';

/** A resource, line or file that was not imported, and why. */
export interface Refusal {
  readonly place: Place;
  /** `Type/id` where it is known. */
  readonly key: string | undefined;
  readonly issues: readonly Issue[];
}

export interface TypeCount {
  created: number;
  updated: number;
  unchanged: number;
  refused: number;
}

export interface ImportReport {
  readonly counts: ReadonlyMap<string, TypeCount>;
  readonly refusals: number;
}

export interface ImportObserver {
  /** `check`: bytes read of all bytes; `store`: resources written of all that will be. */
  progress(phase: 'check' | 'store', done: number, total: number): void;
  refused(refusal: Refusal): void;
}

const ASKED_AT_ONCE = 2000;
const STORED_AT_ONCE = 500;
/** While one batch is written the next is read and made ready. */
const BATCHES_UNDER_WAY = 2;

interface Run extends FirstPass {
  readonly ctx: RequestContext;
  readonly counts: Map<string, TypeCount>;
}

function countOf(counts: Map<string, TypeCount>, type: string): TypeCount {
  let count = counts.get(type);
  if (!count) counts.set(type, (count = { created: 0, updated: 0, unchanged: 0, refused: 0 }));
  return count;
}

function danglingIssue({ target, expression, refused }: Dangling): Issue {
  if (target.startsWith(CONDITIONAL_MARK)) {
    return errorIssue(
      'not-supported',
      'Conditional references work only in transactions sent to the server: name the resource as Type/id.',
      expression,
    );
  }
  const reason = refused
    ? 'was refused'
    : target.startsWith('urn:')
      ? 'is the fullUrl of no entry of the input'
      : 'is neither in the input nor stored already';
  return errorIssue(
    'not-found',
    `${target} ${reason}: ${refused ? 'mend it' : 'import it too'}, or correct the reference.`,
    expression,
  );
}

/** What the database holds of the targets that the input does not. */
async function storedTargets({ engine, ctx, ledger }: Run): Promise<Set<string>> {
  const found = new Set<string>();
  let asked: string[] = [];
  const ask = async (): Promise<void> => {
    for (const key of await engine.repository.existing(asked, ctx.access.to('refer'))) found.add(key);
    asked = [];
  };
  for (const key of ledger.outside()) if (asked.push(key) === ASKED_AT_ONCE) await ask();
  if (asked.length > 0) await ask();
  return found;
}

interface Waiting {
  readonly place: Place;
  readonly resource: Resource;
}

async function storeBatch(run: Run, batch: readonly Waiting[]): Promise<void> {
  const outcomes: readonly StoreOutcome[] = await storeAll(
    run.engine,
    run.ctx,
    batch.map((b) => b.resource),
    { existing: 'replace' },
  );
  outcomes.forEach((outcome, i) => {
    const { place, resource } = batch[i] ?? {};
    if (!resource || !place) return;
    if (outcome instanceof FhirError)
      run.refuse(place, resource.resourceType, `${resource.resourceType}/${resource.id}`, outcome.issues);
    else countOf(run.counts, resource.resourceType)[outcome]++;
  });
}

/**
 * Imports files into the database of an engine. Running it again changes nothing; what differs from before becomes a new version.
 * @param ctx of a system principal: ids are those of the input
 */
export async function importFiles(
  engine: Engine,
  ctx: RequestContext,
  files: readonly SourceFile[],
  limits: ReadLimits,
  observer: ImportObserver,
): Promise<ImportReport> {
  const counts = new Map<string, TypeCount>();
  let refusals = 0;
  const ledger = new Ledger();
  const refuse = (place: Place, type: string, key: string | undefined, issues: readonly Issue[]): void => {
    refusals++;
    countOf(counts, type === '' ? 'unreadable' : type).refused++;
    observer.refused({ place, key, issues });
  };
  const run: Run = { engine, ctx, ledger, counts, refuse };

  const allBytes = files.reduce((sum, f) => sum + f.bytes, 0);
  let readBytes = 0;
  // By item, in the order of reading: the number of a resource to be stored, doubled, plus one if it has names to resolve; else -1.
  const verdicts: number[] = [];
  for (const file of files) {
    for await (const items of readFileItems(file, limits, (bytes) => (readBytes += bytes))) {
      for (const item of items) {
        if (item.kind === 'unreadable') refuse(item.place, '', undefined, item.issues);
        const verdict = item.kind === 'unreadable' ? 'left out' : firstPass(run, item);
        verdicts.push(verdict === 'left out' ? -1 : verdict.number * 2 + (verdict.named ? 1 : 0));
      }
      observer.progress('check', readBytes, allBytes);
    }
  }
  ledger.resolveNames();
  const dangling = Map.groupBy(ledger.refuseDangling(await storedTargets(run)), (d) => d.from);
  const valid = ledger.size - dangling.size;

  let stored = 0;
  let batch: Waiting[] = [];
  const underWay: Promise<void>[] = [];
  const flush = async (): Promise<void> => {
    const full = batch;
    batch = [];
    const work = storeBatch(run, full).then(() => observer.progress('store', (stored += full.length), valid));
    // Awaited later: a failure must not count as unhandled until then.
    work.catch(() => undefined);
    underWay.push(work);
    if (underWay.length >= BATCHES_UNDER_WAY) await underWay.shift();
  };
  let ordinal = 0;
  for (const file of files) {
    for await (const items of readFileItems(file, limits, () => undefined)) {
      for (const item of items) {
        const verdict = verdicts[ordinal++] ?? -1;
        if (verdict === -1 || item.kind === 'unreadable') continue;
        const id = idOf(item);
        const missing = dangling.get(verdict >> 1);
        if (missing) {
          refuse(item.place, String(item.tree['resourceType']), keyOf(item), missing.map(danglingIssue));
          continue;
        }
        // Validated in the first pass; a reference that is resolved since names a resource in place of an entry.
        const resource = settled(item, id, verdict % 2 === 1, (urn) => ledger.named(urn)) as Resource;
        if (batch.push({ place: item.place, resource }) === STORED_AT_ONCE) await flush();
      }
    }
  }
  if (batch.length > 0) await flush();
  await Promise.all(underWay);
  return { counts, refusals };
}
