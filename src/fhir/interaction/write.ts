/**
 * The way of every write, whichever door it came through: tree → type → validity → references → version → bytes.
 * @see https://hl7.org/fhir/R4/http.html#create
 */
import type { Resource } from '@medplum/fhirtypes';
import { notAllowed, type Access, type Act } from '../access.ts';
import type { Engine } from '../engine.ts';
import { preferredReturn } from '../http/negotiate.ts';
import type { FhirRequest, Reply } from '../http/request.ts';
import { stringify } from '../json.ts';
import { relativeToBase } from '../own-base.ts';
import { isResourceId, RESOURCE_ID_HINT } from '../resource-id.ts';
import { badRequest, errorIssue, FhirError, toOutcome, type Issue } from '../outcome.ts';
import { extract } from '../search/columns.ts';
import { localReference } from '../search/type/reference.ts';
import { prepareWrite, type WriteVersion } from '../store/prepare.ts';
import { ConcurrentChange, type PreparedWrite, type Reader, type StoredVersion } from '../store/repository.ts';
import { shownText } from '../store/withheld.ts';
import { MAX_ISSUES } from '../validation/findings.ts';
import { collectReferences } from '../validation/references.ts';

const isError = (issue: Issue): boolean => issue.severity === 'error' || issue.severity === 'fatal';

/**
 * Structure, bindings, invariants, profiles and the type's own rules: everything about a resource that needs no database.
 * @param tree any JSON value
 * @throws FhirError 400 when it is no resource of the type, 422 with every error otherwise
 */
export function demandValid(engine: Engine, type: string, tree: unknown): Resource {
  if (typeof tree !== 'object' || tree === null || Array.isArray(tree)) {
    throw badRequest('structure', `The body must be one ${type} as a JSON object.`);
  }
  const { resourceType } = tree as { resourceType?: unknown };
  if (resourceType !== type) {
    throw badRequest(
      resourceType === undefined ? 'required' : 'invalid',
      resourceType === undefined
        ? `resourceType is missing: add "resourceType": "${type}".`
        : `The body is of type ${typeof resourceType === 'string' ? resourceType.slice(0, 64) : typeof resourceType}, but ${type} is what is written here: send it to its own address.`,
      'resourceType',
    );
  }
  const issues = engine.validator.validate(tree).filter(isError);
  if (issues.length > 0) throw new FhirError(422, issues);
  // The validator has just shown that it is one.
  const resource = tree as Resource;
  const broken = (engine.resources.get(type)?.check?.(resource) ?? []).filter(isError);
  if (broken.length > 0) throw new FhirError(422, broken);
  return resource;
}

/** Id that the body claims. */
export function claimedId(tree: unknown): string | undefined {
  const id = typeof tree === 'object' && tree !== null ? (tree as { id?: unknown }).id : undefined;
  return typeof id === 'string' ? id : undefined;
}

/** @throws FhirError 400 when no resource can have the id that the body claims */
export function demandUsableId(type: string, claimed: string | undefined): void {
  if (claimed === undefined || isResourceId(claimed)) return;
  throw badRequest('value', `The id must be ${RESOURCE_ID_HINT}.`, `${type}.id`);
}

export interface Target {
  /** `Type/id`, of a served type. */
  readonly target: string;
  readonly expression: string;
}

const LOCAL = /^([A-Z][A-Za-z]{1,63})\/([A-Za-z0-9.-]{1,64})$/;
const UNRESOLVED = /^urn:(?:uuid|oid):/i;

/**
 * References that must have a target here: those to served types, relative or under our own base URL.
 * References to elsewhere and to types that are not served stay unchecked.
 * @param exact name elements as the definitions do; costs more, so only where there is something to tell
 */
export function targetsOf(
  engine: Engine,
  resource: unknown,
  exact = false,
): { readonly targets: readonly Target[]; readonly issues: readonly Issue[] } {
  const targets: Target[] = [];
  const issues: Issue[] = [];
  for (const { reference, expression } of collectReferences(resource, exact ? engine.definitions : undefined)) {
    const relative = relativeToBase(reference, engine.baseUrl);
    // As it is indexed: what a search or a compartment finds there is what must have been looked at here.
    const match = LOCAL.exec(localReference(reference, engine.baseUrl));
    if (match) {
      if (engine.resources.has(match[1] ?? '')) targets.push({ target: `${match[1]}/${match[2]}`, expression });
    } else if (UNRESOLVED.test(relative)) {
      issues.push(
        errorIssue(
          'not-found',
          `${reference.slice(0, 100)} is the fullUrl of no entry here: such references work only within a transaction.`,
          expression,
        ),
      );
    } else if (/^[A-Z][A-Za-z]+\?/.test(relative)) {
      issues.push(
        errorIssue(
          'not-supported',
          'Conditional references work only within a transaction: name the resource as Type/id.',
          expression,
        ),
      );
    }
  }
  return { targets, issues };
}

