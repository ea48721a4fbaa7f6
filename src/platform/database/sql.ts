/** SQL as values: fragments that carry their parameters and are joined before they are numbered, so that no value is ever spliced into text. */

/** A fragment: literal SQL and parameters in turn. */
export interface Sql {
  readonly parts: readonly (string | Parameter)[];
}

class Parameter {
  readonly value: unknown;
  constructor(value: unknown) {
    this.value = value;
  }
}

const isSql = (value: unknown): value is Sql =>
  typeof value === 'object' && value !== null && Array.isArray((value as Sql).parts);

/** Template tag: interpolated fragments are inlined, every other value becomes a parameter. */
export function sql(strings: TemplateStringsArray, ...values: readonly unknown[]): Sql {
  const parts: (string | Parameter)[] = [strings[0] ?? ''];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (isSql(value)) for (const part of value.parts) parts.push(part);
    else parts.push(new Parameter(value));
    parts.push(strings[i + 1] ?? '');
  }
  return { parts };
}

/** Literal SQL text; only for text that the program itself made. */
export const raw = (text: string): Sql => ({ parts: [text] });

/** A quoted identifier. */
export const id = (name: string): Sql => raw(`"${name.replaceAll('"', '""')}"`);

/** Fragments joined by a separator. */
export function join(fragments: readonly Sql[], separator: string): Sql {
  const parts: (string | Parameter)[] = [];
  for (const fragment of fragments) {
    if (parts.length > 0) parts.push(separator);
    for (const part of fragment.parts) parts.push(part);
  }
  return { parts };
}

/** All of them hold; no fragment: true. */
export const and = (fragments: readonly Sql[]): Sql =>
  fragments.length === 0
    ? raw('true')
    : fragments.length === 1 && fragments[0]
      ? fragments[0]
      : sql`(${join(fragments, ' and ')})`;

/** One of them holds; no fragment: false. */
export const or = (fragments: readonly Sql[]): Sql =>
  fragments.length === 0
    ? raw('false')
    : fragments.length === 1 && fragments[0]
      ? fragments[0]
      : sql`(${join(fragments, ' or ')})`;

/** The statement's text with `$1…`, and its values. */
export function compile(fragment: Sql): { readonly text: string; readonly values: unknown[] } {
  const values: unknown[] = [];
  let text = '';
  for (const part of fragment.parts) {
    if (typeof part === 'string') text += part;
    else text += `$${values.push(part.value)}`;
  }
  return { text, values };
}
