/** The README says what the code says. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { configTable } from '../../src/platform/config.ts';
import { projectFolder } from '../../src/platform/paths.ts';

const readme = readFileSync(path.join(projectFolder, 'README.md'), 'utf8');
const section = (name: string): string =>
  new RegExp(`<!-- ${name} -->([\\s\\S]*?)<!-- /${name} -->`).exec(readme)?.[1]?.trim() ?? '';
/** A Markdown table as rows of cells: the formatter may pad it. */
const cells = (table: string): string[][] =>
  table
    .trim()
    .split('\n')
    .map((row) => row.split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/^-+$/, '---')));

test('the table of settings is the one that the schema makes (npm run readme writes it)', () => {
  expect(cells(section('configuration'))).toEqual(cells(configTable()));
});

test('every npm script that it names exists, and every page that it links to', () => {
  const { scripts } = JSON.parse(readFileSync(path.join(projectFolder, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const named = [...readme.matchAll(/npm run ([\w-]+)/g)].map((m) => m[1] ?? '');
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((n) => !(n in scripts))).toEqual([]);
  const linked = [...readme.matchAll(/\]\((docs\/[^)]+)\)/g)].map((m) => m[1] ?? '');
  expect(linked.length).toBeGreaterThan(5);
  for (const file of linked) expect(() => readFileSync(path.join(projectFolder, file)), file).not.toThrow();
});
