/** What comes back: order, pages, totals, includes, summaries, links, refusals. @see https://hl7.org/fhir/R4/search.html#return */
import type { Patient, Resource } from '@medplum/fhirtypes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clinic, MRN } from './fixtures.ts';
import { BASE, openSearch, type Found, type SearchServer } from './support.ts';

let server: SearchServer;
beforeAll(async () => {
  server = await openSearch({ includes: 6 });
  await server.put(...clinic);
});
afterAll(() => server.close());

const e = encodeURIComponent;
const strict = { strict: true };

async function pages(url: string): Promise<Found[]> {
  const all: Found[] = [];
  for (let next: string | undefined = url; next !== undefined; next = all.at(-1)?.next) {
    all.push(await server.ask(next, strict));
    if (all.length > 50) throw new Error('pages without end');
  }
  return all;
}

describe('R4 3.1.1.5.1 _sort', () => {
  test.each([
    ['Patient?_sort=birthdate', 'dora bert anna cleo'],
    ['Patient?_sort=-birthdate', 'anna bert dora cleo'],
    ['Patient?_sort=gender,-birthdate', 'anna bert dora cleo'],
    ['Patient?_sort=-gender,birthdate', 'dora bert anna cleo'],
    ['Patient?_sort=family', 'anna bert cleo dora'],
    ['Patient?_sort=-family', 'bert anna cleo dora'],
    ['Patient?_sort=-_id', 'dora cleo bert anna'],
    ['Patient?_sort=_lastUpdated', 'bert cleo anna dora'],
    ['Patient?_sort=-_lastUpdated', 'anna dora cleo bert'],
    ['Patient?_sort=identifier', 'anna bert cleo dora'],
    ['Patient?_sort=organization', 'anna bert cleo dora'],
    ['Invoice?_sort=totalgross', 'i2 i1'],
    ['Encounter?_sort=-location-period', 'e1 e2 e3'],
    ['Appointment', 'ap1 ap2'],
    ['Slot?_sort=-start', 'slot3 slot2 slot1'],
  ])('%s', async (query, ids) => {
    expect(await server.ids(query, strict)).toEqual(ids.split(' '));
    const paged = await pages(`${query}${query.includes('?') ? '&' : '?'}_count=1`);
    expect(paged.flatMap((p) => p.matches.map((m) => m.split('/')[1]))).toEqual(ids.split(' '));
  });
  test('what gives no order is refused, what is unknown is ignored', async () => {
    expect((await server.refusal('Location?_sort=near')).status).toBe(400);
    expect((await server.refusal('Patient?_sort=nonsense', strict)).status).toBe(400);
    expect((await server.ask('Patient?_sort=nonsense')).outcome?.issue[0]?.diagnostics).toMatch(/_sort/);
  });
});

describe('R4 3.1.1.5.2 paging and totals', () => {
  test('the total is told where all fit in a page, carried on by links, and counted on demand', async () => {
    expect((await server.ask('Patient')).bundle.total).toBe(4);
    expect((await server.ask('Patient?_count=3')).bundle.total).toBeUndefined();
    const accurate = await pages('Patient?_count=3&_total=accurate');
    expect(accurate.map((p) => p.bundle.total)).toEqual([4, 4]);
    expect((await server.ask('Patient?_total=none')).bundle.total).toBeUndefined();
    expect((await server.ask('Patient?_count=1&_total=estimate')).bundle.total).toBe(4);
    expect((await server.ask('Patient?family:exact=Smith&_count=0')).bundle.total).toBe(1);
  });
  test('IHE Scheduling: Bundle.total is present in every search of Appointment', async () => {
    const all = await pages('Appointment?_count=1');
    expect(all.map((p) => p.bundle.total)).toEqual([2, 2]);
  });
  test('_count=0 and _summary=count tell the total only', async () => {
    for (const query of ['Patient?_count=0', 'Patient?_summary=count', 'Patient?_summary=count&_count=2']) {
      const { bundle } = await server.ask(query, strict);
      expect(bundle.total).toBe(4);
      expect(bundle.entry).toBeUndefined();
      expect(bundle.link?.map((l) => l.relation)).toEqual(['self']);
    }
  });
  test('_count is capped; what is no number is refused', async () => {
    expect((await server.ask('Patient?_count=10e9')).self).toBe(`${BASE}/Patient?_count=1000`);
    for (const count of ['x', '-1', '1.5', '0x10'])
      expect((await server.refusal(`Patient?_count=${count}`)).issues[0]?.expression).toEqual(['_count']);
  });
  test('a page link that was changed, or belongs to another search, is refused', async () => {
    const { next = '' } = await server.ask('Patient?_count=1&gender:not=male');
    expect(next).toContain('_cursor=');
    const cursor = new URL(next).searchParams.get('_cursor') ?? '';
    expect((await server.ask(`Patient?gender:not=male&_count=3&_cursor=${cursor}`)).matches).toHaveLength(2);
    for (const bad of [
      `Patient?_count=1&gender:not=female&_cursor=${cursor}`,
      `Patient?_count=1&gender:not=male&_sort=birthdate&_cursor=${cursor}`,
      `Practitioner?_count=1&_cursor=${cursor}`,
      `Patient?_count=1&gender:not=male&_cursor=x${cursor}`,
      `Patient?_count=1&gender:not=male&_cursor=${cursor.slice(0, -2)}`,
      'Patient?_cursor=abc.def',
      `Patient?_cursor=${'a'.repeat(30_000)}`,
    ]) {
      const error = await server.refusal(bad);
      expect([error.status, error.issues[0]?.expression]).toEqual([400, ['_cursor']]);
    }
  });
  test('pages of conditions that are tested on the resource are full, and the totals right', async () => {
    await server.put(
      ...Array.from({ length: 30 }, (_, i): Patient => ({
        resourceType: 'Patient',
        id: `many${String(i).padStart(2, '0')}`,
        name: [{ family: i % 3 === 0 ? 'Exact' : 'EXACT' }],
      })),
    );
    const all = await pages('Patient?family:exact=Exact&_count=4&_total=accurate');
    expect(all.map((p) => p.matches.length)).toEqual([4, 4, 2]);
    expect(all.map((p) => p.bundle.total)).toEqual([10, 10, 10]);
    for (let i = 0; i < 30; i++) await server.remove('Patient', `many${String(i).padStart(2, '0')}`);
  });
});

