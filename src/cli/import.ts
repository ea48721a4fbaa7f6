/** `npm run import -- <files, folders, NDJSON or Bundles>`: loads them into the database that the configuration names. See docs/import.md. */
import { openKairos } from '../compose.ts';
import { grantAll } from '../fhir/access.ts';
import type { RequestContext } from '../fhir/context.ts';
import { progressBar, refusalLines, summary } from '../import/render.ts';
import { importFiles } from '../import/run.ts';
import { findFiles } from '../import/source.ts';
import { readArguments } from '../platform/command.ts';
import { loadProcessConfig } from '../platform/config.ts';
import { newId } from '../platform/id.ts';
import { sentence, StartError } from '../platform/start-error.ts';

/** Largest JSON file that is read as a whole; NDJSON has no such limit. */
const FILE_BYTES = 256 * 1024 * 1024;

const USAGE = 'npm run import -- <files, folders, NDJSON or Bundles>';

/** @returns whether everything came in */
async function main(): Promise<boolean> {
  const { positionals } = readArguments(USAGE, {}, true);
  if (positionals.length === 0) throw new StartError(`Say what to import: ${USAGE}`);
  const files = await findFiles(positionals);
  if (files.length === 0)
    throw new StartError(`There is no .json, .ndjson or .jsonl file in ${positionals.join(', ')}.`);
  const bar = progressBar(process.stderr);
  const kairos = await openKairos(loadProcessConfig(), { say: (text) => process.stderr.write(`${text}\n`) });
  try {
    const { engine } = kairos;
    const ctx: RequestContext = {
      requestId: newId(),
      access: grantAll({ kind: 'system', name: 'import' }),
      clock: engine.clock,
      emit: () => undefined,
      baseUrl: engine.baseUrl,
    };
    const started = performance.now();
    const limits = { jsonDepth: engine.limits.jsonDepth, lineBytes: engine.limits.bundleBytes, fileBytes: FILE_BYTES };
    const report = await importFiles(engine, ctx, files, limits, {
      progress: bar.progress,
      refused(refusal) {
        bar.clear();
        process.stdout.write(
          refusalLines(refusal)
            .map((line) => `refused: ${line}\n`)
            .join(''),
        );
      },
    });
    bar.clear();
    process.stdout.write(summary(report, performance.now() - started));
    return report.refusals === 0;
  } finally {
    await kairos.close();
  }
}

try {
  if (!(await main())) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`${sentence(error)}\n`);
  process.exitCode = 1;
}
