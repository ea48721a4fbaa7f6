/** Text forms that PostgreSQL reads: array literals, and lookup forms short enough for an index entry. */
import { createHash } from 'node:crypto';

const LONGEST = 400;

/** An index entry holds at most a third of a page: longer text keeps its beginning, and a digest instead of the rest. */
export function bounded(text: string): string {
  if (text.length <= LONGEST) return text;
  return `${text.slice(0, 300)}\x1f${createHash('sha256').update(text).digest('hex')}`;
}

const plain = (text: string): boolean => text.indexOf('"') < 0 && text.indexOf('\\') < 0;
const quote = (text: string): string =>
  plain(text) ? `"${text}"` : `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;

/** `{"a","b"}` */
export function arrayLiteral(items: readonly string[]): string {
  const first = items[0];
  if (first === undefined) return '{}';
  let out = `{${quote(first)}`;
  for (let i = 1; i < items.length; i++) out += `,${quote(items[i] ?? '')}`;
  return `${out}}`;
}
