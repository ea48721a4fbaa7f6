/** What a letter says, and how it is laid out: plain text, and simple HTML without anything to load. */

/** Kinds of letters with what each must be told. Values are written by us or by people whom the receiver knows; none goes into a subject. */
export interface LetterValues {
  /** Proves the address of somebody who registers. */
  readonly registration: { readonly link: string };
  /** Somebody registered with, or changed to, an address that has an account. */
  readonly 'have-account': { readonly signIn: string; readonly reset: string };
  readonly invitation: { readonly link: string };
  readonly reset: { readonly link: string };
  /** Proves the new address. */
  readonly email: { readonly link: string };
  readonly 'email-changed': Record<never, never>;
  readonly 'password-changed': { readonly reset: string };
  readonly 'factor-added': { readonly factor: FactorName; readonly account: string };
  readonly 'factor-removed': { readonly factor: FactorName; readonly account: string };
  readonly 'factors-reset': { readonly reset: string };
  readonly 'recovery-code-used': { readonly left: number; readonly account: string };
  readonly 'recovery-codes-renewed': { readonly account: string };
  readonly 'new-device': { readonly device: string; readonly account: string };
  readonly 'profile-linked': { readonly account: string };
  readonly 'roles-changed': Record<never, never>;
  readonly disabled: Record<never, never>;
}

/** `provider`: an account elsewhere that opens this one. */
export type FactorName = 'totp' | 'passkey' | 'provider';
export type LetterKind = keyof LetterValues;

export interface Letter {
  readonly subject: string;
  /** A paragraph each; one that is a URL alone becomes a link. */
  readonly paragraphs: readonly string[];
}

/** The letters of one language. */
export type LetterTexts = {
  readonly greeting: (name: string | undefined) => string;
  readonly signature: string;
  readonly letters: { readonly [K in LetterKind]: (values: LetterValues[K]) => Letter };
};

export interface Rendered {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escape = (text: string): string => text.replace(/[&<>"']/g, (c) => ENTITIES[c] ?? c);

/** Control characters could make other lines, or other headers. */
const oneLine = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ').trim();

const isLink = (paragraph: string): boolean => /^https?:\/\/\S+$/.test(paragraph);

export function renderLetter(language: string, texts: LetterTexts, letter: Letter, name: string | undefined): Rendered {
  const subject = oneLine(letter.subject);
  const paragraphs = [texts.greeting(name), ...letter.paragraphs].map(oneLine);
  const body = paragraphs.map((p) =>
    isLink(p) ? `<p><a href="${escape(p)}">${escape(p)}</a></p>` : `<p>${escape(p)}</p>`,
  );
  return {
    subject,
    text: `${[...paragraphs, texts.signature].join('\n\n')}\n`,
    html: `<!doctype html>
<html lang="${language}"><head><meta charset="utf-8"><title>${escape(subject)}</title></head>
<body style="font-family: sans-serif; line-height: 1.5; max-width: 36em">
${body.join('\n')}
<p>${escape(texts.signature)}</p>
</body></html>
`,
  };
}
