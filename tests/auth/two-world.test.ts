/**
 * security.md A1.2: two worlds that are equal for somebody and different in all that they may not see answer every request alike.
 * `npm run two-world -- --pairs 50000 --seed 7` asks as many as one likes.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { grammar } from './two-world-requests.ts';
import { randomFrom as random } from '../support/random-resource.ts';
import { normal, openWorlds, WHO, type Worlds } from './two-worlds.ts';

const PAIRS = Number(process.env['TWO_WORLD_PAIRS'] ?? 2_100);
const SEED = Number(process.env['TWO_WORLD_SEED'] ?? 1);

let worlds: Worlds;
beforeAll(async () => {
  worlds = await openWorlds();
}, 120_000);
afterAll(() => worlds.close());

const statuses = new Map<number, number>();
let asked = 0;

test.each(WHO.map((who, i) => [who, i] as const))(
  '%s: status, headers and bodies are equal',
  async (who, i) => {
    await worlds.as(who);
    const next = grammar(worlds.servers[0].engine, random(SEED * 1_000 + i));
    const pairs = Math.ceil(PAIRS / WHO.length);
    for (let n = 0; n < pairs; n++) {
      const request = next();
      const [one, other] = await worlds.ask(request);
      statuses.set(one.status, (statuses.get(one.status) ?? 0) + 1);
      asked++;
      const [told, toldOther] = [normal(one), normal(other)];
      if (told !== toldOther) {
        // A page of resources is too long for what vitest shows of a difference.
        const at = [...told].findIndex((c, i) => c !== toldOther[i]);
        const around = (text: string): string => text.slice(Math.max(0, at - 300), at + 300);
        expect(around(toldOther), `pair ${n}: ${JSON.stringify(request)}`).toBe(around(told));
        expect(toldOther, `pair ${n}: ${JSON.stringify(request)}`).toBe(told);
      }
      expect(one.status, JSON.stringify(request)).toBeLessThan(500);
      // What a physician reads counts for five seconds.
      if (n % 500 === 499) await worlds.as(who);
    }
  },
  Math.max(60_000, PAIRS * 60),
);

test('the requests were of all kinds', () => {
  expect(asked).toBeGreaterThanOrEqual(PAIRS);
  process.stdout.write(
    `two worlds: ${asked} pairs, seed ${SEED}: ${[...statuses]
      .sort()
      .map(([s, n]) => `${s} × ${n}`)
      .join(', ')}\n`,
  );
  expect(statuses.get(201) ?? 0).toBeGreaterThan(0);
  for (const status of [200, 400, 403, 404])
    expect(statuses.get(status) ?? 0, String(status)).toBeGreaterThan(PAIRS / 200);
  expect((statuses.get(200) ?? 0) / asked).toBeGreaterThan(0.2);
});
