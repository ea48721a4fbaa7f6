/** Tells what a code means. @see https://hl7.org/fhir/R4/codesystem-operation-lookup.html */
import type { ParametersParameter } from '@medplum/fhirtypes';
import { defineOperation, refuseParameters, type OperationInput } from '../fhir/operation-parameters.ts';
import { badRequest, errorIssue, FhirError } from '../fhir/outcome.ts';
import { notEnumerable } from '../fhir/terminology/code-check.ts';
import { brief, withoutVersion } from '../fhir/terminology/model.ts';
import type { Terminology } from '../fhir/engine.ts';

interface Asked {
  readonly system: string;
  readonly version?: string;
  readonly code: string;
}

/** Either `code` with `system`, or `coding`. */
function asked(input: OperationInput): Asked {
  const coding = input.coding('coding');
  if (coding && (input.names.has('code') || input.names.has('system'))) {
    throw badRequest('invalid', 'Send either coding, or code and system.', 'coding');
  }
  const code = coding?.code ?? input.text('code');
  const canonical = coding?.system ?? input.text('system');
  if (code === undefined)
    throw badRequest(
      'required',
      'Parameter code is missing: send code and system, or coding.',
      coding ? 'coding' : 'code',
    );
  if (canonical === undefined)
    throw badRequest(
      'required',
      'Parameter system is missing: send code and system, or coding.',
      coding ? 'coding' : 'system',
    );
  const version = input.text('version') ?? coding?.version ?? canonical.split('|')[1];
  return { system: withoutVersion(canonical), code, ...(version === undefined ? {} : { version }) };
}

const notFound = (what: string, parameter: string): FhirError =>
  new FhirError(404, [errorIssue('not-found', `${what} is not known here.`, parameter)]);

/** Properties of the concept, or those of them that were asked for. */
function properties(
  terminology: Terminology,
  { system, code }: Asked,
  wanted: readonly string[],
): ParametersParameter[] {
  const relatives = terminology.relatives(system, code);
  const concept = terminology.lookup(system, code);
  const property = (name: string, value: Omit<ParametersParameter, 'name'>): ParametersParameter => ({
    name: 'property',
    part: [
      { name: 'code', valueCode: name },
      { name: 'value', ...value },
    ],
  });
  const all: readonly (readonly [string, Omit<ParametersParameter, 'name'>])[] = [
    ...(relatives?.parents ?? []).map((parent) => ['parent', { valueCode: parent }] as const),
    ...(relatives?.children ?? []).map((child) => ['child', { valueCode: child }] as const),
    ...(concept?.abstract ? [['notSelectable', { valueBoolean: true }] as const] : []),
    ...(concept?.inactive ? [['inactive', { valueBoolean: true }] as const] : []),
  ];
  return all
    .filter(([name]) => wanted.length === 0 || wanted.includes(name))
    .map(([name, value]) => property(name, value));
}

export default defineOperation({
  code: 'lookup',
  url: 'http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup',
  system: false,
  type: true,
  instance: false,
  resourceTypes: ['CodeSystem'],
  needs: ['read'],
  affectsState: false,
  handle: async (engine, _ctx, _request, input) => {
    refuseParameters(input, ['date'], 'there is one version of each code system.');
    const { terminology } = engine;
    const target = asked(input);
    const known = terminology.codeSystem(target.system);
    if (known === 'opaque') throw notEnumerable(target.system, 'system');
    if (known === undefined) throw notFound(brief(target.system), 'system');
    if (target.version !== undefined && known.version !== undefined && target.version !== known.version) {
      throw notFound(
        `Version ${brief(target.version)} of ${target.system} (this server has ${known.version})`,
        'version',
      );
    }
    const concept = terminology.lookup(target.system, target.code);
    if (!concept) throw notFound(`The code ${brief(target.code)} of ${target.system}`, 'code');
    const parameter: ParametersParameter[] = [
      { name: 'name', valueString: known.name },
      ...(known.version === undefined ? [] : [{ name: 'version', valueString: known.version }]),
      { name: 'display', valueString: concept.display ?? concept.code },
      ...properties(terminology, target, input.texts('property')),
    ];
    return { status: 200, body: { resourceType: 'Parameters', parameter } };
  },
});
