/** JSON reader and writer. @see https://hl7.org/fhir/R4/json.html */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DIGITS, parseJson, stringify } from '../../src/fhir/json.ts';
import { FhirError } from '../../src/fhir/outcome.ts';

const limits = { maxDepth: 64 };
const parse = (text: string | Uint8Array): unknown => parseJson(text, limits).value;

function refusal(text: string | Uint8Array): FhirError {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof FhirError) return error;
    throw error;
  }
  throw new Error('accepted');
}

/** Removes what only our reader adds, so that results can be compared with JSON.parse. */
function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
}

const key = fc
  .string({ unit: 'binary', maxLength: 12 })
  .filter((k) => !k.includes('\0') && !['__proto__', 'constructor', 'prototype'].includes(k));
const text = fc.string({ unit: 'binary', maxLength: 30 }).filter((s) => !s.includes('\0'));
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 6 },
    fc.constantFrom(null, true, false),
    text,
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.array(tie('json'), { maxLength: 6 }),
    fc.dictionary(key, tie('json'), { maxKeys: 6, noNullPrototype: true }),
  ),
}));

describe('parseJson (RFC 8259)', () => {
  test('reads what JSON.parse reads, from text and from bytes, plain and indented', () => {
    fc.assert(
      fc.property(json, fc.constantFrom(undefined, 2, '\t'), (value, indent) => {
        const written = JSON.stringify(value, null, indent);
        expect(plain(parse(written))).toEqual(plain(JSON.parse(written)));
        expect(plain(parse(new TextEncoder().encode(written)))).toEqual(plain(JSON.parse(written)));
      }),
      { numRuns: 500 },
    );
  });

  test('reads no text that JSON.parse refuses, and refuses with 400 only', () => {
    const near = fc.tuple(json, fc.nat(), fc.string({ maxLength: 3 }), fc.nat(3)).map(([value, at, insert, cut]) => {
      const written = JSON.stringify(value);
      const place = at % (written.length + 1);
      return written.slice(0, place) + insert + written.slice(place + cut);
    });
    fc.assert(
      fc.property(fc.oneof(near, fc.string({ unit: 'binary' })), (input) => {
        let value: unknown;
        try {
          value = parse(input);
        } catch (error) {
          expect(error).toBeInstanceOf(FhirError);
          expect((error as FhirError).status).toBe(400);
          return;
        }
        expect(plain(value)).toEqual(plain(JSON.parse(input)));
      }),
      { numRuns: 2000 },
    );
  });

  test('any bytes end in a value or in 400', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          parse(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(FhirError);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    ['{"a":1,"b":{"c":1,"c":2}}', 'column 19', 'b.c', 'twice'],
    ['{"resourceType":"Patient","name":[{"__proto__":{}}]}', 'column 36', 'Patient.name[0].__proto__', 'not allowed'],
    ['{"constructor":1}', 'column 2', 'constructor', 'not allowed'],
    ['{"prototype":1}', 'column 2', 'prototype', 'not allowed'],
    ['{\n  "a": "x\\u0000"}', 'Line 2, column 10', 'a', 'NUL'],
    ['{"a":"x\u0000"}', 'column 8', 'a', 'NUL'],
    ['{"a":"\\ud83d"}', 'column 6', 'a', 'surrogate'],
    ['{"a":"\\udc00\\ud83d"}', 'column 6', 'a', 'surrogate'],
    ['{"a":[1,01]}', 'column 9', 'a[1]', 'begin with 0'],
    ['{"a":1e999}', 'column 6', 'a', 'out of range'],
    ['{"a":1e-999}', 'column 6', 'a', 'out of range'],
    [`{"a":1${'0'.repeat(100)}}`, 'column 6', 'a', 'shorten'],
    ['{"a":1,}', 'column 8', 'a', 'property name'],
    ['{"a":"x\ny"}', 'column 8', 'a', '\\n'],
  ])('%s is refused with its place and the fix', (input, place, path, fix) => {
    const error = refusal(input);
    expect(error.status).toBe(400);
    expect(error.message).toContain(place);
    expect(error.message).toContain(fix);
    expect(error.issues[0]?.expression).toEqual([path]);
  });

  test('names the line and column of bytes that are not UTF-8', () => {
    const bytes = new TextEncoder().encode(`{"a":"é",\n${' '.repeat(200_000)}"b":"?"}`);
    bytes[bytes.length - 3] = 0xff;
    expect(refusal(bytes).message).toMatch(/Line 2, column 200006.*UTF-8/);
    expect(refusal('"\ud800"').message).toContain('surrogate');
  });

  test('nesting of 100,000 is refused without exhausting the stack, whatever the limit', () => {
    for (const input of ['['.repeat(100_000), '{"a":'.repeat(100_000), '[{"a":'.repeat(100_000)]) {
      expect(refusal(input).message).toContain('more than 64 deep');
      expect(() => parseJson(input, { maxDepth: 1_000_000 })).toThrow(FhirError);
    }
    expect(parse('['.repeat(64) + ']'.repeat(64))).toBeInstanceOf(Array);
  });
});

describe('decimals keep their digits (https://hl7.org/fhir/R4/json.html#decimal)', () => {
  test.each(['1.00', '0.10', '1e2', '1E+2', '-0', '-0.0', '12345678901234567890', '0.1234567890123456789', '3.140'])(
    '%s comes back as written',
    (digits) => {
      const written = `{"a":{"value":${digits},"b":[1,${digits}]}}`;
      expect(stringify(parse(written))).toBe(written);
      expect(JSON.parse(stringify(parse(written), 2))).toEqual(JSON.parse(written));
    },
  );

  test('any decimal comes back as written', () => {
    const decimal = fc
      .tuple(fc.integer(), fc.stringMatching(/^(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?$/))
      .map(([i, rest]) => `${i}${rest}`);
    fc.assert(
      fc.property(fc.array(decimal, { maxLength: 5 }), (decimals) => {
        const written = `{"a":[${decimals.map((d) => `{"value":${d}}`).join(',')}]}`;
        expect(stringify(parse(written))).toBe(written);
      }),
    );
  });

  test('spreading keeps them; a changed value loses them', () => {
    const quantity = parse('{"value":1.00,"unit":"kg"}') as { value: number };
    expect(stringify({ ...quantity, unit: 'g' })).toBe('{"value":1.00,"unit":"g"}');
    expect(stringify({ ...quantity, value: 2 })).toBe('{"value":2,"unit":"kg"}');
    expect(Object.keys(quantity)).toEqual(['value', 'unit']);
    expect((quantity as { [DIGITS]?: unknown })[DIGITS]).toEqual({ value: '1.00' });
  });

  test('without kept digits the text is that of JSON.stringify', () => {
    fc.assert(
      fc.property(json, fc.constantFrom(0, 2), (value, indent) => {
        expect(stringify(value, indent)).toBe(JSON.stringify(value, null, indent));
      }),
    );
    const holder = parse('{"d":1.0}');
    fc.assert(
      fc.property(json, fc.constantFrom(0, 2), (value, indent) => {
        expect(stringify({ value, holder }, indent).replace(/1\.0(?=\s*\}\s*\}$)/, '1')).toBe(
          JSON.stringify({ value, holder }, null, indent),
        );
      }),
    );
  });
});
