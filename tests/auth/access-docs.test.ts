/** docs/access.md shows the policy as it is (npm run readme writes it). */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { POLICY, SEEN_MONTHS, WHERE } from '../../src/auth/access/policy.ts';
import { rowsTable, rulesTable, typesTable } from '../../src/auth/access/print.ts';
import { servedTypes } from '../../src/cli/served-types.ts';
import { projectFolder } from '../../src/platform/paths.ts';

const page = readFileSync(path.join(projectFolder, 'docs/access.md'), 'utf8');
/** A Markdown table as rows of cells: the formatter may pad it. */
const cells = (markdown: string): string[][] =>
  markdown
    .trim()
    .split('\n')
    .map((row) => row.split('|').map((cell) => cell.trim().replace(/^-+$/, '---')));
const section = (name: string): string =>
  new RegExp(`<!-- ${name} -->([\\s\\S]*?)<!-- /${name} -->`).exec(page)?.[1] ?? '';

test('the tables of the page are those of the policy', async () => {
  expect(cells(section('rules'))).toEqual(cells(rulesTable()));
  expect(cells(section('rows'))).toEqual(cells(rowsTable()));
  expect(cells(section('types'))).toEqual(cells(typesTable(await servedTypes())));
});

test('every rule speaks of served types and of letters, and the words of the page of what is held', async () => {
  const served = new Set(await servedTypes());
  for (const { who, types, may } of POLICY) {
    expect(
      types.filter((t) => !served.has(t)),
      who,
    ).toEqual([]);
    expect(may, who).toMatch(/^c?r?u?d?s?$/);
  }
  expect(WHERE.seen).toContain(`${SEEN_MONTHS} months`);
});
