/**
 * What the benchmark needs to fill a database as the server would: the definitions, the keys that search columns are tagged with, and the codec of
 * contents. @see https://csrc.nist.gov/pubs/sp/800/38/d/final
 */
import { fileURLToPath } from 'node:url';
import type { ClientConfig } from 'pg';
import { openProcessKeys } from '../compose-keys.ts';
import { loadDefinitions } from '../fhir/definitions/registry.ts';
import { createBlind, type ColumnSource } from '../fhir/search/blind/blind.ts';
import type { ContentCodec } from '../fhir/store/content.ts';
import { declareResources, type ResourceModule } from '../operation-context.ts';
import { loadConfig } from '../platform/config.ts';
import { loadFolder } from '../platform/folder.ts';

export interface BenchKeys {
  readonly source: ColumnSource;
  readonly content: ContentCodec;
  close(): Promise<void>;
}

/** @param env as the server gets it @returns its keys, with the database marked as sealed or plain */
export async function openBenchKeys(
  app: ClientConfig,
  dataDir: string,
  env: Readonly<Record<string, string>>,
): Promise<BenchKeys> {
  const definitions = loadDefinitions();
  const modules = await loadFolder<ResourceModule>(fileURLToPath(new URL('../resources', import.meta.url)));
  const declared = declareResources(modules, () => {
    throw new Error('Nothing of a declaration runs in the benchmark itself');
  });
  const opened = await openProcessKeys(loadConfig({ ...env, DATA_DIR: dataDir }), app, {
    definitions,
    resources: new Map(declared.map((d) => [d.type, d])),
    baseUrl: 'http://localhost/fhir/R4',
  });
  const { keys } = await opened.open();
  return {
    source: { definitions, blind: createBlind(declared, () => keys) },
    content: opened.content,
    close: () => opened.close(),
  };
}