describe('R4 3.1.1.5.4 _include and _revinclude', () => {
  const rows: readonly (readonly [string, string, string])[] = [
    ['Appointment?_id=ap1&_include=Appointment:patient', 'ap1', 'Patient/anna'],
    ['Appointment?_id=ap1&_include=Appointment:actor:Practitioner', 'ap1', 'Practitioner/house'],
    ['Appointment?_id=ap1&_include=Appointment:actor', 'ap1', 'Patient/anna Practitioner/house Location/boston'],
    ['Patient?_id=anna&_revinclude=Provenance:target', 'anna', 'Provenance/pr1'],
    [
      'Patient?_id=anna&_revinclude=Appointment:patient&_include:iterate=Appointment:slot',
      'anna',
      'Appointment/ap1 Slot/slot1',
    ],
    [
      'Slot?_id=slot1&_include=Slot:schedule&_include:iterate=Schedule:actor:Practitioner',
      'slot1',
      'Schedule/s1 Practitioner/house',
    ],
    ['Slot?_id=slot1&_include=Slot:schedule&_include=Schedule:actor:Practitioner', 'slot1', 'Schedule/s1'],
    ['Schedule?_id=s1&_revinclude=Slot:schedule', 's1', 'Slot/slot1 Slot/slot2'],
    ['Encounter?_id=e2&_include:iterate=Encounter:part-of', 'e2', 'Encounter/e1'],
    ['Patient?_id=cleo&_include=Patient:link&_include:iterate=Patient:link', 'cleo', 'Patient/anna'],
    ['Organization?_id=north&_revinclude:iterate=Organization:partof', 'north', 'Organization/south'],
    ['Encounter?_id=e1&_include=*', 'e1', 'Patient/anna Location/cambridge'],
    ['Encounter?_id=e1&_include=Encounter:*', 'e1', 'Patient/anna Location/cambridge'],
    ['Patient?_id=anna&_include=Patient:organization', 'anna', 'Organization/north'],
    [
      'PractitionerRole?_include=PractitionerRole:practitioner&_include=PractitionerRole:endpoint',
      'house-north',
      'Practitioner/house',
    ],
    ['Patient?_id=anna,cleo&_include=Patient:link', 'anna cleo', ''],
  ];
  test.each(rows)('%s', async (query, matches, included) => {
    const found = await server.ask(query, strict);
    expect(found.matches.map((m) => m.split('/')[1])).toEqual(matches.split(' '));
    expect([...found.included].sort()).toEqual(included === '' ? [] : included.split(' ').sort());
    expect(found.outcome).toBeUndefined();
  });
  test('more than the server includes in a page is cut off, and told', async () => {
    const found = await server.ask('Patient?_id=anna&_revinclude=*&_include=*');
    expect(found.included).toHaveLength(6);
    expect(found.outcome?.issue[0]).toMatchObject({ severity: 'warning', code: 'incomplete' });
  });
  test('includes that are malformed are refused, unknown ones ignored or refused by handling', async () => {
    expect((await server.refusal('Patient?_include=organization')).status).toBe(400);
    expect((await server.refusal('Patient?_include:recurse=Patient:organization')).status).toBe(400);
    for (const unknown of [
      'Medication:subject',
      'Patient:name',
      'Patient:nothing',
      'Patient:organization:Medication',
      'Patient:organization:Slot',
    ]) {
      expect((await server.ask(`Patient?_include=${unknown}`)).outcome?.issue[0]?.expression).toEqual(['_include']);
      expect((await server.refusal(`Patient?_include=${unknown}`, strict)).status).toBe(400);
    }
  });
});

