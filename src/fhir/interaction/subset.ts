/**
 * `_summary` and `_elements` on a single resource.
 * @see https://hl7.org/fhir/R4/search.html#summary
 */
import type { Engine } from '../engine.ts';
import type { Reply } from '../http/request.ts';
import { badRequest } from '../outcome.ts';
import type { Query } from '../search/contract.ts';
import { subsetText, type Wanted } from '../search/subset.ts';

const SUMMARIES: ReadonlySet<string> = new Set(['true', 'text', 'data', 'false']);

/** @throws FhirError 400 */
function wantedOf(query: Query): Wanted {
  let summary: Wanted['summary'] = 'false';
  const elements: string[] = [];
  for (const [name, value] of query) {
    if (name === '_summary') {
      if (value === '') continue;
      if (!SUMMARIES.has(value))
        throw badRequest(
          'value',
          `_summary=${value.slice(0, 40)} is not offered on a read: use true, text, data or false.`,
          '_summary',
        );
      summary = value as Wanted['summary'];
    } else if (name === '_elements') {
      for (const element of value.split(',')) if (element.trim() !== '') elements.push(element.trim());
    }
  }
  if (elements.length > 0 && summary !== 'false') {
    throw badRequest('invalid', '_elements and _summary exclude each other: send one of them.', '_elements');
  }
  return { summary, elements };
}

/** The reply, narrowed as the query asks; the same bytes when it asks for nothing. @throws FhirError 400 */
export function subsetOf(engine: Engine, query: Query, type: string, reply: Reply): Reply {
  if (query.length === 0 || typeof reply.body !== 'string') return reply;
  const wanted = wantedOf(query);
  if (wanted.summary === 'false' && wanted.elements.length === 0) return reply;
  return { ...reply, body: subsetText(engine.definitions, type, reply.body, wanted) };
}
