/**
 * Import in two passes. The first reads everything, validates it and notes who refers to whom; the second reads again and stores what can be stored,
 * in any order, since by then every target is known to be there or to come.
 */
import type { Resource } from '@medplum/fhirtypes';
import type { RequestContext } from '../fhir/context.ts';
import type { Engine } from '../fhir/engine.ts';
import { storeAll, type StoreOutcome } from '../fhir/interaction/store-all.ts';
import { demandValid } from '../fhir/interaction/write.ts';
import { errorIssue, FhirError, type Issue } from '../fhir/outcome.ts';
import { collectReferences } from '../fhir/validation/references.ts';
import { fingerprint, idOf, isUrn, keyOf, withResolved } from './identity.ts';
import { Ledger, type Dangling } from './ledger.ts';
import { readFileItems, type Item, type Place, type ReadLimits, type SourceFile } from './source.ts';

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

const LOCAL = /^([A-Z][A-Za-z]{1,63})\/([A-Za-z0-9.-]{1,64})(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/;
const ID = /^[A-Za-z0-9.-]{1,64}$/;
const CONDITIONAL = /^[A-Z][A-Za-z]+\?/;
/** Marks a conditional reference in the ledger: never the name of anything. */
const CONDITIONAL_MARK = 'urn:uuid:conditional:';
const ASKED_AT_ONCE = 2000;
const STORED_AT_ONCE = 500;
/** While one batch is written the next is read and made ready. */
const BATCHES_UNDER_WAY = 2;

interface Run {
  readonly engine: Engine;
  readonly ctx: RequestContext;
  readonly ledger: Ledger;
  readonly counts: Map<string, TypeCount>;
  refuse(place: Place, type: string, key: string | undefined, issues: readonly Issue[]): void;
}

function countOf(counts: Map<string, TypeCount>, type: string): TypeCount {
  let count = counts.get(type);
  if (!count) counts.set(type, (count = { created: 0, updated: 0, unchanged: 0, refused: 0 }));
  return count;
}

/** Why resources of this type cannot come in at all. */
function closed(engine: Engine, type: string): Issue | undefined {
  const declaration = engine.resources.get(type);
  if (!declaration)
    return errorIssue(
      'not-supported',
      type === '' ? 'resourceType is missing.' : `${type} is not served here.`,
      'resourceType',
    );
  if (!declaration.interactions.includes('create'))
    return errorIssue('not-supported', `${type} is read-only here: the server alone writes it.`, 'resourceType');
  return undefined;
}

const badId = (type: string): Issue =>
  errorIssue('value', 'An id has 1 to 64 letters A-Z and a-z, digits, - and . only.', `${type}.id`);

/** `urn:` references to entries of the same Bundle as `Type/id`; others through `fallback`. */
const resolver =
  (item: Item, fallback: (urn: string) => string | undefined) =>
  (urn: string): string | undefined => {
    const sibling = item.siblings?.get(urn);
    return sibling ? keyOf(sibling) : fallback(urn);
  };

const withId = (tree: unknown, id: string): unknown =>
  typeof tree === 'object' && tree !== null && !('id' in tree)
    ? Object.assign({ resourceType: undefined, id }, tree)
    : tree;

/** First pass: validates one resource and notes it and its references. */
function check(run: Run, item: Item): void {
  const { engine, ledger } = run;
  const type = typeof item.tree['resourceType'] === 'string' ? item.tree['resourceType'] : '';
  const id = idOf(item);
  const key = `${type}/${id}`;
  // R4 defines Resource.id as a string; the rules of `id` stand in its description only.
  const shut = closed(engine, type) ?? (ID.test(id) ? undefined : badId(type));
  if (shut) {
    ledger.refuse(key);
    run.refuse(item.place, type, key, [shut]);
    return;
  }
  let resource: Resource;
  try {
    resource = demandValid(
      engine,
      type,
      withId(
        withResolved(
          item.tree,
          resolver(item, () => undefined),
        ),
        id,
      ),
    );
  } catch (error) {
    if (!(error instanceof FhirError)) throw error;
    ledger.refuse(key);
    run.refuse(item.place, type, key, error.issues);
    return;
  }
  const added = ledger.add(key, fingerprint(item.tree));
  if (added === 'taken') {
    run.refuse(item.place, type, key, [
      errorIssue(
        'duplicate',
        `Another resource of the input has the id ${id} and other content: give one of them another id.`,
        `${type}.id`,
      ),
    ]);
  }
  if (added !== 'new') return;
  if (item.fullUrl !== undefined && isUrn(item.fullUrl)) ledger.name(item.fullUrl, key);
  if (!engine.validateReferences) return;
  const base = `${engine.baseUrl}/`;
  for (const { reference, expression } of collectReferences(resource)) {
    const relative = reference.startsWith(base) ? reference.slice(base.length) : reference;
    const match = LOCAL.exec(relative);
    const target = match
      ? `${match[1]}/${match[2]}`
      : CONDITIONAL.test(relative)
        ? CONDITIONAL_MARK + relative
        : relative;
    const checked = match ? engine.resources.has(match[1] ?? '') : isUrn(target);
    // What refers to itself has its target as soon as it is there.
    if (checked && target !== key) ledger.link(key, target, expression);
  }
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
    for (const key of await engine.repository.existing(asked, ctx.access)) found.add(key);
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
  let valid = 0;
  for (const file of files) {
    for await (const items of readFileItems(file, limits, (bytes) => (readBytes += bytes))) {
      for (const item of items) {
        if (item.kind === 'unreadable') refuse(item.place, '', undefined, item.issues);
        else check(run, item);
      }
      observer.progress('check', readBytes, allBytes);
    }
  }
  ledger.resolveNames();
  const dangling = Map.groupBy(ledger.refuseDangling(await storedTargets(run)), (d) => d.key);
  valid = ledger.size - dangling.size;

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
  for (const file of files) {
    for await (const items of readFileItems(file, limits, () => undefined)) {
      for (const item of items) {
        if (item.kind === 'unreadable') continue;
        const id = idOf(item);
        const key = keyOf(item);
        const mark = fingerprint(item.tree);
        const missing = dangling.get(key);
        if (missing && ledger.isFirst(key, mark)) {
          refuse(item.place, String(item.tree['resourceType']), key, missing.map(danglingIssue));
          dangling.delete(key);
        } else if (ledger.take(key, mark)) {
          // Validated in the first pass; a reference that is resolved since names a resource in place of an entry.
          const resource = withId(
            withResolved(
              item.tree,
              resolver(item, (urn) => ledger.named(urn)),
            ),
            id,
          ) as Resource;
          if (batch.push({ place: item.place, resource }) === STORED_AT_ONCE) await flush();
        }
      }
    }
  }
  if (batch.length > 0) await flush();
  await Promise.all(underWay);
  return { counts, refusals };
}
