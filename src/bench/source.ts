/** What the benchmark needs to fill search columns as the server does: the definitions, and the keys of its data folder. */
import path from 'node:path';
import { loadDefinitions } from '../fhir/definitions/registry.ts';
import { createBlind, type ColumnSource } from '../fhir/search/blind/blind.ts';
import { declareResources, type ResourceModule } from '../operation-context.ts';
import { loadFolder } from '../platform/folder.ts';
import { createKeys, loadRootKey } from '../platform/keys.ts';
import { projectFolder } from '../platform/paths.ts';

export async function columnSource(dataDir: string): Promise<ColumnSource> {
  const keys = createKeys(await loadRootKey(undefined, dataDir));
  const resources = declareResources(await loadFolder<ResourceModule>(path.join(projectFolder, 'src/resources')));
  return { definitions: loadDefinitions(), blind: createBlind(resources, () => keys) };
}
