/**
 * What the server can do with codes, for `metadata?mode=terminology`.
 * @see https://hl7.org/fhir/R4/terminologycapabilities.html
 */
import type { TerminologyCapabilities, TerminologyCapabilitiesCodeSystem } from '@medplum/fhirtypes';
import type { Engine, Terminology } from '../engine.ts';

/** Parameters of $expand that change its result. */
const EXPANSION_PARAMETERS: readonly (readonly [name: string, documentation: string])[] = [
  ['activeOnly', 'Leaves out deprecated and retired codes.'],
  ['count', 'Codes in one page.'],
  ['exclude-system', 'Leaves out the codes of a system.'],
  ['excludeNotForUI', 'Leaves out abstract codes.'],
  ['filter', 'Keeps codes where each word of the filter begins a word of the code or its display.'],
  ['includeDefinition', 'Returns the definition with the expansion.'],
  ['offset', 'Codes to skip.'],
];

function codeSystem(terminology: Terminology, uri: string): TerminologyCapabilitiesCodeSystem {
  const known = terminology.codeSystem(uri);
  const version = known === undefined || known === 'opaque' ? undefined : known.version;
  return {
    uri,
    ...(version === undefined ? {} : { version: [{ code: version, isDefault: true }] }),
    subsumption: false,
  };
}

/** Computed from the terminology that the operations use. */
export function terminologyCapabilities(engine: Engine): TerminologyCapabilities {
  return {
    resourceType: 'TerminologyCapabilities',
    id: 'kairos',
    url: `${engine.baseUrl}/metadata?mode=terminology`,
    name: 'KairosTerminology',
    title: 'Terminology of this Kairos server',
    status: 'active',
    date: new Date(engine.clock.now()).toISOString(),
    description:
      'Value sets and code systems that the served resource types bind to, where their codes can be enumerated. ' +
      'SNOMED CT, LOINC, UCUM, BCP 47 and the like are left to terminology servers.',
    kind: 'instance',
    software: { name: 'Kairos' },
    implementation: { description: 'Kairos FHIR R4 server', url: engine.baseUrl },
    codeSystem: engine.terminology.codeSystemUrls.map((uri) => codeSystem(engine.terminology, uri)),
    expansion: {
      hierarchical: false,
      paging: true,
      incomplete: false,
      parameter: EXPANSION_PARAMETERS.map(([name, documentation]) => ({ name, documentation })),
      textFilter: 'Words of the filter are compared with the beginnings of words, without regard to case and accents.',
    },
    codeSearch: 'all',
    validateCode: { translations: false },
  };
}
