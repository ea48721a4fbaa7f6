/** The languages of the pages, and which of them a request wants. */
import { en } from './en.ts';
import { es } from './es.ts';

/** What every language must say. */
export type Texts = typeof en;

export const LANGUAGES = { en, es } as const satisfies Readonly<Record<string, Texts>>;
export type Language = keyof typeof LANGUAGES;

export const LANGUAGE_CODES = Object.keys(LANGUAGES) as readonly Language[];

/** The language of a tag such as `es-MX`, if there are texts in it. */
export function languageOf(tag: string | undefined): Language | undefined {
  const primary = tag?.trim().split('-', 1)[0]?.toLowerCase();
  return LANGUAGE_CODES.find((code) => code === primary);
}

/** The first of our languages in the order of preference. @see https://www.rfc-editor.org/rfc/rfc9110#name-accept-language */
export function acceptedLanguage(header: string | undefined): Language | undefined {
  return (header ?? '')
    .slice(0, 1000)
    .split(',')
    .map((part) => {
      const [tag = '', ...parameters] = part.split(';');
      const weight = parameters.map((p) => /^\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*$/i.exec(p)?.[1]).find((w) => w);
      return { language: languageOf(tag), weight: Number(weight ?? 1) };
    })
    .filter(({ language, weight }) => language !== undefined && weight > 0)
    .sort((a, b) => b.weight - a.weight)[0]?.language;
}

const COOKIE = 'lang';
const YEAR_SECONDS = 31_536_000;

export const languageCookie = (language: Language): string =>
  `${COOKIE}=${language}; Path=/; SameSite=Lax; HttpOnly; Max-Age=${YEAR_SECONDS}`;

/** What was chosen on a page in this browser. */
export const cookieLanguage = (header: string | undefined): Language | undefined =>
  languageOf(/(?:^|;\s*)lang=([A-Za-z-]{2,20})(?:;|$)/.exec(header ?? '')?.[1]);