/** Every reference of a resource that leads nowhere. */
export function danglingIssues(
  engine: Engine,
  resource: unknown,
  known: { has(target: string): boolean },
): readonly Issue[] {
  const { targets, issues } = targetsOf(engine, resource, true);
  const missing: (typeof targets)[number][] = [];
  for (const target of targets) if (missing.length < MAX_ISSUES && !known.has(target.target)) missing.push(target);
  return [
    ...issues.slice(0, MAX_ISSUES),
    ...missing.map(({ target, expression }) =>
      errorIssue('not-found', `${target} is not known here: create it first, or correct the reference.`, expression),
    ),
  ];
}

const NOTHING: ReadonlySet<string> = new Set();
/** Targets looked up for what is refused anyway: a message may hold a thousand references and one typing error. */
const MAX_TOLD = 100;

/**
 * References of what was found invalid, so that one answer tells all there is to mend.
 * @param trees any JSON values
 */
export async function danglingInvalid(
  engine: Engine,
  access: Access,
  reader: Reader,
  trees: readonly unknown[],
): Promise<readonly (readonly Issue[])[]> {
  if (!engine.validateReferences) return trees.map(() => []);
  const asked = [...new Set(trees.flatMap((tree) => targetsOf(engine, tree).targets.map((t) => t.target)))];
  const found = asked.length === 0 ? NOTHING : await reader.existing(asked.slice(0, MAX_TOLD), access.to('refer'));
  const known = found.union(new Set(asked.slice(MAX_TOLD)));
  return trees.map((tree) => danglingIssues(engine, tree, known));
}

/** The errors found, and then those of the references, as many as one outcome holds. */
export const withDangling = (error: FhirError, dangling: readonly Issue[]): FhirError =>
  new FhirError(
    error.status,
    [...error.issues, ...dangling.slice(0, Math.max(MAX_ISSUES - error.issues.length, 0))],
    error.headers,
  );

/** What a version refers to: it may go on doing so, also where the targets themselves are hidden from who changes it. */
export function keptTargets(engine: Engine, before: StoredVersion | undefined): ReadonlySet<string> {
  if (before?.content === undefined) return NOTHING;
  return new Set(targetsOf(engine, JSON.parse(before.content)).targets.map((t) => t.target));
}

/**
 * Valid, and with targets that exist.
 * @param tree any JSON value
 * @param before reads the version that is replaced
 * @throws FhirError 400 when it is no resource of the type, 422 with every error otherwise
 */
export async function demandStorable(
  engine: Engine,
  access: Access,
  reader: Reader,
  type: string,
  tree: unknown,
  before?: () => Promise<StoredVersion | undefined>,
): Promise<Resource> {
  let resource: Resource;
  try {
    resource = demandValid(engine, type, tree);
  } catch (error) {
    if (!(error instanceof FhirError) || error.status !== 422) throw error;
    throw withDangling(error, (await danglingInvalid(engine, access, reader, [tree])).flat());
  }
  await demandTargets(engine, access, reader, resource, before);
  return resource;
}

/** @throws FhirError 422 with an issue for every reference that leads nowhere */
async function demandTargets(
  engine: Engine,
  access: Access,
  reader: Reader,
  resource: Resource,
  before: (() => Promise<StoredVersion | undefined>) | undefined,
): Promise<void> {
  if (!engine.validateReferences) return;
  const { targets, issues } = targetsOf(engine, resource);
  const existing =
    targets.length === 0
      ? NOTHING
      : await reader.existing([...new Set(targets.map((t) => t.target))], access.to('refer'));
  if (issues.length === 0 && targets.every((t) => existing.has(t.target))) return;
  const known = existing.union(keptTargets(engine, await before?.()));
  const dangling = danglingIssues(engine, resource, known);
  if (dangling.length > 0) throw missingError(engine, resource, known) ?? new FhirError(422, dangling);
}

