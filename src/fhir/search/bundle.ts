/**
 * The searchset Bundle, put together from stored texts without reading them.
 * @see https://hl7.org/fhir/R4/bundle.html#searchset
 */
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
export function writeSearchset(parts: SearchsetParts): string {
  const total = parts.total === undefined ? '' : `,"total":${parts.total}`;
  const next = parts.next === undefined ? '' : `,${link('next', parts.next)}`;
  // One join of flat pieces: a long concatenation would have to be flattened piece by piece before it is sent.
  const pieces = [`{"resourceType":"Bundle","type":"searchset"${total},"link":[${link('self', parts.self)}${next}]`];
  const base = JSON.stringify(`${parts.baseUrl}/`).slice(0, -1);
  let before = ',"entry":[{"fullUrl":';
  const add = (entries: readonly Entry[], mode: string): void => {
    for (const { type, id, content } of entries) {
      pieces.push(before, base, type, '/', id, '","resource":', content, mode);
      before = ',{"fullUrl":';
    }
  };
  add(parts.matches, ',"search":{"mode":"match"}}');
  add(parts.included, ',"search":{"mode":"include"}}');
  if (parts.issues.length > 0) {
    pieces.push(
      pieces.length === 1 ? ',"entry":[' : ',',
      `{"resource":${JSON.stringify(toOutcome(parts.issues))},"search":{"mode":"outcome"}}`,
    );
  }
  pieces.push(pieces.length === 1 ? '}' : ']}');
  return pieces.join('');
}
