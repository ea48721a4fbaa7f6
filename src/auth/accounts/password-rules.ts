/** Which passwords are accepted: length, and not one that others would try; nothing about kinds of characters. @see https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver */
import { refuse, type RefusalCode } from '../refusal.ts';
import { loadCommonPasswords, type IsCommon } from './common-passwords.ts';

/** In characters of Unicode, after normalisation. */
export const SHORTEST = 12;
export const LONGEST = 256;

const PRODUCT = 'kairos';
/** What must be left of it besides the person's and the product's names. */
const OWN_LEFT = 8;
/** So much may be put around a common password without making it a good one: a year, an exclamation mark. */
const PADDING = 6;

interface Person {
  readonly email: string;
  readonly name: string;
}

/** `1111…`, `abcd…`, `9876543210987…`. */
function isRun(characters: readonly string[]): boolean {
  const isNumber = characters.every((c) => c >= '0' && c <= '9');
  const steps = characters.slice(1).map((c, i) => {
    const step = (c.codePointAt(0) ?? 0) - (characters[i]?.codePointAt(0) ?? 0);
    return isNumber && Math.abs(step) === 9 ? -Math.sign(step) : step;
  });
  return steps.every((s) => s === steps[0] && Math.abs(s) <= 1);
}

/** The shortest text that it repeats: `abc` of `abcabcabcab`. */
function period(text: string): string {
  for (let n = 1; n <= text.length / 2; n++) {
    const unit = text.slice(0, n);
    if (unit.repeat(Math.ceil(text.length / n)).startsWith(text)) return unit;
  }
  return text;
}

function isGuessable(text: string, isCommon: IsCommon): boolean {
  const characters = [...text];
  if (new Set(characters).size < 5 || isRun(characters) || isCommon(text)) return true;
  const unit = period(text);
  if (unit.length <= PADDING || (unit !== text && isCommon(unit))) return true;
  const core = text.replace(/^[^\p{L}]+/u, '').replace(/[^\p{L}]+$/u, '');
  return core.length >= 4 && text.length - core.length <= PADDING && isCommon(core);
}

function personalWords({ email, name }: Person): readonly string[] {
  const local = email.slice(0, email.lastIndexOf('@'));
  return [email, local, ...local.split(/[^\p{L}\p{N}]+/u), ...name.split(/\s+/), PRODUCT]
    .map((word) => word.normalize('NFKC').toLowerCase())
    .filter((word) => word.length >= 4)
    .sort((a, b) => b.length - a.length);
}

/** Why a password is not accepted; undefined: it is. */
export async function passwordFault(password: string, person: Person): Promise<RefusalCode | undefined> {
  if (password.length > 4 * LONGEST) return 'password-long';
  // Halves of a surrogate pair would all be stored as the same replacement character.
  if (!password.isWellFormed()) return 'password-common';
  const folded = password.normalize('NFKC');
  const length = [...folded].length;
  if (length < SHORTEST) return 'password-short';
  if (length > LONGEST) return 'password-long';
  const text = folded.toLowerCase();
  if (isGuessable(text, await loadCommonPasswords())) return 'password-common';
  const own = personalWords(person).reduce((rest, word) => rest.replaceAll(word, ''), text);
  return own !== text && own.length < OWN_LEFT ? 'password-personal' : undefined;
}

/** @throws Refusal `password-…` */
export async function demandGoodPassword(password: string, person: Person): Promise<void> {
  const fault = await passwordFault(password, person);
  if (fault) throw refuse(fault);
}
