/** The codec with which the benchmark's population is written, as the server would write it. @see https://csrc.nist.gov/pubs/sp/800/38/d/final */
import { fileURLToPath } from 'node:url';
import type { ClientConfig } from 'pg';
import { openProcessKeys, type ProcessKeys } from '../compose-keys.ts';
import type { Definitions } from '../fhir/definitions/registry.ts';
import { declareResources, type ResourceModule } from '../operation-context.ts';
import { loadConfig } from '../platform/config.ts';
import { loadFolder } from '../platform/folder.ts';

/** @param env as the server gets it @returns its keys, with the database marked as sealed or plain */
export async function openBenchKeys(
  app: ClientConfig,
  dataDir: string,
  definitions: Definitions,
  env: Readonly<Record<string, string>>,
): Promise<ProcessKeys> {
  const modules = await loadFolder<ResourceModule>(fileURLToPath(new URL('../resources', import.meta.url)));
  const declared = declareResources(modules, () => {
    throw new Error('Nothing of a declaration runs in the benchmark itself');
  });
  const keys = await openProcessKeys({ ...loadConfig({ ...env, DATA_DIR: dataDir }) }, app, {
    definitions,
    resources: new Map(declared.map((d) => [d.type, d])),
    baseUrl: 'http://localhost/fhir/R4',
  });
  await keys.open();
  return keys;
}
