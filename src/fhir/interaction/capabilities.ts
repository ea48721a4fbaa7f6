/**
 * `GET [base]/metadata`: what the server can do, computed from the same registry as its routes.
 * @see https://hl7.org/fhir/R4/http.html#capabilities
 */
import { createHash } from 'node:crypto';
import type {
  CapabilityStatement,
  CapabilityStatementRest,
  CapabilityStatementRestResource,
  CapabilityStatementRestResourceOperation,
  Resource,
} from '@medplum/fhirtypes';
import type { Engine } from '../engine.ts';
import type { Handler, Reply } from '../http/request.ts';
import { parameter } from '../http/url.ts';
import { badRequest } from '../outcome.ts';
import type { ResourceDeclaration, TypeInteraction } from '../resource.ts';
import { hiddenNote, includesOf, revIncludesOf } from '../search/info.ts';
import { terminologyCapabilities } from '../terminology/capabilities.ts';
import { offers } from './operation.ts';
import { JSON_PATCH } from './patch.ts';
import { subsetOf } from './subset.ts';

export const VERSION = '0.1.0';
const DEFINITIONS = 'http://hl7.org/fhir/StructureDefinition/';
/** Served types whose content R4 has frozen. @see https://hl7.org/fhir/R4/resourcelist.html */
const NORMATIVE: ReadonlySet<string> = new Set([
  'Patient',
  'StructureDefinition',
  'ValueSet',
  'CodeSystem',
  'OperationDefinition',
  'Binary',
]);
/** Parameters that whole-system searches understand. */
const SYSTEM_PARAMETERS: ReadonlySet<string> = new Set([
  '_id',
  '_lastUpdated',
  '_profile',
  '_security',
  '_source',
  '_tag',
]);

type Level = 'system' | 'type' | 'instance';
type Mode = 'full' | 'normative' | 'terminology';

function operationsOf(
  engine: Engine,
  levels: readonly Level[],
  type: string | undefined,
): CapabilityStatementRestResourceOperation[] {
  return engine.operations
    .filter((o) => levels.some((level) => offers(o, level, type)))
    .map((o) => ({ name: o.code, definition: o.url }));
}

function searchParamsOf(engine: Engine, type: string): NonNullable<CapabilityStatementRestResource['searchParam']> {
  return [...engine.definitions.searchParams(type).values()].map((p) => {
    const documentation = hiddenNote(engine, p);
    return { name: p.code, definition: p.url, type: p.type, ...(documentation ? { documentation } : {}) };
  });
}

function resourceOf(engine: Engine, declaration: ResourceDeclaration): CapabilityStatementRestResource {
  const { type, interactions, profiles, documentation } = declaration;
  const has = (interaction: TypeInteraction): boolean => interactions.includes(interaction);
  const operation = operationsOf(engine, ['type', 'instance'], type);
  const searchable = has('search-type');
  const revIncludes = searchable ? revIncludesOf(engine, type) : [];
  return {
    type: type as CapabilityStatementRestResource['type'] & string,
    profile: `${DEFINITIONS}${type}`,
    ...(profiles.length > 0 ? { supportedProfile: [...profiles] } : {}),
    ...(documentation === undefined ? {} : { documentation }),
    interaction: interactions.map((code) => ({ code })),
    versioning: 'versioned',
    readHistory: has('history-instance'),
    updateCreate: has('update'),
    conditionalCreate: has('create'),
    conditionalRead: 'full-support',
    conditionalUpdate: has('update'),
    conditionalDelete: has('delete') ? 'single' : 'not-supported',
    referencePolicy: engine.validateReferences ? ['literal', 'logical', 'enforced'] : ['literal', 'logical'],
    ...(searchable
      ? {
          searchInclude: ['*', ...includesOf(engine, type)],
          ...(revIncludes.length > 0 ? { searchRevInclude: revIncludes } : {}),
          searchParam: searchParamsOf(engine, type),
        }
      : {}),
    ...(operation.length > 0 ? { operation } : {}),
  };
}

const SECURITY_SERVICE = 'http://terminology.hl7.org/CodeSystem/restful-security-service';
const OAUTH_URIS = 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris';

