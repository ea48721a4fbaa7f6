/**
 * Reads what an operation was called with: query and Parameters are checked against the OperationDefinition, so that an operation sees only
 * known parameters, often enough and of the declared type.
 * @see https://hl7.org/fhir/R4/operations.html#request
 */
import type { CodeableConcept, Coding, Duration, Identifier, Reference, Resource, Timing } from '@medplum/fhirtypes';
import type { OperationDef, OperationParameterDef } from './definitions/model.ts';
import type { Engine } from './engine.ts';
import type { RequestContext } from './context.ts';
import type { OperationDeclaration, OperationReply, OperationRequest } from './operation.ts';
import { fromParameter, fromText, isObject, tokensOf, type Token } from './operation-values.ts';
import { badRequest, FhirError } from './outcome.ts';

/** One value: `type` as sent, `Uri`, `Coding`, or `Resource`. */
interface Given {
  readonly name: string;
  readonly value: unknown;
}

/** The checked input. Reading a parameter that was not given yields undefined (or none). */
export interface OperationInput {
  readonly names: ReadonlySet<string>;
  text(name: string): string | undefined;
  texts(name: string): readonly string[];
  integer(name: string): number | undefined;
  boolean(name: string): boolean | undefined;
  coding(name: string): Coding | undefined;
  codeableConcept(name: string): CodeableConcept | undefined;
  codeableConcepts(name: string): readonly CodeableConcept[];
  /** With a `reference` (relative when it is ours) or an `identifier`, to a type that the parameter is for. */
  reference(name: string): Reference | undefined;
  references(name: string): readonly Reference[];
  /** Of a parameter whose search type is token. */
  tokens(name: string): readonly Token[];
  identifier(name: string): Identifier | undefined;
  duration(name: string): Duration | undefined;
  timing(name: string): Timing | undefined;
  resource(name: string): Resource | undefined;
  resources(name: string): readonly Resource[];
}

/** Carries the place in a paged reply; only our own `next` links have it. */
export const PAGE_PARAMETER = '_cursor';

/** Parameters of every interaction; they don't belong to the operation unless it declares them. */
const GENERAL = new Set(['_format', '_pretty', '_summary', '_elements', PAGE_PARAMETER]);

/** What was sent in the body's Parameters, by entry. @throws FhirError 400 when the resource is no Parameters */
function entriesOf(parameters: unknown): readonly Readonly<Record<string, unknown>>[] {
  const list = isObject(parameters) ? (parameters.parameter ?? []) : undefined;
  if (!Array.isArray(list))
    throw badRequest('structure', 'Parameters.parameter must be an array.', 'Parameters.parameter');
  return list.map((entry: unknown, i) => {
    if (!isObject(entry) || typeof entry.name !== 'string') {
      throw badRequest('required', 'A parameter has no name.', `Parameters.parameter[${i}].name`);
    }
    return entry;
  });
}

const LOCAL_REFERENCE = /^([A-Z][A-Za-z]*)\/[A-Za-z0-9.-]{1,64}$/;

/** `Type/id` and nothing else: most references are, and of these there is nothing to check. */
function isPlainReference(entry: Readonly<Record<string, unknown>>, { definitions }: Engine): boolean {
  const { valueReference: value } = entry;
  if (!isObject(value) || Object.keys(entry).length !== 2 || Object.keys(value).length !== 1) return false;
  const { reference } = value;
  return (
    typeof reference === 'string' && definitions.resourceTypes.includes(LOCAL_REFERENCE.exec(reference)?.[1] ?? '')
  );
}

/** Shapes of complex values (Coding …) are checked as a Parameters resource; resources are left to the operation. */
function demandValidValues(entries: readonly Readonly<Record<string, unknown>>[], engine: Engine): void {
  const complex = [...entries.entries()].filter(
    ([, e]) =>
      !isPlainReference(e, engine) &&
      Object.entries(e).some(([key, value]) => key.startsWith('value') && isObject(value)),
  );
  if (complex.length === 0) return;
  const issues = engine.validator
    .validate({ resourceType: 'Parameters', parameter: complex.map(([, e]) => e) })
    .filter((i) => i.severity === 'error' || i.severity === 'fatal');
  if (issues.length === 0) return;
  // As the client has numbered them.
  const place = (path: string): string =>
    path.replace(
      /^(Parameters\.parameter)\[(\d+)\]/,
      (_, list: string, i: string) => `${list}[${complex[Number(i)]?.[0]}]`,
    );
  throw new FhirError(
    400,
    issues.map((i) => (i.expression ? { ...i, expression: i.expression.map(place) } : i)),
  );
}

