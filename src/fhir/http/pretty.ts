/** `_pretty`: JSON with lines and indents for people; large Bundles entry by entry. @see https://hl7.org/fhir/R4/http.html#pretty */
import { breather } from '../breathe.ts';
import { parseJson, stringify } from '../json.ts';
import { cutEntries } from './bundle-body.ts';

/** Smaller bodies are rewritten at once, in a few milliseconds. */
const CUT_FROM_LENGTH = 262_144;
/** Deep nesting makes lines of blanks: a body that would grow by more is left as it is. */
const MOST_GROWTH = 4;

const whole = (text: string): string => stringify(parseJson(text, { maxDepth: Number.MAX_SAFE_INTEGER }).value, 2);

async function prettyBundle(body: string): Promise<string> {
  const bytes = Buffer.from(body);
  const { array, entries } = await cutEntries(bytes, Number.MAX_SAFE_INTEGER);
  if (!array || entries.length === 0) return whole(body);
  const breathe = breather();
  const pieces: string[] = [];
  let left = MOST_GROWTH * body.length;
  for (const { start, end } of entries) {
    const piece = whole(bytes.toString('utf8', start, end)).replaceAll('\n', '\n    ');
    left -= piece.length;
    if (left < 0) return body;
    pieces.push(piece);
    await breathe();
  }
  const head = whole(bytes.toString('utf8', 0, array.start) + bytes.toString('utf8', array.end));
  // No string holds a line break as such, so this is the Bundle's own property.
  return head.replace('\n  "entry": []', () => `\n  "entry": [\n    ${pieces.join(',\n    ')}\n  ]`);
}

/** A body for people. */
export const prettyBody = (body: string): string | Promise<string> =>
  body.length > CUT_FROM_LENGTH && body.startsWith('{"resourceType":"Bundle"') ? prettyBundle(body) : whole(body);
