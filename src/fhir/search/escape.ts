/** Splitting and joining of parameter values: `\,` `\|` `\$` `\\`. @see https://hl7.org/fhir/R4/search.html#escaping */

/** Splits at unescaped separators; the parts stay escaped. */
export function splitEscaped(text: string, separator: ',' | '|' | '$'): string[] {
  if (text.indexOf(separator) < 0) return [text];
  const parts: string[] = [];
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '\\') i++;
    else if (c === separator) {
      parts.push(text.slice(from, i));
      from = i + 1;
    }
  }
  parts.push(text.slice(from));
  return parts;
}

const ESCAPED = new Set([',', '|', '$', '\\']);

/** Removes escapes. A backslash before any other character stands for itself. */
export function unescape(text: string): string {
  if (text.indexOf('\\') < 0) return text;
  let out = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? '';
    const next = text[i + 1];
    if (c === '\\' && next !== undefined && ESCAPED.has(next)) {
      out += next;
      i++;
    } else out += c;
  }
  return out;
}

const SPECIAL = /[,|$\\]/g;

export const escape = (text: string): string => text.replace(SPECIAL, '\\$&');
