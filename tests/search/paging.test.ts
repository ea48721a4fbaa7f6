/** Following `next` meets every match once, while others write. @see https://hl7.org/fhir/R4/http.html#paging */
import type { Patient, Slot } from '@medplum/fhirtypes';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NOW, openSearch, type SearchServer } from './support.ts';

let server: SearchServer;
beforeAll(async () => {
  server = await openSearch();
  await server.put(
    ...Array.from({ length: COUNT }, (_, i) => slot(i)),
    ...Array.from({ length: COUNT }, (_, i) => patient(i)),
  );
});
afterAll(() => server.close());

const COUNT = 150;
const idOf = (i: number): string => `n${String(i).padStart(3, '0')}`;
const moment = (minute: number): string => new Date(Date.UTC(2026, 11, 1) + minute * 60_000).toISOString();

// Many rows share a moment, so that the id decides between them.
const slot = (i: number, minute = i % 7): Slot => ({
  resourceType: 'Slot',
  id: idOf(i),
  schedule: { reference: 'Schedule/s' },
  status: 'free',
  start: moment(minute),
  end: moment(minute + 30),
  meta: { lastUpdated: moment(minute) },
});
const patient = (i: number, family = `family${i % 5}`): Patient => ({
  resourceType: 'Patient',
  id: idOf(i),
  ...(i % 4 === 0 ? {} : { name: [{ family }] }),
  birthDate: `19${10 + (i % 80)}-01-01`,
});

/** A repeatable source of numbers below `n`. */
function dice(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * n);
  };
}

/** Writes until told to stop: moves rows to and fro, makes new ones, deletes those again. */
function disturb(seed: number, from: number, to: number): { stop(): Promise<number> } {
  const state = { going: true };
  let writes = 0;
  const roll = dice(seed);
  const work = (async () => {
    for (let fresh = 0; state.going; writes++) {
      const i = from + roll(to - from);
      const updated = new Date(NOW + writes).toISOString();
      const kind = roll(10);
      if (kind < 5) await server.put({ ...slot(i, roll(300)), meta: { lastUpdated: updated } });
      else if (kind < 8) await server.put({ ...patient(i, `family${roll(9)}`), meta: { lastUpdated: updated } });
      else if (kind < 9)
        await server.put({ ...slot(1000 * seed + fresh), id: `x${seed}-${fresh++}`, meta: { lastUpdated: updated } });
      else if (fresh > 0) {
        await server.remove('Slot', `x${seed}-${fresh - 1}`);
        fresh--;
      }
    }
    return writes;
  })();
  return {
    stop() {
      state.going = false;
      return work;
    },
  };
}

const SEARCHES = [
  'Slot?_count=7',
  'Slot?schedule=Schedule/s&status=free&_count=11',
  'Slot?_sort=-start&_count=13',
  'Slot?_sort=_lastUpdated&_count=9',
  'Slot?_sort=-_lastUpdated&_count=9',
  'Patient?_count=10',
  'Patient?_sort=family,-birthdate&_count=10',
  'Patient?_sort=-family&_count=8',
  'Patient?birthdate=ge1900&_sort=name&_count=17',
  '?_type=Patient,Slot&_sort=-_lastUpdated&_count=21',
];

test('no match is lost and none comes twice while rows are moved, made and deleted', async () => {
  const writers = [disturb(1, 0, 50), disturb(2, 50, 100), disturb(3, 100, COUNT)];
  try {
    for (const query of SEARCHES) {
      const met: string[] = [];
      for (let next: string | undefined = query; next !== undefined;) {
        const page = await server.ask(next);
        met.push(...page.matches);
        next = page.next;
        // Time for the writers to move rows around the place where the page ended.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      expect(new Set(met).size, `${query}: twice`).toBe(met.length);
      const known = new Set(met);
      const expected = query.startsWith('?') ? ['Patient', 'Slot'] : [query.split('?')[0] ?? ''];
      const lost = expected
        .flatMap((type) => Array.from({ length: COUNT }, (_, i) => `${type}/${idOf(i)}`))
        .filter((name) => !known.has(name));
      expect(lost, `${query}: lost`).toEqual([]);
    }
  } finally {
    const writes = await Promise.all(writers.map((w) => w.stop()));
    expect(Math.min(...writes)).toBeGreaterThan(10);
  }
});

test('without writes, pages together are the whole in one order', async () => {
  for (const query of SEARCHES) {
    const met: string[] = [];
    for (let next: string | undefined = query; next !== undefined;) {
      const page = await server.ask(next);
      met.push(...page.matches);
      next = page.next;
    }
    expect(met, query).toEqual((await server.ask(query.replace(/_count=\d+/, '_count=1000'))).matches);
  }
});
