/**
 * The routes, computed from the registry: which method on which path leads to which interaction.
 * @see https://hl7.org/fhir/R4/http.html#summary
 */
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { createBundleHandler } from '../interaction/bundle.ts';
import type { Match, MatchRoute } from '../interaction/bundle-entry.ts';
import { createCapabilities } from '../interaction/capabilities.ts';
import { create } from '../interaction/create.ts';
import { conditionalRemove, remove } from '../interaction/delete.ts';
import { historyInstance, historySystem, historyType } from '../interaction/history.ts';
import { operation } from '../interaction/operation.ts';
import { conditionalPatch, patch } from '../interaction/patch.ts';
import { servedRaw, takenRaw } from '../interaction/raw-content.ts';
import { read } from '../interaction/read.ts';
import { searchCompartment, searchSystem, searchType } from '../interaction/search-type.ts';
import { conditionalUpdate, update } from '../interaction/update.ts';
import { vread } from '../interaction/vread.ts';
import { badRequest, errorIssue, FhirError } from '../outcome.ts';
import type { ResourceDeclaration, TypeInteraction } from '../resource.ts';
import { isResourceId } from '../resource-id.ts';
import type { Handler, Method, Route } from './request.ts';

type Methods = Partial<Record<Method, Route>>;
type Target = Match['target'];

/** Paths below a type. */
type TypeLevel = 'type' | 'type/_search' | 'type/_history' | 'instance' | 'instance/_history' | 'version';

/** One line a route: level, method, interaction that the type must have, handler. */
const TYPE_TABLE: readonly (readonly [TypeLevel, Method, TypeInteraction, Handler])[] = [
  ['type', 'GET', 'search-type', searchType],
  ['type/_search', 'POST', 'search-type', searchType],
  ['type', 'POST', 'create', create],
  ['type', 'PUT', 'update', conditionalUpdate],
  ['type', 'PATCH', 'patch', conditionalPatch],
  ['type', 'DELETE', 'delete', conditionalRemove],
  ['type/_history', 'GET', 'history-type', historyType],
  ['instance', 'GET', 'read', read],
  ['instance', 'PUT', 'update', update],
  ['instance', 'PATCH', 'patch', patch],
  ['instance', 'DELETE', 'delete', remove],
  ['instance/_history', 'GET', 'history-instance', historyInstance],
  ['version', 'GET', 'vread', vread],
];

function addRoute(methods: Methods, method: Method, route: Route): void {
  methods[method] = route;
  if (method === 'GET') methods['HEAD'] = route;
}

/** Raw content where the type has it. */
const rawForm = (declaration: ResourceDeclaration, interaction: TypeInteraction, handle: Handler): Handler => {
  if (!declaration.raw) return handle;
  if (interaction === 'read' || interaction === 'vread') return servedRaw(handle);
  return interaction === 'create' || interaction === 'update' ? takenRaw(handle) : handle;
};

function typeRoutes(declaration: ResourceDeclaration): ReadonlyMap<TypeLevel, Methods> {
  const levels = new Map<TypeLevel, Methods>();
  for (const [level, method, interaction, handle] of TYPE_TABLE) {
    let methods = levels.get(level);
    if (!methods) levels.set(level, (methods = {}));
    if (!declaration.interactions.includes(interaction)) continue;
    const negotiates =
      level === 'type/_search' || (declaration.raw === true && (interaction === 'read' || interaction === 'vread'));
    addRoute(methods, method, { interaction, handle: rawForm(declaration, interaction, handle), negotiates });
  }
  return levels;
}

const NOWHERE: Target = {
  type: undefined,
  id: undefined,
  versionId: undefined,
  compartmentType: undefined,
  operation: undefined,
};

const unknownPath = (diagnostics: string): FhirError => new FhirError(404, [errorIssue('not-found', diagnostics)]);

/** @throws FhirError 405 */
function choose(methods: Methods, method: Method, target: Target, what: string): Match {
  const route = methods[method];
  if (route) return { route, target };
  const allowed = Object.keys(methods);
  throw new FhirError(
    405,
    [
      errorIssue(
        'not-supported',
        allowed.length === 0
          ? `${what} is not served.`
          : `${method} is not served on ${what}: use ${allowed.join(', ')}.`,
      ),
    ],
    { Allow: allowed.join(', ') },
  );
}

/** @throws FhirError 404; 400 where the client chooses the id */
function demandId(id: string, method: Method, type: string): void {
  if (isResourceId(id)) return;
  if (method === 'PUT')
    throw badRequest(
      'value',
      'The id in the address may have 1 to 64 letters, digits, hyphens and dots.',
      `${type}.id`,
    );
  throw unknownPath(`There is no such ${type}: an id has 1 to 64 letters, digits, hyphens and dots.`);
}

