/**
 * Unwrapped data keys, kept for some minutes and in bounded number. Keys lie side by side in one block of memory: as objects of their own, each would
 * take ten times the room. A generation is dropped as a whole; what is found in the last one but one counts as missing, so that what was found lasts until it is used.
 */
import { createSecretKey, type KeyObject } from 'node:crypto';

const KEY_BYTES = 32;
/** Keys in one generation; there are three. */
const MOST = 50_000;
/** Three of them are five minutes. */
const GENERATION_MS = 100_000;

interface Generation {
  readonly places: Map<string, number>;
  readonly active: Map<string, string>;
  bytes: Buffer;
}

const emptyGeneration = (): Generation => ({ places: new Map(), active: new Map(), bytes: Buffer.alloc(0) });

export interface KeyCache {
  /** Whether a key will be there for some time yet. */
  has(id: string): boolean;
  get(id: string): KeyObject | undefined;
  /** Its key that writes use. @param lasting only if it will be there for some time yet */
  activeOf(scope: string, lasting: boolean): string | undefined;
  /** @param scope whose key for writing it is */
  add(id: string, key: Uint8Array, scope: string | undefined): void;
  /** Begins a new generation where it is time, before a load: nothing of one load drops another part of it. */
  turn(): void;
  /** Which keys writes use must be asked again. */
  forgetActive(): void;
  close(): void;
}

export function createKeyCache(): KeyCache {
  let generations: readonly [Generation, Generation, Generation] = [
    emptyGeneration(),
    emptyGeneration(),
    emptyGeneration(),
  ];
  const shift = (): void => {
    const [young, middle, old] = generations;
    old.bytes.fill(0);
    generations = [emptyGeneration(), young, middle];
  };
  const timer = setInterval(shift, GENERATION_MS);
  timer.unref();

  return {
    has: (id) => generations[0].places.has(id) || generations[1].places.has(id),
    get(id) {
      for (const { places, bytes } of generations) {
        const place = places.get(id);
        if (place !== undefined) return createSecretKey(bytes.subarray(place, place + KEY_BYTES));
      }
      return undefined;
    },
    activeOf(scope, lasting) {
      const [young, middle, old] = generations;
      return young.active.get(scope) ?? middle.active.get(scope) ?? (lasting ? undefined : old.active.get(scope));
    },
    add(id, key, scope) {
      const [young] = generations;
      if (!young.places.has(id)) {
        const place = young.places.size * KEY_BYTES;
        if (place === young.bytes.length) {
          const larger = Buffer.alloc(Math.max(64 * KEY_BYTES, place * 2));
          young.bytes.copy(larger);
          young.bytes.fill(0);
          young.bytes = larger;
        }
        young.bytes.set(key, place);
        young.places.set(id, place);
      }
      if (scope !== undefined) young.active.set(scope, id);
    },
    turn() {
      if (generations[0].places.size >= MOST) shift();
    },
    forgetActive() {
      for (const { active } of generations) active.clear();
    },
    close() {
      clearInterval(timer);
      for (let i = 0; i < 3; i++) shift();
    },
  };
}
