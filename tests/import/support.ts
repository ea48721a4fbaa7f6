/** Runs imports against an engine and collects what they report. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { grantAll } from '../../src/fhir/access.ts';
import type { RequestContext } from '../../src/fhir/context.ts';
import type { Engine } from '../../src/fhir/engine.ts';
import { importFiles, type ImportReport, type Refusal } from '../../src/import/run.ts';
import { findFiles, type ReadLimits } from '../../src/import/source.ts';

export const importContext = (engine: Engine): RequestContext => ({
  requestId: 'test',
  access: grantAll({ kind: 'system', name: 'import' }),
  clock: engine.clock,
  emit: () => undefined,
  baseUrl: engine.baseUrl,
});

export interface Imported extends ImportReport {
  readonly refused: readonly Refusal[];
}

const LIMITS: ReadLimits = { jsonDepth: 64, lineBytes: 100_000, fileBytes: 10_000_000 };

export async function importPaths(engine: Engine, ...paths: string[]): Promise<Imported> {
  const refused: Refusal[] = [];
  const report = await importFiles(engine, importContext(engine), await findFiles(paths), LIMITS, {
    progress: () => undefined,
    refused: (refusal) => refused.push(refusal),
  });
  return { ...report, refused };
}

/** Imports files that are given as text (or as values, to be written as JSON); their order is that of their names. */
export async function importTexts(engine: Engine, files: Readonly<Record<string, unknown>>): Promise<Imported> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'kairos-import-'));
  try {
    for (const [name, content] of Object.entries(files)) {
      await writeFile(path.join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
    }
    return await importPaths(engine, folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** `file, place: Type/id: reason` of each refusal, the folder left out. */
export const told = ({ refused }: Imported): string[] =>
  refused.map(({ place, key, issues }) =>
    [
      [path.basename(place.file), place.within].filter((part) => part !== '').join(', '),
      key ?? '-',
      issues.map((i) => `${i.code} ${i.expression?.join() ?? '-'}`).join('; '),
    ].join(': '),
  );
