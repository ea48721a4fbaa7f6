// `npm run check`: format, lint, types, layers, dead code. Each gate says how many files it looked at, and fails when there were none.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { cruise } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import layers from '../.dependency-cruiser.mjs';

const run = (command, args) => {
  const done = spawnSync(process.execPath, [`node_modules/${command}`, ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return { ok: done.status === 0, text: `${done.stdout}${done.stderr}` };
};

const gates = {
  format() {
    const files = globSync('{src,tests,migrations,.ci,fhir-profiles,docs}/**/*.{ts,mjs,json,md}').concat(
      globSync('*.{json,ts,mjs,md,yml}'),
    );
    const { ok, text } = run('prettier/bin/prettier.cjs', ['--check', '.', '--log-level', 'warn']);
    return { ok, text, looked: files.length };
  },
  lint() {
    const { ok, text } = run('oxlint/bin/oxlint', ['--deny-warnings']);
    return { ok, text, looked: Number(/on (\d+) files/.exec(text)?.[1] ?? 0) };
  },
  types() {
    const { ok, text } = run('typescript/bin/tsc', ['-p', '.']);
    const listed = run('typescript/bin/tsc', ['-p', '.', '--listFilesOnly'])
      .text.split('\n')
      .filter((l) => /\/(src|tests)\//.test(l) && !l.includes('node_modules'));
    return { ok, text, looked: listed.length };
  },
  async layers() {
    const { forbidden, options } = layers;
    const result = await cruise(
      ['src'],
      { ...options, validate: true, ruleSet: { forbidden }, outputType: 'err' },
      undefined,
      {
        tsConfig: extractTSConfig('tsconfig.json'),
      },
    );
    const looked = /(\d+) modules, (\d+) dependencies cruised/.exec(result.output);
    return {
      ok: result.exitCode === 0,
      text: result.output,
      looked: Math.min(Number(looked?.[1] ?? 0), Number(looked?.[2] ?? 0)),
    };
  },
  'dead code'() {
    const { ok, text } = run('knip/bin/knip.js', ['--no-progress']);
    return { ok, text, looked: globSync('src/**/*.ts').length };
  },
};

let failed = 0;
for (const [name, gate] of Object.entries(gates)) {
  const { ok, text, looked } = await gate();
  const good = ok && looked > 0;
  console.log(`${good ? 'ok  ' : 'FAIL'} ${name} (${looked} files)`);
  if (!good) {
    failed++;
    console.log(text);
  }
}
process.exit(failed === 0 ? 0 : 1);
