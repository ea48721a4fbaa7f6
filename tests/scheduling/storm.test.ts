/**
 * A small storm: 64 clients on two server processes fight for few times through every door, and it is red where the database does not keep visits apart.
 * `npm run storm` is the large one.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { reportOf } from '../../src/bench/storm/report.ts';
import { storm, type StormResult } from '../../src/bench/storm/run.ts';
import { deadlocksIn, onDatabase, openStage, type Stage } from '../../src/bench/storm/stage.ts';
import { seeded } from '../../src/demo/random.ts';
import { checkInvariants } from '../../src/compose-doctor.ts';
import type { CheckResult } from '../../src/platform/database/checks.ts';
import { givenRootKeys } from '../../src/platform/root-keys.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { TEST_ROOT_KEY } from '../support/root-key.ts';

let database: TestDatabase;
let stage: Stage;
beforeAll(async () => {
  database = await createTestDatabase();
  // Nobody runs jobs: what there is to do beside the storm would only slow it down.
  stage = await openStage(database, 64, { ROOT_KEY: TEST_ROOT_KEY, WORKER: 'off' });
});
afterAll(async () => {
  await stage.close();
  await database.drop();
});

const run = (attempts: number, rounds: number, firstDay: number): Promise<StormResult> =>
  storm({
    wire: stage.wire,
    people: stage.people,
    ports: stage.servers.map((s) => s.port),
    generated: false,
    attempts,
    rounds,
    firstDay,
    random: seeded('storm', attempts).next,
    say: () => undefined,
  });
const checks = (): Promise<readonly CheckResult[]> => checkInvariants(database.app, givenRootKeys(TEST_ROOT_KEY));

test('nobody is booked twice, every time has as many winners as it has room, nothing breaks', async () => {
  const result = await run(500, 6, 3);
  const { lines, problems } = reportOf(result, await checks(), 0);
  expect(problems, lines.join('\n')).toEqual([]);
  expect(result.tally.doors.length).toBeGreaterThan(20);
});

test('without the constraint it is red, in what clients saw and in the database', async () => {
  await onDatabase(database.owner, 'alter table occupancy drop constraint occupancy_exclude');
  const { verdict, miscounted } = await run(120, 2, 20);
  expect(verdict.doubles.length).toBeGreaterThan(0);
  expect(miscounted.length).toBeGreaterThan(0);
  const found = (await checks()).filter((c) => c.found.length > 0).map((c) => c.name);
  expect(found).toContain('I1');
  expect(found).toContain('I2');
});

test('there was no deadlock', async () => {
  // Sessions tell at the latest when they end.
  await stage.close();
  expect(await deadlocksIn(database.app)).toBe(0);
});
