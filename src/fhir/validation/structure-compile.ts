/**
 * Compiles JSON Schemas with ajv into source text: in the build, and at run time only for a type that the build did not know.
 * @see https://ajv.js.org/standalone.html
 */
import { createRequire } from 'node:module';
import type { Ajv } from 'ajv';
import type { Definitions } from '../definitions/registry.ts';
import { FORMATS } from './formats.ts';
import { schemasOf, type Schema } from './schema.ts';
import type { StructureCheck } from './structure.ts';

const require = createRequire(import.meta.url);

/** Findings kept of one resource: ajv itself would collect them all, copying its list at every level. */
const MAX_FINDINGS = 200;

const PRELUDE = `const merge = (all, more) => {
  if (all === null) return more;
  for (const finding of more) if (all.length < ${MAX_FINDINGS}) all.push(finding);
  return all;
};`;

const typeOfItems = (schema: Schema, property: string): unknown =>
  (schema['properties'] as Readonly<Record<string, { readonly items?: { readonly type?: unknown } }>>)[property]?.items
    ?.type;

/** Text of a CommonJS module that takes the formats and returns the checks by type name. */
export function structureSource(definitions: Definitions, types: readonly string[]): string {
  const { Ajv: Constructor, _ } = require('ajv') as typeof import('ajv');
  const standalone = (require('ajv/dist/standalone') as { default: (ajv: Ajv, refs: Record<string, string>) => string })
    .default;
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
  // The code carries the schemas, and uses of them only lists of types.
  for (const schema of schemas) {
    const text = ` = ${JSON.stringify(schema)};`;
    const at = code.indexOf(text);
    const name = at === -1 ? undefined : /const (schema\d+)$/.exec(code.slice(Math.max(at - 20, 0), at))?.[1];
    if (name === undefined) continue;
    code = code
      .replace(`const ${name}${text}`, '')
      .replaceAll(new RegExp(`\\b${name}\\.properties\\.(\\w+)\\.items\\.type\\b`, 'g'), (_, property: string) =>
        JSON.stringify(typeOfItems(schema, property)),
      );
  }
  code = code
    .replaceAll(/vErrors === null \? (\w+(?:\.validate)?\.errors) : vErrors\.concat\(\1\)/g, 'merge(vErrors, $1)')
    .replaceAll('else {vErrors.push(', `else if (vErrors.length < ${MAX_FINDINGS}) {vErrors.push(`);
  if (/\bschema\d+\b/.test(code)) throw new Error('ajv uses its schemas in another way than expected');
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