function collect(definition: OperationDef, request: OperationRequest, engine: Engine): readonly Given[] {
  const byName = new Map(definition.parameters.map((p) => [p.name, p]));
  const names = definition.parameters.map((p) => p.name).join(', ');
  const demand = (name: string): OperationParameterDef => {
    const known = byName.get(name);
    if (known) return known;
    throw badRequest(
      'not-supported',
      `$${definition.code} has no parameter ${name.slice(0, 64)}: it knows ${names}.`,
      name.slice(0, 64),
    );
  };
  const query = request.query.filter(([name]) => byName.has(name) || !GENERAL.has(name));
  // A GET's parameters arrive twice, as query and as strings in the Parameters: the query is authoritative then.
  const inQuery = (name: unknown, value: unknown): boolean => request.query.some(([n, v]) => n === name && v === value);
  const entries = entriesOf(request.parameters).filter((e) => !inQuery(e.name, e.valueString));
  demandValidValues(entries, engine);
  const given = [
    ...entries.map((entry) => {
      const parameter = demand(String(entry.name));
      return { name: parameter.name, value: fromParameter(entry, parameter, engine) };
    }),
    ...query.map(([name, text]) => {
      const parameter = demand(name);
      return { name, value: fromText(text, parameter, engine) };
    }),
  ];
  for (const parameter of definition.parameters) {
    const values = given.filter((g) => g.name === parameter.name);
    if (values.length < parameter.min) {
      throw badRequest(
        'required',
        `Parameter ${parameter.name} is missing: $${definition.code} needs it.`,
        parameter.name,
      );
    }
    if (values.length > parameter.max) {
      throw badRequest(
        'invalid',
        `Parameter ${parameter.name} is given ${values.length} times: send it at most ${parameter.max === 1 ? 'once' : `${parameter.max} times`}.`,
        parameter.name,
      );
    }
    for (const { value } of values) {
      if (
        parameter.valueSet !== undefined &&
        typeof value === 'string' &&
        engine.terminology.contains(parameter.valueSet, undefined, value) === false
      ) {
        const codes = engine.terminology.expand(parameter.valueSet)?.map((c) => c.code) ?? [];
        throw badRequest(
          'code-invalid',
          `Parameter ${parameter.name} must be one of ${codes.join(', ')}.`,
          parameter.name,
        );
      }
    }
  }
  return given;
}

/**
 * The input of an operation.
 * @throws FhirError 400 naming the parameter: unknown, missing, too often, of another type, not a code of its value set
 */
function readOperationInput(engine: Engine, url: string, request: OperationRequest): OperationInput {
  const definition = engine.definitions.operation(url);
  if (!definition) throw new Error(`No OperationDefinition ${url}: add it to fhir-profiles/ and build again.`);
  const given = collect(definition, request, engine);
  const all = (name: string): readonly unknown[] => given.filter((g) => g.name === name).map((g) => g.value);
  const first = (name: string): unknown => all(name)[0];
  const text = (name: string): string | undefined => {
    const value = first(name);
    return typeof value === 'string' ? value : undefined;
  };
  const texts = (name: string): readonly string[] => all(name).filter((v) => typeof v === 'string');
  // Objects were checked above against the type that the OperationDefinition declares.
  const objects = <T>(name: string): readonly T[] => all(name).filter(isObject) as readonly T[];
  const object = <T>(name: string): T | undefined => objects<T>(name)[0];
  return {
    names: new Set(given.map((g) => g.name)),
    text,
    texts,
    integer: (name) => {
      const value = first(name);
      return typeof value === 'number' ? value : undefined;
    },
    boolean: (name) => {
      const value = first(name);
      return typeof value === 'boolean' ? value : undefined;
    },
    coding: (name) => object<Coding>(name),
    codeableConcept: (name) => object<CodeableConcept>(name),
    codeableConcepts: (name) => objects<CodeableConcept>(name),
    reference: (name) => object<Reference>(name),
    references: (name) => objects<Reference>(name),
    tokens: (name) => texts(name).flatMap(tokensOf),
    identifier: (name) => object<Identifier>(name),
    duration: (name) => object<Duration>(name),
    timing: (name) => object<Timing>(name),
    resource: (name) => object<Resource>(name),
    resources: (name) => objects<Resource>(name),
  };
}

/** An operation whose `handle` also gets its checked input. */
export interface OperationSpec extends Omit<OperationDeclaration, 'handle'> {
  handle(
    engine: Engine,
    ctx: RequestContext,
    request: OperationRequest,
    input: OperationInput,
  ): Promise<OperationReply>;
}

/** Declares an operation; its parameters are checked before it runs. */
export const defineOperation = (spec: OperationSpec): OperationDeclaration => ({
  ...spec,
  handle: async (engine, ctx, request) =>
    spec.handle(engine, ctx, request, readOperationInput(engine, spec.url, request)),
});

/** 400: the operation knows these parameters, but the server does not act on them. */
export function refuseParameters(input: OperationInput, names: readonly string[], why: string): void {
  const found = names.find((n) => input.names.has(n));
  if (found !== undefined) throw badRequest('not-supported', `Parameter ${found} is not supported: ${why}`, found);
}
