/** Budgets of many tries: what they cost, and that they hold. @see https://www.rfc-editor.org/rfc/rfc6585#section-4 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { spend, type Budget } from '../../src/auth/attempts.ts';
import type { AuthParts } from '../../src/auth/parts.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { Browser } from '../support/app-driver.ts';
import { startIdentityServer, type IdentityServer } from '../support/identity-server.ts';
import { refusal } from './people.ts';

let server: IdentityServer;
/** Milliseconds since the epoch: the beginning of a window of 900 s. */
const BEGIN = 1_800_000_000_000;
let now = BEGIN;
let parts: AuthParts;

beforeAll(async () => {
  server = await startIdentityServer();
  parts = { ...server.kairos.identity, clock: { ...server.kairos.identity.clock, now: () => now } };
});
afterAll(() => server.close());

const budget = (name: string, limit = 300): Budget => ({ key: ['test', name], limit, seconds: 900 });
const at = (seconds: number): void => void (now = BEGIN + seconds * 1000);

async function taken(of: Budget, times: number): Promise<number> {
  const outcomes = await Promise.all(Array.from({ length: times }, () => refusal(spend(parts, [of]))));
  return outcomes.filter((outcome) => outcome !== 'limited').length;
}

describe('budgets of more than 100 tries', () => {
  test('parallel tries: the limit holds to the try', async () => {
    at(0);
    expect(await taken(budget('parallel'), 350)).toBe(300);
  });

  test('the row stays as small as it was, however many came before', async () => {
    at(0);
    const size = async (): Promise<number> =>
      Number(
        (await poolNamed(server.kairos.pool, `select max(pg_column_size(a.*)) from auth_attempt a`)).rows[0]?.[0] ?? 0,
      );
    await poolNamed(server.kairos.pool, `delete from auth_attempt`);
    await spend(parts, [budget('size', 3000)]);
    const first = await size();
    await taken(budget('size', 3000), 200);
    expect(await size()).toBe(first);
  });

  test('the window slides: of the one before counts the part that is not yet too old', async () => {
    at(0);
    expect(await taken(budget('slides'), 400)).toBe(300);
    at(900 + 450);
    expect(await taken(budget('slides'), 400)).toBe(150);
    at(900 + 900);
    expect(await taken(budget('slides'), 400)).toBe(150);
    at(4 * 900);
    expect(await taken(budget('slides'), 400)).toBe(300);
  });

  test('who is refused is told when there is room', async () => {
    at(0);
    await taken(budget('wait'), 300);
    at(899);
    const wait = async (): Promise<number | undefined> => {
      try {
        await spend(parts, [budget('wait')]);
        return undefined;
      } catch (error) {
        return error instanceof Error && 'retryAfterSeconds' in error ? Number(error.retryAfterSeconds) : undefined;
      }
    };
    expect(await wait()).toBe(1);
    at(900 + 450);
    await taken(budget('wait'), 150);
    const seconds = (await wait()) ?? 0;
    at(900 + 450 + seconds);
    expect(await wait()).toBeUndefined();
  });

  test('what was no guess is given back', async () => {
    at(0);
    await taken(budget('back'), 299);
    const { refund } = await spend(parts, [budget('back')]);
    expect(await taken(budget('back'), 1)).toBe(0);
    await refund();
    expect(await taken(budget('back'), 2)).toBe(1);
    const own = [budget('back, both'), budget('back')];
    expect(await refusal(spend(parts, own))).toBe('limited');
    expect(await taken(budget('back, both'), 301)).toBe(300);
  });
});

test('authorization requests from one place have such a budget', async () => {
  await poolNamed(server.kairos.pool, `delete from auth_attempt`);
  await new Browser().fetch(`${server.issuer}/authorize`);
  const { rows } = await poolNamed(server.kairos.pool, `select count, cardinality(times) from auth_attempt`);
  expect(rows).toEqual([['1', '0']]);
});
