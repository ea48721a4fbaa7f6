/** `npm run build`: makes `.build/` (part of the install step). */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Resource } from '@medplum/fhirtypes';
import { buildDefinitions, profilesFolder, readPublished, writeBuilt } from '../fhir/definitions/build.ts';
import { writeDefinitions } from '../fhir/definitions/write.ts';
import { createDefinitions } from '../fhir/definitions/registry.ts';
import { conformanceResources, printConformance } from '../fhir/conformance/build.ts';
import { servedComparators, servedModifiers } from '../fhir/search/info.ts';
import { buildTerminology, typesInUse } from '../fhir/terminology/build.ts';
import { EXCHANGE_TYPES } from '../fhir/validation/schema.ts';
import { compactProfiles } from '../fhir/validation/profile-compact.ts';
import { structureSource } from '../fhir/validation/structure-compile.ts';
import { declareOperations, type OperationModule } from '../operation-context.ts';
import { loadFolder } from '../platform/folder.ts';

const names = (await readdir(profilesFolder, { recursive: true })).filter((n) => n.endsWith('.json')).sort();
const files = await Promise.all(
  names.map(async (n) => JSON.parse(await readFile(path.join(profilesFolder, n), 'utf8')) as unknown),
);
const own = files.filter((f): f is Resource => typeof f === 'object' && f !== null && 'resourceType' in f);
const overrides = files[names.indexOf('overrides.json')] as Parameters<typeof buildDefinitions>[1];

const definitions = await buildDefinitions(own, overrides);
const definitionsText = writeDefinitions(definitions);
await writeBuilt('definitions.txt', definitionsText);

// What the types in src/resources/ and the operations in src/operations/ need of terminology and conformance resources.
const served = (await readdir(new URL('../resources/', import.meta.url))).map((n) => path.basename(n, '.ts'));
const codes = (await Promise.all(['valuesets', 'v3-codesystems', 'v2-tables'].map(readPublished))).flat();
const terminology = buildTerminology(codes, own, definitions, served);
await writeBuilt('terminology.json', JSON.stringify(terminology.file));

const operations = declareOperations(
  await loadFolder<OperationModule>(fileURLToPath(new URL('../operations/', import.meta.url))),
  () => {
    throw new Error('No operation is called here');
  },
);
const registry = createDefinitions(definitionsText);
await writeBuilt(
  'profiles.json',
  JSON.stringify(compactProfiles(own.filter((r) => r.resourceType === 'StructureDefinition'))),
);
await writeBuilt('structure.cjs', structureSource(registry, [...served, ...EXCHANGE_TYPES]));
const published = await Promise.all(
  ['profiles-types', 'profiles-resources', 'extension-definitions', 'search-parameters'].map(readPublished),
);
const conformance = printConformance(
  conformanceResources({
    published: published.flat(),
    own,
    terminology: terminology.resources,
    types: typesInUse(definitions, served),
    served: new Set(served),
    operations: new Set(operations.map((o) => o.url)),
    searchParams: (type) => registry.searchParams(type),
    modifiers: servedModifiers,
    comparators: servedComparators,
  }),
);
await writeBuilt('conformance.ndjson', conformance.ndjson);
await writeBuilt('conformance.sha256', conformance.hash);
