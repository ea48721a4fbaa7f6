/** New identifiers. @see https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7 */
import { randomFillSync } from 'node:crypto';

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));
const pool = new Uint8Array(1280);
let used = pool.length;
let lastMs = 0;
let sequence = 0;

/**
 * A UUID version 7: sorts by time of creation, strictly increasing within a process (12-bit counter within a millisecond).
 * @param nowMs milliseconds since the epoch
 */
export function newId(nowMs: number = Date.now()): string {
  if (nowMs > lastMs) {
    lastMs = nowMs;
    sequence = 0;
  } else if (++sequence > 0xfff) {
    lastMs++;
    sequence = 0;
  }
  if (used + 8 > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const time = lastMs.toString(16).padStart(12, '0');
  const r = (i: number): string => HEX[pool[used + i] ?? 0] ?? '00';
  const variant = HEX[((pool[used] ?? 0) & 0x3f) | 0x80] ?? '80';
  const id = `${time.slice(0, 8)}-${time.slice(8)}-7${sequence.toString(16).padStart(3, '0')}-${variant}${r(1)}-${r(2)}${r(3)}${r(4)}${r(5)}${r(6)}${r(7)}`;
  used += 8;
  return id;
}