describe('R4 3.1.1.5.8 _summary and 3.1.1.5.9 _elements', () => {
  const first = async (query: string): Promise<Record<string, unknown>> => ({
    ...((await server.ask(query, strict)).bundle.entry?.[0]?.resource as Resource),
  });
  const tag = { system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'SUBSETTED' };
  test('_elements keeps mandatory elements and marks the resource', async () => {
    const slot = await first('Slot?_id=slot3&_elements=serviceType');
    expect(Object.keys(slot)).toEqual(
      ['resourceType', 'id', 'meta', 'schedule', 'status', 'start', 'end', 'serviceType'].filter((k) => k in slot),
    );
    expect(slot['serviceType']).toBeDefined();
    expect((slot['meta'] as { tag: unknown[] }).tag).toEqual([tag]);
    expect(slot).toMatchObject({ status: 'free', schedule: { reference: 'Schedule/s2' } });
  });
  test('_summary=true, text and data', async () => {
    const patient = await first('Patient?_id=anna&_summary=true');
    expect(patient['maritalStatus']).toBeUndefined();
    expect(patient['name']).toBeDefined();
    expect(Object.keys(await first('Patient?_id=bert&_summary=text'))).toEqual(['resourceType', 'id', 'meta']);
    expect((await first('Patient?_id=anna&_summary=data'))['maritalStatus']).toBeDefined();
    const appointment = await first('Appointment?_id=ap1&_summary=true');
    expect(appointment['participant']).toHaveLength(3);
    expect((await first('Invoice?_id=i1&_summary=true'))['totalGross']).toEqual({ value: 100.5, currency: 'USD' });
  });
  test('combinations without meaning are refused', async () => {
    for (const query of [
      'Patient?_elements=name&_summary=true',
      'Patient?_summary=text&_include=Patient:organization',
      'Patient?_summary=maybe',
      'Patient?_total=perhaps',
    ]) {
      expect((await server.refusal(query)).status).toBe(400);
    }
    expect(await server.ids('Patient?_elements=name&_summary=false&_id=anna', strict)).toEqual(['anna']);
  });
});

describe('R4 3.1.1.3 links say what was understood', () => {
  test.each([
    ['Patient?name=m%C3%BCl', 'Patient?name=m%C3%BCl'],
    ['Slot?start=ge2026-11-23T09:00:00+01:00', 'Slot?start=ge2026-11-23T09:00:00%2B01:00'],
    [`Patient?identifier=${e(`${MRN}|A-1`)}&nonsense=1`, 'Patient?identifier=http://hospital.example/mrn%7CA-1'],
    ['Patient?_count=5&gender=female', 'Patient?gender=female&_count=5'],
    ['Patient', 'Patient'],
    ['?_type=Patient,Slot&_id=anna', '?_type=Patient,Slot&_id=anna'],
    [`Patient?name=${e('a\\,b,c')}`, 'Patient?name=a%5C,b,c'],
    ['Appointment?actor:Patient.name=smi', 'Appointment?actor:Patient.name=smi'],
  ])('%s', async (query, self) => {
    expect((await server.ask(query)).self).toBe(`${BASE}${self.startsWith('?') ? '' : '/'}${self}`);
  });
  test('fullUrl and links stand on the base URL', async () => {
    const { bundle } = await server.ask('Patient?_id=anna');
    expect(bundle.entry?.[0]?.fullUrl).toBe(`${BASE}/Patient/anna`);
    expect(bundle.type).toBe('searchset');
  });
});

