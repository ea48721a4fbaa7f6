/** Generated Slots: what the rules say, again and again the same. https://hl7.org/fhir/R4/slot.html */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateSlots } from '../../src/scheduling/generate.ts';
import { openClinic, type Clinic } from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());

test('first', async () => {
  const { parts } = clinic.server.kairos.scheduling;
  console.log(await generateSlots(parts));
  console.log(await generateSlots(parts));
  console.log(await generateSlots(parts, { comparedBefore: Infinity }));
  const { rows } = await clinic.server.kairos.pool.query('select content, status, start, schedule, service, _tag, specialty from slot order by start limit 3');
  console.log(rows);
  expect(clinic.server.engine.validator.validate(JSON.parse(rows[0].content))).toEqual([]);
  console.log((await clinic.server.kairos.pool.query('select * from scheduling_generated')).rows, (await clinic.server.kairos.pool.query('select * from outbox')).rows);
});
