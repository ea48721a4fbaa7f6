/**
 * Single values of an operation's parameters: from the text of a query, from an entry of a Parameters resource.
 * @see https://hl7.org/fhir/R4/parameters.html
 */
import type { Reference } from '@medplum/fhirtypes';
import type { OperationParameterDef } from './definitions/model.ts';
import { referencedType } from './definitions/reference.ts';
import type { Engine } from './engine.ts';
import { badRequest, FhirError } from './outcome.ts';
import { relativeToBase } from './own-base.ts';
import { escape, splitEscaped, unescape } from './search/escape.ts';
import { FORMAT_HINTS, FORMATS } from './validation/formats.ts';

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Types that stand for one another on the wire: clients mix them, and no meaning is lost. */
const FAMILIES: readonly (readonly string[])[] = [
  ['uri', 'url', 'canonical', 'oid', 'uuid'],
  ['string', 'code', 'id', 'markdown'],
  ['integer', 'positiveInt', 'unsignedInt'],
  ['date', 'dateTime', 'instant'],
];

const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);

/** JavaScript's type of a primitive's JSON; undefined for complex types. */
function jsonType(type: string, engine: Engine): 'string' | 'number' | 'boolean' | undefined {
  if (engine.definitions.type(type)?.kind !== 'primitive') return undefined;
  if (type === 'boolean') return 'boolean';
  return ['integer', 'positiveInt', 'unsignedInt', 'decimal'].includes(type) ? 'number' : 'string';
}

const wrongType = (definition: OperationParameterDef, found: string): FhirError =>
  badRequest(
    'value',
    `Parameter ${definition.name} is ${found}: send value${capital(definition.type ?? '')}.`,
    definition.name,
  );

/** An id alone says enough where only one type can be meant. */
const ID_ALONE = /^[A-Za-z0-9.-]{1,64}$/;

