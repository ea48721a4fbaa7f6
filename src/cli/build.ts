/** `npm run build`: makes `.build/` (part of the install step). */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Resource } from '@medplum/fhirtypes';
import { buildDefinitions, profilesFolder, readPublished, writeBuilt } from '../fhir/definitions/build.ts';
import { buildTerminology } from '../fhir/terminology/build.ts';

const names = (await readdir(profilesFolder, { recursive: true })).filter((n) => n.endsWith('.json')).sort();
const files = await Promise.all(names.map(async (n) => JSON.parse(await readFile(path.join(profilesFolder, n), 'utf8')) as unknown));
const own = files.filter((f): f is Resource => typeof f === 'object' && f !== null && 'resourceType' in f);
const overrides = files[names.indexOf('overrides.json')] as Parameters<typeof buildDefinitions>[1];

const definitions = await buildDefinitions(own, overrides);
await writeBuilt(
  'definitions.json',
  JSON.stringify(definitions, (_, value: unknown) => (value === Infinity ? -1 : value)),
);

const served = (await readdir(new URL('../resources/', import.meta.url))).map((n) => path.basename(n, '.ts'));
const codes = (await Promise.all(['valuesets', 'v3-codesystems', 'v2-tables'].map(readPublished))).flat();
const terminology = buildTerminology(codes, own, definitions, served);
await writeBuilt('terminology.json', JSON.stringify(terminology.file));