/** What the type itself says of references that lead nowhere. */
export function missingError(
  engine: Engine,
  resource: Resource,
  known: { has(target: string): boolean },
): FhirError | undefined {
  const { targets, issues } = targetsOf(engine, resource);
  const missing = targets.map((t) => t.target).filter((t) => !known.has(t));
  return issues.length > 0 ? undefined : engine.resources.get(resource.resourceType)?.missing?.(resource, missing);
}

/** What is shown in part is not replaced: whoever does not see all of it would take the rest away. */
function demandUnveiled({ to }: Access, before: StoredVersion | undefined): void {
  if (before?.content === undefined) return;
  const veil = to('read').veil(before.type);
  if (veil && veil.shown(before.content) !== before.content) throw notAllowed(before.type, 'update');
}

/** With what the server fills in. @param before the version that is replaced @throws FhirError 403 when not all of that is shown to the writer */
export async function completed(
  engine: Engine,
  access: Access,
  reader: Reader,
  resource: Resource,
  before?: StoredVersion,
): Promise<Resource> {
  demandUnveiled(access, before);
  const { complete } = engine.resources.get(resource.resourceType) ?? {};
  if (!complete) return resource;
  const was = before?.content === undefined ? undefined : (JSON.parse(before.content) as Resource);
  return complete(reader, resource, was, access.principal);
}

/** Id, version and time set by the server; text and search columns made. */
export const settle = (engine: Engine, resource: Resource, version: WriteVersion): PreparedWrite =>
  prepareWrite({ extract: (type, r) => extract(engine, type, r, engine.baseUrl) }, resource, version);

/** Of what is not theirs to change, people are told so only where they see it: else it is to them as if it were not there. @throws FhirError 403 */
export async function demandUnseen(reader: Reader, access: Access, act: Act, type: string, id: string): Promise<void> {
  if (access.to(act).reach(type) === 'all') return;
  const name = `${type}/${id}`;
  const seen = await Promise.all([access.to('read'), access.to('search')].map((rows) => reader.existing([name], rows)));
  if (seen.some((found) => found.has(name))) throw notAllowed(type, act);
}

const ATTEMPTS = 10;

/**
 * Runs read-then-write again when another request changed the row in between.
 * @param conditional the client named the version it knows: then the change is its to resolve
 * @throws FhirError 412 (conditional) or 409
 */
export async function retryOnChange<T>(conditional: boolean, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ConcurrentChange)) throw error;
      const message = 'Another request changed the resource at the same time: read it again and repeat the change.';
      if (conditional) throw new FhirError(412, [errorIssue('conflict', message)]);
      if (attempt === ATTEMPTS) throw new FhirError(409, [errorIssue('conflict', message)], { 'Retry-After': '1' });
    }
  }
}

/** To write is not to read. */
function mayRead(access: Access, { type, content }: { readonly type: string; readonly content: string }): boolean {
  const rows = access.to('read');
  const reach = rows.reach(type);
  return reach === 'all' || (reach === 'some' && rows.admits(type, JSON.parse(content)));
}

/** The reply to a write: 201 with Location for a new resource, and as much of it as `Prefer` asks for and the writer may read. */
export function replyToWrite(
  engine: Engine,
  access: Access,
  request: Pick<FhirRequest, 'header'>,
  status: 200 | 201,
  written: Pick<PreparedWrite, 'type' | 'id' | 'version' | 'lastUpdated' | 'content'>,
): Reply {
  const headers = { Location: `${engine.baseUrl}/${written.type}/${written.id}/_history/${written.version}` };
  const wanted = preferredReturn(request.header('prefer'));
  if (wanted === 'minimal') return { status, version: written, headers };
  if (wanted === 'OperationOutcome') {
    const text = `${written.type}/${written.id} was ${status === 201 ? 'created' : 'updated'} as version ${written.version}.`;
    return {
      status,
      version: written,
      headers,
      body: stringify(toOutcome([{ severity: 'information', code: 'informational', diagnostics: text }])),
    };
  }
  if (!mayRead(access, written)) return { status, version: written, headers };
  return {
    status,
    version: written,
    headers,
    body: shownText(engine.resources, written.type, written.content, access.to('read')),
  };
}
