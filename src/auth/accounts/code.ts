/** Codes that people read and type: letters and digits that are not mistaken for others. @see https://www.crockford.com/base32.html */

const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** `7K2M-…`: groups of four. @param bytes a multiple of five of them leaves no bit unused */
export function readableCode(bytes: Uint8Array): string {
  let bits = 0;
  let held = 0;
  let text = '';
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += DIGITS.charAt((held >> bits) & 31);
    }
  }
  return (text.match(/.{1,4}/g) ?? []).join('-');
}

/** The code however it was typed: case, spaces, hyphens and look-alikes do not matter. */
export const typedCode = (text: string): string =>
  text
    .slice(0, 100)
    .normalize('NFKC')
    .toUpperCase()
    .replace(/[\s\p{Pd}]/gu, '')
    .replaceAll('O', '0')
    .replace(/[IL]/g, '1');
