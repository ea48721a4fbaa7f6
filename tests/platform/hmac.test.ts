/** HMAC as Node makes it. https://www.rfc-editor.org/rfc/rfc2104 */
import { createHmac, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { hmac } from '../../src/platform/hmac.ts';

test('the same as of Node’s objects, for keys and texts of any length', () => {
  for (const bytes of [0, 1, 31, 32, 63, 64]) {
    const key = new Uint8Array(randomBytes(bytes));
    for (const length of [0, 1, 55, 64, 119, 1000]) {
      const text = 'ö'.repeat(length);
      for (const encoding of ['hex', 'base64url'] as const)
        expect(hmac(key, text, encoding)).toBe(createHmac('sha256', key).update(text).digest(encoding));
    }
  }
});

test('a longer key is refused, not cut', () => {
  expect(() => hmac(new Uint8Array(65), 'text', 'hex')).toThrow(/64/);
});
