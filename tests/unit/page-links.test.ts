/** Page links are signed by HMAC-SHA-256. */
import { createHmac, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { sign } from '../../src/fhir/search/page.ts';

test('RFC 2104 2: the signature is the HMAC that Node computes', () => {
  for (const bytes of [16, 32, 64]) {
    const key = new Uint8Array(randomBytes(bytes));
    for (const binding of ['', 'Patient?name=Ünal', 'x'.repeat(500)]) {
      const expected = createHmac('sha256', key).update(`["1"]\n${binding}`).digest('base64url').slice(0, 24);
      expect(sign(key, binding, '["1"]')).toBe(expected);
    }
  }
});
