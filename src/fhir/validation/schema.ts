/**
 * JSON Schemas of FHIR types: JSON shape, cardinality and primitive formats. What JSON Schema cannot say (choices, siblings of
 * primitives, unknown properties with advice, bindings, invariants, references) is left to the walk.
 * @see https://hl7.org/fhir/R4/json.html
 */
import type { ElementDef } from '../definitions/model.ts';
import type { Definitions } from '../definitions/registry.ts';
import { FORMATS } from './formats.ts';

export type Schema = Readonly<Record<string, unknown>>;

const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);

const INTEGERS: Readonly<Record<string, number>> = { integer: -2147483648, unsignedInt: 0, positiveInt: 1 };

export const isPrimitive = (code: string): boolean =>
  code === 'boolean' || code === 'decimal' || Object.hasOwn(INTEGERS, code) || Object.hasOwn(FORMATS, code);
const isResource = (code: string): boolean => code === 'Resource' || code === 'DomainResource';

/** @param nullable inside an array, where null stands for a value that only its sibling has */
function primitive(code: string, nullable: boolean): Schema {
  const type = (name: string): string | readonly string[] => (nullable ? [name, 'null'] : name);
  if (code === 'boolean') return { type: type('boolean') };
  if (code === 'decimal') return { type: type('number') };
  const minimum = INTEGERS[code];
  if (minimum !== undefined) return { type: type('integer'), minimum, maximum: 2147483647 };
  return { type: type('string'), format: code };
}

function item(code: string, nullable: boolean): Schema {
  if (isPrimitive(code)) return primitive(code, nullable);
  return isResource(code) ? { type: 'object' } : { $ref: code };
}

function property(def: ElementDef, code: string): Schema {
  if (def.max <= 1) return item(code, false);
  const required = def.min > 1 ? def.min : 1;
  return {
    type: 'array',
    minItems: required,
    ...(def.max === Infinity ? {} : { maxItems: def.max }),
    items: item(code, true),
  };
}

function sibling(def: ElementDef): Schema {
  if (def.max <= 1) return { $ref: 'Element' };
  return { type: 'array', minItems: 1, items: { anyOf: [{ type: 'null' }, { $ref: 'Element' }] } };
}

/** Schema of a datatype, backbone element or resource; other types by `$ref`. */
function schemaOf(definitions: Definitions, type: string): Schema {
  const properties: Record<string, Schema> = {};
  const required: string[] = [];
  for (const def of definitions.elements(type)) {
    const types = def.backbone ? [def.backbone] : def.types.map((t) => t.code);
    for (const code of types) {
      const name = def.choice ? def.name + capital(code) : def.name;
      properties[name] = property(def, code);
      if (isPrimitive(code)) properties[`_${name}`] = sibling(def);
    }
    // A primitive may be there by its sibling alone, a choice by any of its properties: the walk looks for these.
    if (def.min > 0 && !def.choice && types.some((code) => !isPrimitive(code))) required.push(def.name);
  }
  return { $id: type, type: 'object', properties, ...(required.length > 0 ? { required } : {}) };
}

/** The types that a type's schema refers to. */
function references(definitions: Definitions, type: string): string[] {
  return [
    'Element',
    ...definitions.elements(type).flatMap((def) => (def.backbone ? [def.backbone] : def.types.map((t) => t.code))),
  ].filter((code) => !isPrimitive(code) && !isResource(code));
}

/** Schemas of the types and of all types that these need. */
export function schemasOf(definitions: Definitions, types: Iterable<string>): ReadonlyMap<string, Schema> {
  const schemas = new Map<string, Schema>();
  const pending = [...types];
  for (let type = pending.pop(); type !== undefined; type = pending.pop()) {
    if (schemas.has(type)) continue;
    if (definitions.type(type) === undefined) throw new Error(`${type} is not a type of FHIR R4`);
    schemas.set(type, schemaOf(definitions, type));
    pending.push(...references(definitions, type));
  }
  return schemas;
}

/** Types besides the served ones that are read or shown. */
export const EXCHANGE_TYPES: readonly string[] = [
  'Bundle',
  'Parameters',
  'OperationOutcome',
  'CapabilityStatement',
  'TerminologyCapabilities',
];