/** `Type/id`, `<url>/Type/id`; with or without a version. */
const LITERAL = /^(?:https?:\/\/\S+\/)?[A-Z][A-Za-z]+\/[A-Za-z0-9.-]{1,64}(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/;

const either = (names: readonly string[]): string => names.join(' or ');

/** A reference that was sent as text. @throws FhirError 400 */
function referenceOf(text: string, definition: OperationParameterDef, engine: Engine): Reference {
  const { name, targets = [] } = definition;
  const [only] = targets;
  const whole = targets.length === 1 && ID_ALONE.test(text) ? `${only}/${text}` : text;
  const reference = relativeToBase(whole, engine.baseUrl);
  if (!LITERAL.test(reference))
    throw badRequest('value', `Parameter ${name} must be ${only ?? 'Type'}/id, or a URL that ends so.`, name);
  return demandTarget({ reference }, definition);
}

/** @throws FhirError 400 when it leads to a type that the parameter is not for */
function demandTarget(reference: Reference, { name, targets = [] }: OperationParameterDef): Reference {
  const type = referencedType(reference);
  if (type !== undefined && targets.length > 0 && !targets.includes(type))
    throw badRequest('value', `Parameter ${name} must refer to ${either(targets)}, not to ${type.slice(0, 64)}.`, name);
  return reference;
}

/** A Reference as sent. @throws FhirError 400 when it names nothing, or something of another type */
function checkedReference(
  value: Readonly<Record<string, unknown>>,
  definition: OperationParameterDef,
  engine: Engine,
): Reference {
  const { reference, identifier } = value;
  if (typeof reference === 'string') return { ...value, ...referenceOf(reference, definition, engine) };
  if (!isObject(identifier))
    throw badRequest(
      'required',
      `Parameter ${definition.name} names nothing: it needs a reference or an identifier.`,
      definition.name,
    );
  return demandTarget(value, definition);
}

/** `system|code` of each coding; several are alternatives. */
function tokenText(codings: unknown, definition: OperationParameterDef): string {
  const texts = (Array.isArray(codings) ? codings : []).filter(isObject).flatMap(({ system, code }) => {
    if (typeof code !== 'string') return [];
    return [typeof system === 'string' ? `${escape(system)}|${escape(code)}` : escape(code)];
  });
  if (texts.length === 0)
    throw badRequest('required', `Parameter ${definition.name} has no code: send system|code.`, definition.name);
  return texts.join(',');
}

/** What stands for a value of the type when it is sent as another; undefined when nothing does. @throws FhirError 400 */
function fromOther(key: string, value: unknown, definition: OperationParameterDef, engine: Engine): unknown {
  const { type, token = false } = definition;
  const text = ['valueString', 'valueUri', 'valueUrl', 'valueCanonical', 'valueId'].includes(key);
  if (type === 'Reference') {
    if (key === 'valueReference' && isObject(value)) return checkedReference(value, definition, engine);
    return text && typeof value === 'string' ? referenceOf(value, definition, engine) : undefined;
  }
  if (type === 'CodeableConcept' && key === 'valueCoding' && isObject(value)) return { coding: [value] };
  if (!token) return undefined;
  if (key === 'valueCoding') return tokenText([value], definition);
  if (key === 'valueCodeableConcept' && isObject(value)) return tokenText(value['coding'], definition);
  return text && typeof value === 'string' ? fromText(value, definition, engine) : undefined;
}

/** A code to search by: without system in any, with an empty one in none. */
export interface Token {
  readonly system?: string;
  readonly code?: string;
}

/** The codes of a token parameter. @see https://hl7.org/fhir/R4/search.html#token */
export function tokensOf(text: string): readonly Token[] {
  return splitEscaped(text, ',').map((part) => {
    const [first = '', second] = splitEscaped(part, '|').map(unescape);
    if (second === undefined) return { code: first };
    return second === '' ? { system: first } : { system: first, code: second };
  });
}

/** The value as JSON would hold it. @throws FhirError 400 when the text is not a value of the type */
export function fromText(text: string, definition: OperationParameterDef, engine: Engine): unknown {
  const type = definition.type ?? '';
  if (type === 'Reference') return referenceOf(text, definition, engine);
  const json = jsonType(type, engine);
  if (json === undefined) {
    throw badRequest(
      'value',
      `Parameter ${definition.name} is a ${type || 'group'}: send it by POST in a Parameters resource.`,
      definition.name,
    );
  }
  const regex = engine.definitions.type(type)?.regex;
  const fits = FORMATS[type] ?? ((t: string) => regex === undefined || new RegExp(`^(?:${regex})$`, 'u').test(t));
  if (text === '' || !fits(text)) {
    const hint = FORMAT_HINTS[type];
    throw badRequest(
      'value',
      `Parameter ${definition.name} is not a ${type}${hint === undefined ? '' : `: send ${hint}`}.`,
      definition.name,
    );
  }
  if (json === 'boolean') return text === 'true';
  if (json === 'string') return text;
  const number = Number(text);
  if (type !== 'decimal' && Math.abs(number) > 2_147_483_647) {
    throw badRequest('value', `Parameter ${definition.name} is beyond the 32 bits of an ${type}.`, definition.name);
  }
  return number;
}

/** A parameter of the Parameters resource. @throws FhirError 400 */
export function fromParameter(
  sent: Readonly<Record<string, unknown>>,
  definition: OperationParameterDef,
  engine: Engine,
): unknown {
  const key = Object.keys(sent).find((k) => k.startsWith('value') || k === 'resource' || k === 'part');
  const value = key === undefined ? undefined : sent[key];
  if (key === undefined || value === undefined) {
    throw badRequest(
      'required',
      `Parameter ${definition.name} has no value: send value${capital(definition.type ?? '')}.`,
      definition.name,
    );
  }
  const type = definition.type ?? '';
  const kind = engine.definitions.type(type)?.kind;
  if (kind === 'resource' || type === 'Resource') {
    if (key !== 'resource' || !isObject(value)) {
      throw badRequest(
        'value',
        `Parameter ${definition.name} is a resource: send it as \`resource\`.`,
        definition.name,
      );
    }
    if (type !== 'Resource' && value.resourceType !== type) {
      throw badRequest('value', `Parameter ${definition.name} must be a ${type}.`, definition.name);
    }
    return value;
  }
  if (definition.type === undefined) {
    if (key !== 'part')
      throw badRequest(
        'value',
        `Parameter ${definition.name} is a group: send its parts as \`part\`.`,
        definition.name,
      );
    return value;
  }
  const other = fromOther(key, value, definition, engine);
  if (other !== undefined) return other;
  const accepted = FAMILIES.find((f) => f.includes(type)) ?? [type];
  if (!accepted.some((t) => key === `value${capital(t)}`)) throw wrongType(definition, `sent as ${key.slice(0, 40)}`);
  const json = jsonType(type, engine);
  if (json === undefined) {
    if (!isObject(value)) throw wrongType(definition, 'not an object');
    return value;
  }
  if (typeof value !== json) throw wrongType(definition, `not a ${type}`);
  if (json !== 'boolean') fromText(String(value), definition, engine);
  return value;
}