describe('R4 3.1.1.3.2 errors', () => {
  test('unknown parameters are ignored with an outcome, or refused under handling=strict', async () => {
    for (const query of [
      'Patient?nonsense=1',
      'Patient?_text=x',
      'Patient?_content=x',
      'Patient?_query=x',
      'Patient?organization.nonsense=1',
      'Patient?_has:Medication:subject:code=1',
      'Patient?name=',
      'Encounter?episode-of-care.status=x',
    ]) {
      const { outcome, matches } = await server.ask(query);
      expect(matches, query).not.toHaveLength(0);
      expect(outcome?.issue[0]?.severity, query).toBe('warning');
      expect((await server.refusal(query, strict)).status, query).toBe(400);
    }
  });
  test('modifiers that are not there, and chains on what is no reference, are refused always', async () => {
    for (const query of [
      'Patient?name:nonsense=1',
      'Patient?gender:exact=male',
      'Patient?birthdate:not=2000',
      'Patient?organization:Patient=1',
      'Patient?gender.name=x',
      'Patient?organization:type=1',
      'Patient?active:missing=maybe',
      'Patient?_has:Appointment:patient=1',
      'Patient?identifier=a|b|c',
      'Patient?organization=a/b/c',
      'Patient?organization:Patient.name=x',
    ]) {
      expect((await server.refusal(query)).status, query).toBe(400);
    }
  });
  test('too many values, parameters or chains are refused as too costly', async () => {
    for (const query of [
      `Patient?name=${Array.from({ length: 1000 }, (_, i) => `n${i}`).join(',')}`,
      `Appointment?${Array.from({ length: 50 }, () => 'actor:Patient.name=a').join('&')}`,
      `Patient?${Array.from({ length: 600 }, () => 'gender=male').join('&')}`,
      `Organization?${'partof.'.repeat(60)}name=a`,
      `Organization?${'_has:Organization:partof:'.repeat(60)}name=a`,
    ]) {
      const error = await server.refusal(query);
      expect([error.status, error.issues[0]?.code]).toEqual([400, 'too-costly']);
    }
  });
  test('hostile text does no harm', async () => {
    for (const value of [
      "'; drop table patient; --",
      '%',
      '_',
      '\\',
      '\\\\',
      '{',
      '{}',
      '"',
      '",',
      '(a+)+$',
      'a'.repeat(5000),
      '😀',
      '\u0001',
      'Å'.repeat(900),
    ]) {
      for (const name of [
        'name',
        'name:contains',
        'name:exact',
        'identifier',
        'gender',
        'phonetic',
        'telecom',
        '_tag',
        '_profile',
        '_source:below',
        '_sort',
        '_elements',
      ]) {
        await server
          .ask(`Patient?${name}=${e(value)}`)
          .catch((error: { status?: number }) => expect(error.status).toBe(400));
      }
    }
    for (const value of ['\ud800', 'a\0b']) {
      const { search } = await import('../../src/fhir/search/search.ts');
      await expect(
        search(server.engine, server.context(), { type: 'Patient' }, [['name', value]], { strict: false }),
      ).rejects.toMatchObject({ status: 400 });
    }
    expect(await server.ids('Patient?_count=100')).toHaveLength(4);
  });
});

describe('R4 3.2.0.11 compartments and the whole system', () => {
  test('Patient/anna/Appointment, Patient/anna/*', async () => {
    expect(await server.ids('Patient/anna/Appointment')).toEqual(['ap1']);
    expect(await server.ids('Patient/anna/Appointment?status=proposed')).toEqual([]);
    expect(await server.ids('Practitioner/house/Appointment')).toEqual(['ap1']);
    const all = await server.ask('Patient/anna/*?_count=100');
    expect([...all.matches].sort()).toEqual(
      [
        'Appointment/ap1',
        'ChargeItem/ci',
        'Encounter/e1',
        'Group/g',
        'Invoice/i1',
        'Patient/anna',
        'Patient/cleo',
        'Provenance/pr1',
      ].sort(),
    );
    expect(all.self).toBe(`${BASE}/Patient/anna/*?_count=100`);
    expect((await server.refusal('Patient/anna/Location')).status).toBe(404);
    expect((await server.refusal('Slot/slot1/Appointment')).status).toBe(404);
  });
  test('whole-system search pages through types in one order', async () => {
    const all = await pages('?_type=Patient,Practitioner,Organization&_count=3&_total=accurate');
    const ids = all.flatMap((p) => p.matches);
    expect(ids).toEqual([
      'Patient/anna',
      'Patient/bert',
      'Patient/cleo',
      'Patient/dora',
      'Practitioner/house',
      'Organization/north',
      'Organization/south',
      'Practitioner/wilson',
    ]);
    expect(all[0]?.bundle.total).toBe(8);
    const types = [...new Set(clinic.map((r) => r.resourceType))].join(',');
    expect((await pages(`?_type=${types}&_count=7`)).flatMap((p) => p.matches)).toHaveLength(clinic.length);
    expect((await server.ask('?_count=7')).matches).toHaveLength(7);
    expect((await pages('?_type=Patient,Slot&_sort=-_lastUpdated,_id&_count=2')).flatMap((p) => p.matches)).toEqual([
      'Patient/anna',
      'Patient/dora',
      'Slot/slot1',
      'Slot/slot2',
      'Slot/slot3',
      'Patient/cleo',
      'Patient/bert',
    ]);
    expect((await server.ask('?_type=Patient,Practitioner&name=anna', strict)).matches).toEqual(['Patient/anna']);
    expect((await server.refusal('?_type=Nonsense')).status).toBe(400);
    expect((await server.refusal('?_type=Patient,Slot&name=anna', strict)).status).toBe(400);
  });
});
