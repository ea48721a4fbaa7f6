/**
 * Compiles JSON Schemas with ajv into source text: in the build, and at run time only for a type that the build did not know.
 * @see https://ajv.js.org/standalone.html
 */
import { createRequire } from 'node:module';
import type { Ajv } from 'ajv';
import type { Definitions } from '../definitions/registry.ts';
import { FORMATS } from './formats.ts';
import { schemasOf } from './schema.ts';
import type { StructureCheck } from './structure.ts';

const require = createRequire(import.meta.url);

/** Findings kept of one resource: ajv itself would collect them all, copying its list at every level. */
const MAX_FINDINGS = 200;

const PRELUDE = `const merge = (all, more) => {
  if (all === null) return more;
  for (const finding of more) if (all.length < ${MAX_FINDINGS}) all.push(finding);
  return all;
};`;

/** Text of a CommonJS module that takes the formats and returns the checks by type name. */
export function structureSource(definitions: Definitions, types: readonly string[]): string {
  const { Ajv: Constructor, _ } = require('ajv') as typeof import('ajv');
  const standalone = (require('ajv/dist/standalone') as { default: (ajv: Ajv, refs: Record<string, string>) => string }).default;
  const schemas = [...schemasOf(definitions, types).values()];
  const ajv = new Constructor({
    schemas,
    formats: FORMATS,
    allErrors: true,
    messages: false,
    allowUnionTypes: true,
    inlineRefs: false,
    code: { source: true, lines: false, formats: _`formats` },
  });
  let code = standalone(ajv, Object.fromEntries(types.map((t) => [t, t])));
  // The code carries the schemas, and uses none of them.
  for (const schema of schemas) code = code.replace(` = ${JSON.stringify(schema)};`, ';');
  code = code
    .replaceAll(/const (schema\d+);/g, 'let $1;')
    .replaceAll(/vErrors === null \? (\w+(?:\.validate)?\.errors) : vErrors\.concat\(\1\)/g, 'merge(vErrors, $1)')
    .replaceAll('else {vErrors.push(', `else if (vErrors.length < ${MAX_FINDINGS}) {vErrors.push(`);
  if (code.includes('.concat(')) throw new Error('ajv writes its lists in another way than expected: see MAX_FINDINGS');
  return `module.exports = (formats) => { const exports = {}; ${PRELUDE}\n${code}\nreturn exports; };\n`;
}

/** A check of one type, compiled now. */
export function compileStructure(definitions: Definitions, type: string): StructureCheck {
  const module = { exports: (_: typeof FORMATS): Record<string, StructureCheck> => ({}) };
  new Function('module', structureSource(definitions, [type]))(module);
  const check = module.exports(FORMATS)[type];
  if (!check) throw new Error(`${type} has no schema`);
  return check;
}
