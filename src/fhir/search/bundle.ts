/**
 * The searchset Bundle, put together from stored texts without reading them.
 * @see https://hl7.org/fhir/R4/bundle.html#searchset
 */
import { parseJson, stringify } from '../json.ts';
import { toOutcome, type Issue } from '../outcome.ts';

export interface Entry {
  readonly type: string;
  readonly id: string;
  /** JSON text of the resource. */
  readonly content: string;
}

export interface SearchsetParts {
  readonly baseUrl: string;
  readonly total: number | undefined;
  readonly self: string;
  readonly next: string | undefined;
  readonly matches: readonly Entry[];
  readonly included: readonly Entry[];
  readonly issues: readonly Issue[];
}

const link = (relation: string, url: string): string => `{"relation":"${relation}","url":${JSON.stringify(url)}}`;

/** JSON text of the Bundle. */
export function writeSearchset(parts: SearchsetParts, pretty: boolean): string {
  let text = '{"resourceType":"Bundle","type":"searchset"';
  if (parts.total !== undefined) text += `,"total":${parts.total}`;
  text += `,"link":[${link('self', parts.self)}`;
  if (parts.next !== undefined) text += `,${link('next', parts.next)}`;
  text += ']';
  const base = JSON.stringify(`${parts.baseUrl}/`).slice(0, -1);
  let separator = ',"entry":[';
  for (const { type, id, content } of parts.matches) {
    text += `${separator}{"fullUrl":${base}${type}/${id}","resource":${content},"search":{"mode":"match"}}`;
    separator = ',';
  }
  for (const { type, id, content } of parts.included) {
    text += `${separator}{"fullUrl":${base}${type}/${id}","resource":${content},"search":{"mode":"include"}}`;
    separator = ',';
  }
  if (parts.issues.length > 0) {
    text += `${separator}{"resource":${JSON.stringify(toOutcome(parts.issues))},"search":{"mode":"outcome"}}`;
    separator = ',';
  }
  text += separator === ',' ? ']}' : '}';
  return pretty ? stringify(parseJson(text, { maxDepth: 1000 }).value, 2) : text;
}
