/** What a type refuses ahead of its transaction, and to whom. @see https://hl7.org/fhir/R4/security.html#access */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FhirError } from '../../src/fhir/outcome.ts';
import { defineResource } from '../../src/fhir/resource.ts';
import { onlyStatus, openStore, write, type TestStore } from './open-store.ts';

let store: TestStore;
beforeAll(async () => {
  store = await openStore([
    defineResource({
      type: 'Slot',
      sealed: false,
      foresee: () => Promise.reject(new FhirError(409, [])),
      project: () => Promise.resolve(),
    }),
  ]);
});
afterAll(() => store.close());

const slot = (status: 'free' | 'busy') =>
  write({
    resourceType: 'Slot',
    schedule: { reference: 'Schedule/1' },
    status,
    start: '2027-01-04T09:00:00Z',
    end: '2027-01-04T09:30:00Z',
  });

const statusOf = (created: Promise<void>): Promise<unknown> =>
  created.then(
    () => 201,
    (error: unknown) => (error instanceof FhirError ? error.status : error),
  );

test('who may not write it is told that, and nothing more', async () => {
  const rows = onlyStatus('free');
  expect(await statusOf(store.repository.create(slot('free'), rows))).toBe(409);
  expect(await statusOf(store.repository.create(slot('busy'), rows))).toBe(403);
});
