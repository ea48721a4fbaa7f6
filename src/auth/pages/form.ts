/** Forms as they come in: bounded, each field once. @see https://url.spec.whatwg.org/#application/x-www-form-urlencoded */
import type { IncomingMessage } from 'node:http';
import { bodyOf } from '../../fhir/http/body.ts';
import { badRequest, errorIssue, FhirError } from '../../fhir/outcome.ts';

const LIMIT_BYTES = 65_536;
const TIMEOUT_MS = 15_000;

export interface Form {
  /** A field that may be left out; its blanks at the ends are cut. @throws FhirError 400 when it comes twice */
  text(name: string): string;
  /** As it was typed: for passwords. */
  exact(name: string): string;
  /** All values of a field that may come often, such as checkboxes. */
  all(name: string): readonly string[];
  has(name: string): boolean;
}

export function formOf(parameters: URLSearchParams): Form {
  for (const [name, value] of parameters) {
    if (name.includes('\0') || value.includes('\0')) throw badRequest('value', 'A field holds the character NUL.');
  }
  const exact = (name: string): string => {
    const values = parameters.getAll(name);
    if (values.length > 1) throw badRequest('duplicate', 'A field comes twice.');
    return values[0] ?? '';
  };
  return {
    exact,
    text: (name) => exact(name).trim(),
    all: (name) => parameters.getAll(name),
    has: (name) => parameters.has(name),
  };
}

export const NO_FORM: Form = formOf(new URLSearchParams());

/** A flat JSON object, as our scripts send. */
function parseFlat(text: string): URLSearchParams {
  let value: unknown;
  try {
    value = JSON.parse(text === '' ? '{}' : text);
  } catch {
    throw badRequest('structure', 'The body is not JSON.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badRequest('structure', 'The body is no JSON object.');
  const fields = new URLSearchParams();
  for (const [name, field] of Object.entries(value)) {
    if (typeof field !== 'string' || !field.isWellFormed() || !name.isWellFormed())
      throw badRequest('value', 'Every field of the JSON object is a text.');
    fields.append(name, field);
  }
  return fields;
}

/** The fields of a form, or of a flat JSON object that a script of ours sends. @throws FhirError 415, 413, 408, 400 */
export async function readForm(request: Request, incoming: IncomingMessage | undefined): Promise<Form> {
  const header = (name: string): string | undefined => request.headers.get(name) ?? undefined;
  const type = header('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
  const isJson = type === 'application/json';
  if (!isJson && type !== 'application/x-www-form-urlencoded')
    throw new FhirError(415, [errorIssue('not-supported', 'Send application/x-www-form-urlencoded.')]);
  const body = bodyOf(header, incoming, () => request.body, { timeoutMs: TIMEOUT_MS });
  const bytes = body.kind === 'stream' ? await body.read(LIMIT_BYTES) : new Uint8Array();
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw badRequest('structure', 'The form is not UTF-8.');
  }
  return formOf(isJson ? parseFlat(text) : new URLSearchParams(text));
}
