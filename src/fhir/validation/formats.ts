/**
 * Lexical forms of the primitive types, checked in linear time; calendar dates must exist.
 * @see https://hl7.org/fhir/R4/datatypes.html#primitive
 */

const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/** Longest string, in characters. @see https://hl7.org/fhir/R4/datatypes.html#string */
const MAX_STRING = 1_048_576;

const DATE = /^\d{4}(?:-\d\d(?:-\d\d)?)?$/;
const TIME = /^(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,20})?$/;
const OFFSET = /^(?:Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))$/;

function isDate(text: string): boolean {
  if (!DATE.test(text)) return false;
  const year = Number(text.slice(0, 4));
  if (year === 0) return false;
  if (text.length === 4) return true;
  const month = Number(text.slice(5, 7));
  if (month < 1 || month > 12) return false;
  if (text.length === 7) return true;
  const day = Number(text.slice(8));
  if (day < 1 || day > (DAYS[month - 1] ?? 0)) return false;
  return month !== 2 || day < 29 || (year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0));
}

function isInstant(text: string): boolean {
  if (text.charAt(10) !== 'T' || !isDate(text.slice(0, 10))) return false;
  const zone = text.endsWith('Z') ? text.length - 1 : text.length - 6;
  return OFFSET.test(text.slice(zone)) && TIME.test(text.slice(11, zone));
}

/** Base64 with white space between groups of any length; the official expression would backtrack without end. */
function isBase64(text: string): boolean {
  const dense = /\s/.test(text) ? text.replace(/\s+/g, '') : text;
  return dense.length > 0 && dense.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(dense);
}

const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/;
const isString = (text: string): boolean => text.length > 0 && text.length <= MAX_STRING && !CONTROL.test(text);
const isUri = (text: string): boolean => text.length > 0 && !/[\s\u0000-\u001f]/.test(text);

/** By type; used by the compiled JSON Schemas as `format`. */
export const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  string: isString,
  markdown: isString,
  xhtml: isString,
  uri: isUri,
  url: isUri,
  canonical: isUri,
  oid: (text) => /^urn:oid:[0-2](?:\.(?:0|[1-9]\d*))+$/.test(text),
  uuid: (text) => /^urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text),
  id: (text) => /^[A-Za-z0-9.-]{1,64}$/.test(text),
  code: (text) => /^[^\s\u0000-\u001f]+(?:\s[^\s\u0000-\u001f]+)*$/.test(text) && !CONTROL.test(text),
  date: isDate,
  dateTime: (text) => (text.length <= 10 ? isDate(text) : isInstant(text)),
  instant: isInstant,
  time: (text) => TIME.test(text),
  base64Binary: isBase64,
};

/** How a value of the type must look, for messages. */
export const FORMAT_HINTS: Readonly<Record<string, string>> = {
  string: 'text that is not empty, without control characters',
  markdown: 'text that is not empty, without control characters',
  xhtml: 'an XHTML <div>',
  uri: 'a URI without white space',
  url: 'a URL without white space',
  canonical: 'a canonical URL without white space',
  oid: 'an OID such as urn:oid:1.2.3',
  uuid: 'a UUID such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520, in lower case',
  id: '1 to 64 of A-Z a-z 0-9 - .',
  code: 'a code without leading, trailing or doubled white space',
  date: 'an existing calendar date: YYYY, YYYY-MM or YYYY-MM-DD',
  dateTime:
    'an existing date (YYYY, YYYY-MM, YYYY-MM-DD) or a full time with seconds and offset, such as 2026-03-08T09:00:00+01:00',
  instant: 'a full time with seconds and offset, such as 2026-03-08T09:00:00.000Z',
  time: 'a time hh:mm:ss',
  base64Binary: 'base64',
  boolean: 'true or false, without quotes',
  integer: 'a whole number from -2147483648 to 2147483647, without quotes',
  positiveInt: 'a whole number from 1 to 2147483647, without quotes',
  unsignedInt: 'a whole number from 0 to 2147483647, without quotes',
  decimal: 'a number, without quotes',
};