/** @param toFhirError makes any error one that a client may see */
export function createRoutes(
  engine: Engine,
  toFhirError: (error: unknown, ctx: RequestContext) => FhirError,
): MatchRoute {
  const operations: Methods = {};
  addRoute(operations, 'GET', { interaction: 'operation', handle: operation });
  addRoute(operations, 'POST', { interaction: 'operation', handle: operation });
  const compartment: Methods = {};
  addRoute(compartment, 'GET', { interaction: 'search-type', handle: searchCompartment });
  const compartmentSearch: Methods = {
    POST: { interaction: 'search-type', handle: searchCompartment, negotiates: true },
  };
  const system: Methods = {};
  addRoute(system, 'GET', { interaction: 'search-system', handle: searchSystem });
  const types = new Map(
    [...engine.resources.values()].map((declaration) => [declaration.type, typeRoutes(declaration)]),
  );
  const level = (type: string, name: TypeLevel): Methods => types.get(type)?.get(name) ?? {};

  const metadata: Methods = {};
  addRoute(metadata, 'GET', { interaction: 'capabilities', handle: createCapabilities(engine) });
  const systemHistory: Methods = {};
  addRoute(systemHistory, 'GET', { interaction: 'history-system', handle: historySystem });
  const systemSearch: Methods = { POST: { interaction: 'search-system', handle: searchSystem, negotiates: true } };

  const onSystem = (method: Method, segment: string | undefined): Match | undefined => {
    if (segment === undefined) return choose(system, method, NOWHERE, 'the base');
    if (segment === 'metadata') return choose(metadata, method, NOWHERE, 'metadata');
    if (segment === '_history') return choose(systemHistory, method, NOWHERE, '_history');
    if (segment === '_search') return choose(systemSearch, method, NOWHERE, '_search');
    if (segment.startsWith('$'))
      return choose(operations, method, { ...NOWHERE, operation: segment.slice(1) }, segment);
    return undefined;
  };

  /** `[type]`, and `[type]/_search` and the like. */
  const onType = (method: Method, type: string, segment: string | undefined): Match | undefined => {
    const target = { ...NOWHERE, type };
    if (segment === undefined) return choose(level(type, 'type'), method, target, type);
    if (segment === '_search') return choose(level(type, 'type/_search'), method, target, `${type}/_search`);
    if (segment === '_history') return choose(level(type, 'type/_history'), method, target, `${type}/_history`);
    if (segment.startsWith('$'))
      return choose(operations, method, { ...target, operation: segment.slice(1) }, `${type}/${segment}`);
    return undefined;
  };

  /** `[type]/[id]/…`. */
  const onInstance = (method: Method, type: string, id: string, rest: readonly string[]): Match => {
    demandId(id, method, type);
    const [first, second, ...more] = rest;
    const target = { ...NOWHERE, type, id };
    if (first === '_history' && second !== undefined && more.length === 0) {
      return choose(level(type, 'version'), method, { ...target, versionId: second }, 'a version');
    }
    if (
      first !== undefined &&
      engine.definitions.compartments.has(type) &&
      (first === '*' || engine.resources.has(first))
    ) {
      const inside = { ...target, compartmentType: first };
      if (second === undefined) return choose(compartment, method, inside, 'a compartment');
      if (second === '_search' && more.length === 0) return choose(compartmentSearch, method, inside, '_search');
    }
    if (second === undefined && first === '_history')
      return choose(level(type, 'instance/_history'), method, target, `${type}/[id]/_history`);
    if (second === undefined && first?.startsWith('$'))
      return choose(operations, method, { ...target, operation: first.slice(1) }, `${type}/[id]/${first}`);
    throw unknownPath(
      `Nothing is served at this address below ${type}/[id]: there are _history, operations, and types of its compartment.`,
    );
  };

  const match: MatchRoute = (method, segments) => {
    // To an URL these lead elsewhere, so nothing can stand here.
    if (segments.includes('..') || segments.includes('.'))
      throw unknownPath('Nothing is served at an address with . or .. in it: write it out.');
    const [type, id, ...rest] = segments;
    const declared = type !== undefined && types.has(type);
    if (declared && id !== undefined && rest.length === 0 && isResourceId(id)) {
      return choose(level(type, 'instance'), method, { ...NOWHERE, type, id }, `${type}/[id]`);
    }
    if (!declared) {
      const found = id === undefined ? onSystem(method, type) : undefined;
      if (found) return found;
      const known = type !== undefined && engine.definitions.resourceTypes.includes(type);
      throw unknownPath(
        known
          ? `${type} is not served here: /metadata lists the types that are.`
          : `There is no type ${JSON.stringify((type ?? '').slice(0, 64))}: /metadata lists the types that are served.`,
      );
    }
    if (rest.length === 0) {
      const found = onType(method, type, id);
      if (found) return found;
      demandId(id ?? '', method, type);
    }
    return onInstance(method, type, id ?? '', rest);
  };
  addRoute(system, 'POST', { interaction: 'transaction', handle: createBundleHandler(match, toFhirError) });
  return match;
}
