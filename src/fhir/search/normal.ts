/**
 * Normal forms in which text is compared: without case, accents, or insignificant white space.
 * @see https://hl7.org/fhir/R4/search.html#string
 */
import { bounded } from './literal.ts';

const MARKS = /\p{M}+/gu;
/** No script puts more marks on a letter; sorting longer runs takes time with the square of their length. @see https://www.unicode.org/reports/tr15/#Stream_Safe_Text_Format */
const TOO_MANY_MARKS = /(\p{M}{30})\p{M}+/gu;
// eslint-disable-next-line no-control-regex
const BLANKS = /[\s\u0000-\u001f]+/g;

function isSimple(text: string): boolean {
  let blank = true;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c > 126 || c < 32) return false;
    if (c === 32) {
      if (blank) return false;
      blank = true;
    } else blank = false;
  }
  return !blank;
}

/** Lower case, accents and combining marks removed, white space collapsed. */
export function normalText(text: string): string {
  if (isSimple(text)) return text.toLowerCase();
  return text
    .replace(TOO_MANY_MARKS, '$1')
    .normalize('NFKD')
    .replace(MARKS, '')
    .replace(BLANKS, ' ')
    .trim()
    .toLowerCase()
    .normalize('NFC');
}

/** A code in the form that lookups compare: code systems of which we don't know better are taken as case-insensitive. */
export const normalCode = (code: string): string => bounded(code.toLowerCase());

const PHONE = /^\+?[\d\s().\-/]{3,}$/;
const NOT_DIAL = /[^\d+]/g;

/** A phone number without its punctuation; anything else in lower case. @see https://hl7.org/fhir/R4/search.html#token */
export const normalContact = (value: string): string =>
  PHONE.test(value) ? value.replace(NOT_DIAL, '') : bounded(value.toLowerCase());

const SOUNDEX = '01230120022455012623010202';

/** American Soundex of each word; words without Latin letters stay as they are. @see https://www.archives.gov/research/census/soundex */
export function phonetic(text: string): string[] {
  return normalText(text)
    .split(/[^\p{L}\p{N}]+/u)
    .filter((w) => w !== '')
    .map(soundex);
}

function soundex(word: string): string {
  const first = word.charCodeAt(0) - 97;
  if (!(first >= 0 && first < 26)) return word;
  let out = word.charAt(0);
  let previous = SOUNDEX.charAt(first);
  for (let i = 1; i < word.length && out.length < 4; i++) {
    const digit = SOUNDEX.charAt(word.charCodeAt(i) - 97);
    if (digit === '') continue;
    if (digit !== '0' && digit !== previous) out += digit;
    // H and W do not separate equal sounds, vowels do.
    if (word.charAt(i) !== 'h' && word.charAt(i) !== 'w') previous = digit;
  }
  return out.padEnd(4, '0');
}