/** @see https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html */
function securityOf({ oauthUris = [] }: Engine): NonNullable<CapabilityStatementRest['security']> {
  return {
    ...(oauthUris.length === 0
      ? {}
      : {
          extension: [{ url: OAUTH_URIS, extension: oauthUris.map(([name, valueUri]) => ({ url: name, valueUri })) }],
        }),
    cors: true,
    service: [
      {
        coding: [{ system: SECURITY_SERVICE, code: 'SMART-on-FHIR', display: 'SMART-on-FHIR' }],
        text: 'OAuth 2 with SMART App Launch 2.2: see .well-known/smart-configuration.',
      },
    ],
    description:
      'Access tokens come in the Authorization header, as Bearer. Without one there are this statement, the definitions, and the directory: services, organizations, practitioners and their roles, locations, schedules, and free slots, to read and to search.',
  };
}

function statementOf(engine: Engine, normativeOnly: boolean, date: string): CapabilityStatement {
  const declarations = [...engine.resources.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
  const operation = operationsOf(engine, ['system'], undefined);
  const compartments = [...engine.definitions.compartments.values()].filter((c) => engine.resources.has(c.code));
  return {
    resourceType: 'CapabilityStatement',
    id: 'kairos',
    url: `${engine.baseUrl}/metadata`,
    version: VERSION,
    name: 'Kairos',
    title: 'Kairos, a FHIR R4 server for appointment scheduling',
    status: 'active',
    date,
    publisher: 'Kairos',
    description: 'What this server can do, computed from the definitions that it runs on.',
    kind: 'instance',
    software: { name: 'Kairos', version: VERSION },
    implementation: { description: 'Kairos FHIR R4 server', url: engine.baseUrl },
    fhirVersion: '4.0.1',
    format: ['application/fhir+json', 'json'],
    patchFormat: [JSON_PATCH],
    rest: [
      {
        mode: 'server',
        documentation: `All writes are validated; unknown search parameters are ignored and named, or refused under Prefer: handling=strict. What identifies a person or speaks of health is stored as keyed tags: what these cannot decide is decided on the resources themselves, of which a search reads ${engine.limits.candidates} at most; the documentation of each parameter says what that is. Requests that change something take an Idempotency-Key: repeated within 24 hours, they are answered as the first time and change nothing more.`,
        security: securityOf(engine),
        resource: declarations.filter((d) => !normativeOnly || NORMATIVE.has(d.type)).map((d) => resourceOf(engine, d)),
        interaction: [
          { code: 'transaction' },
          { code: 'batch' },
          { code: 'search-system' },
          { code: 'history-system' },
        ],
        searchParam: searchParamsOf(engine, 'Resource').filter((p) => SYSTEM_PARAMETERS.has(p.name ?? '')),
        ...(operation.length > 0 ? { operation } : {}),
        ...(compartments.length > 0 ? { compartment: compartments.map((c) => c.url) } : {}),
      },
    ],
  };
}

const MODES: ReadonlySet<string> = new Set<Mode>(['full', 'normative', 'terminology']);

/** A handler that computes each form once. */
export function createCapabilities(engine: Engine): Handler {
  const date = new Date(engine.clock.now()).toISOString();
  const written = new Map<string, { readonly body: string; readonly etag: string }>();
  const write = (mode: Mode): Resource =>
    mode === 'terminology' ? terminologyCapabilities(engine) : statementOf(engine, mode === 'normative', date);
  return async (_, ctx, request): Promise<Reply> => {
    ctx.access.demand('capabilities');
    const mode = parameter(request.query, 'mode') ?? 'full';
    if (!MODES.has(mode))
      throw badRequest(
        'value',
        `mode=${mode.slice(0, 40)} is not offered: use full, normative or terminology.`,
        'mode',
      );
    let known = written.get(mode);
    if (!known) {
      const body = JSON.stringify(write(mode as Mode));
      known = { body, etag: `W/"${createHash('sha256').update(body).digest('hex').slice(0, 16)}"` };
      written.set(mode, known);
    }
    ctx.emit({ interaction: 'capabilities', outcome: 'success' });
    const headers = { ETag: known.etag, 'Cache-Control': 'no-cache' };
    const unchanged =
      request
        .header('if-none-match')
        ?.split(',')
        .some((tag) => tag.trim() === known.etag) ?? false;
    if (unchanged) return { status: 304, headers };
    const type = mode === 'terminology' ? 'TerminologyCapabilities' : 'CapabilityStatement';
    return subsetOf(engine, request.query, type, { status: 200, headers, body: known.body });
  };
}
