/** Each type of search parameter, each modifier, each prefix. @see https://hl7.org/fhir/R4/search.html */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clinic, MRN, SNOMED } from './fixtures.ts';
import { BASE, openSearch, type SearchServer } from './support.ts';

let server: SearchServer;
beforeAll(async () => {
  server = await openSearch();
  await server.put(...clinic);
});
afterAll(() => server.close());

/** Rows: query (values encoded where they need it), ids of the matches. */
type Rows = readonly (readonly [query: string, ids: string])[];
const e = encodeURIComponent;

function finds(rows: Rows): void {
  test.each(rows)('%s', async (query, ids) => {
    expect(await server.ids(query, { strict: true })).toEqual(ids === '' ? [] : ids.split(' '));
  });
}

describe('R4 3.1.1.4.8 string', () => {
  finds([
    ['Patient?name=mul', 'anna'],
    ['Patient?name=MÜL', 'anna'],
    ['Patient?name=ulle', ''],
    ['Patient?name:contains=ULLE', 'anna'],
    ['Patient?family:contains=b', 'anna'],
    ['Patient?family=lena', ''],
    ['Patient?given=lena', 'anna'],
    [`Patient?name:exact=${e('Müller')}`, 'anna'],
    ['Patient?name:exact=Muller', ''],
    [`Patient?name:exact=${e('müller')}`, ''],
    ['Patient?name=smith,cleo', 'bert cleo'],
    ['Patient?name=anna&name=lena', 'anna'],
    ['Patient?name=anna&name=bert', ''],
    ['Patient?name=%25', ''],
    ['Patient?name:contains=_50%25', 'anna'],
    ['Patient?name:contains=_5%25', ''],
    ['Patient?address=bos', 'anna'],
    ['Patient?address=high', ''],
    ['Patient?address-city=BOSTON', 'anna'],
    ['Patient?address-postalcode=0213', 'anna'],
    ['Patient?name:missing=true', 'dora'],
    ['Patient?name:missing=false', 'anna bert cleo'],
    ['Patient?family:missing=true', 'cleo dora'],
    ['Patient?phonetic=Smyth', 'bert'],
    ['Patient?phonetic=Mueller', 'anna'],
    ['Patient?phonetic:exact=Smith', 'bert'],
    ['Patient?phonetic:contains=leopat', 'cleo'],
    ['Organization?name=polar', 'north'],
    ['Organization?name=south%20%20clinic', 'south'],
  ]);
});

describe('R4 3.1.1.4.10 token', () => {
  finds([
    ['Patient?gender=female', 'anna'],
    ['Patient?gender=female,male', 'anna bert'],
    [`Patient?gender=${e('http://hl7.org/fhir/administrative-gender|female')}`, 'anna'],
    [`Patient?gender=${e('http://hl7.org/fhir/administrative-gender|')}`, 'anna bert dora'],
    [`Patient?gender=${e('http://other|female')}`, ''],
    ['Patient?gender:not=female', 'bert cleo dora'],
    ['Patient?gender:not=female,male', 'cleo dora'],
    ['Patient?gender:missing=true', 'cleo'],
    [`Patient?gender:in=${e('http://hl7.org/fhir/ValueSet/administrative-gender')}`, 'anna bert dora'],
    [`Patient?gender:not-in=${e('http://hl7.org/fhir/ValueSet/administrative-gender')}`, 'cleo'],
    ['Patient?active=true', 'anna'],
    ['Patient?active:not=true', 'bert cleo dora'],
    ['Patient?deceased=true', 'bert dora'],
    ['Patient?deceased=false', 'anna cleo'],
    [`Patient?identifier=${e(`${MRN}|A-1`)}`, 'anna'],
    ['Patient?identifier=a-1', 'bert'],
    [`Patient?identifier=${e('|loose')}`, 'anna'],
    [`Patient?identifier=${e('|A-1')}`, ''],
    [`Patient?identifier=${e(`${MRN}|`)}`, 'anna bert'],
    [`Patient?identifier:of-type=${e('http://terminology.hl7.org/CodeSystem/v2-0203|MR|A-1')}`, 'anna'],
    [`Patient?identifier:of-type=${e('http://terminology.hl7.org/CodeSystem/v2-0203|SS|A-1')}`, ''],
    ['Patient?identifier:text=medical', 'anna'],
    ['Patient?language=DE-ch', 'anna'],
    ['Patient?language:text=swiss', 'anna'],
    ['Patient?telecom=0355556473', 'anna'],
    [`Patient?phone=${e('(03) 5555 6473')}`, 'anna'],
    ['Patient?email=ANNA@example.org', 'anna'],
    ['Patient?phone=anna@example.org', ''],
    [`Patient?telecom=${e('email|anna@example.org')}`, 'anna'],
    [`Patient?_tag=${e('http://tags.example|vip')}`, 'bert'],
    ['Patient?_tag:not=vip', 'anna cleo dora'],
    ['Patient?_security=r', 'cleo'],
    ['Patient?_id=anna,bert', 'anna bert'],
    ['Patient?_id:not=anna', 'bert cleo dora'],
    ['Patient?_id:missing=false&gender=male', 'bert'],
    ['Patient?_id:missing=true', ''],
    [`PractitionerRole?specialty=${e(`${SNOMED}|394802001`)}`, 'house-north'],
    ['PractitionerRole?specialty:text=general', 'house-north'],
    ['PractitionerRole?specialty:text=diag', 'house-north'],
    ['PractitionerRole?specialty:text=nost', ''],
    [`Encounter?class:below=${e('http://terminology.hl7.org/CodeSystem/v3-ActCode|_ActEncounterCode')}`, 'e1 e2'],
    [`Encounter?class:above=${e('http://terminology.hl7.org/CodeSystem/v3-ActCode|ACUTE')}`, 'e1'],
    [`Encounter?class=${e('|AMB')}`, 'e3'],
    ['Appointment?part-status=tentative', 'ap2'],
    [`Appointment?part-status=${e('http://hl7.org/fhir/participationstatus|accepted')}`, 'ap1'],
    ['Group?exclude=true', 'g'],
    ['Group?value=true', 'g'],
    ['Group?value=v2', 'g'],
  ]);
  test('value sets and hierarchies that cannot be enumerated are refused', async () => {
    for (const query of [
      `PractitionerRole?specialty:in=${e('http://snomed.info/sct?fhir_vs=ecl/<394802001')}`,
      `PractitionerRole?specialty:below=${e(`${SNOMED}|394802001`)}`,
      'PractitionerRole?specialty:in=http://unknown.example/vs',
      'Appointment?appointment-type:not-in=http://unknown.example/vs',
    ]) {
      const error = await server.refusal(query);
      const name = query.slice(query.indexOf('?') + 1, query.indexOf('='));
      expect(error.status).toBe(400);
      expect(error.issues[0]?.code).toBe('not-supported');
      expect(error.issues[0]?.expression).toEqual([name]);
      expect(error.issues[0]?.diagnostics).toContain(`${name}: `);
    }
  });
});

describe('R4 3.1.1.4.7 date', () => {
  finds([
    ['Patient?birthdate=1980-02-03', 'anna'],
    ['Patient?birthdate=1980-02', 'anna bert'],
    ['Patient?birthdate=1980', 'anna bert'],
    ['Patient?birthdate=ne1980-02-03', 'bert dora'],
    ['Patient?birthdate=gt1980-02-03', 'bert'],
    ['Patient?birthdate=ge1980-02-03', 'anna bert'],
    ['Patient?birthdate=lt1980-02-03', 'bert dora'],
    ['Patient?birthdate=le1980-02-03', 'anna bert dora'],
    ['Patient?birthdate=sa1975', 'anna bert'],
    ['Patient?birthdate=eb1980-02', 'dora'],
    ['Patient?birthdate=ap1980-02-03', 'anna bert dora'],
    ['Patient?birthdate=lt1976,ge1980-02-03', 'anna bert dora'],
    ['Patient?birthdate:missing=true', 'cleo'],
    ['Patient?death-date=2020', 'bert'],
    ['Slot?start=2026-11-23T08:00:00Z', 'slot1'],
    [`Slot?start=${e('2026-11-23T09:00:00+01:00')}`, 'slot1'],
    ['Slot?start=2026-11-23T09:00:00+01:00', 'slot1'],
    ['Slot?start=2026-11-23', 'slot1 slot2'],
    ['Slot?start=ge2026-11-23T08:30:00Z', 'slot2 slot3'],
    ['Slot?start=gt2026-11-23T08:30:00Z', 'slot3'],
    ['Slot?start=lt2026-11-23T08:30:00Z', 'slot1'],
    ['Slot?start=le2026-11-23T08:30:00Z', 'slot1 slot2'],
    ['Slot?start=ne2026-11-23', 'slot3'],
    ['Slot?end=2026-12-01T08:30', 'slot3'],
    ['Appointment?date:missing=true', 'ap2'],
    ['Encounter?date=2026-11-20', ''],
    ['Encounter?date=gt2026-11-22', 'e2'],
    ['Encounter?date=ap2026-11-21', 'e1 e2'],
    ['Encounter?date=lt2026-11-21', 'e1'],
    ['Encounter?date=eb2026-11-22', 'e1'],
    ['Encounter?date=sa2026-11-21', 'e2'],
    ['Encounter?location-period=2026-11-20', 'e1'],
    ['Encounter?location-period=ne2026-11-20', ''],
    ['ChargeItem?occurrence=2026-11', 'ci'],
    ['ChargeItem?occurrence=ap2026-11-03', 'ci'],
    ['Schedule?date=ge2026-12-15', 's2'],
    ['Patient?_lastUpdated=2026-01-02T03:04:05.678Z', 'bert'],
    ['Patient?_lastUpdated=lt2026-03-01', 'bert'],
    ['Patient?_lastUpdated=ge2026-03&_lastUpdated=lt2026-04', 'cleo'],
  ]);
  test.each([
    '1973-02-30',
    '2026-13-01',
    '***',
    '2026-11-23T24:00:00Z',
    '2026-11-23T10:00:60Z',
    '2026-11-23T1',
    'xx2026',
    '2026-1-1',
    '0000',
    '2026-11-23T10:00:00+25:00',
  ])('invalid date %s is refused with the parameter named', async (date) => {
    const error = await server.refusal(`Patient?birthdate=${e(date)}`);
    expect(error.status).toBe(400);
    expect(error.issues[0]?.expression).toEqual(['birthdate']);
  });
});

describe('R4 3.1.1.4.9 and 3.1.1.4.11 number and quantity', () => {
  finds([
    ['ChargeItem?factor-override=0.8', 'ci'],
    ['ChargeItem?factor-override=0.80', 'ci'],
    ['ChargeItem?factor-override=1', 'ci'],
    ['ChargeItem?factor-override=1.0', ''],
    ['ChargeItem?factor-override=gt0.8', ''],
    ['ChargeItem?factor-override=ge8e-1', 'ci'],
    ['ChargeItem?factor-override=ap0.85', 'ci'],
    ['ChargeItem?factor-override=ne0.8', ''],
    ['Invoice?totalgross=100.5', 'i1 i2'],
    ['Invoice?totalgross=100.50', 'i1'],
    ['Invoice?totalgross=100', 'i2'],
    [`Invoice?totalgross=${e('100.5||USD')}`, 'i1'],
    [`Invoice?totalgross=${e('gt1|urn:iso:std:iso:4217|EUR')}`, 'i2'],
    ['Invoice?totalgross:missing=true', ''],
    [`Encounter?length=${e('1|http://unitsofmeasure.org|d')}`, 'e1'],
    [`Encounter?length=${e('1||day')}`, 'e1'],
    [`Encounter?length=${e('1|http://unitsofmeasure.org|h')}`, ''],
    [`Encounter?length=${e('ge1||h,1||d')}`, 'e1 e2'],
    ['Encounter?length:missing=true', 'e3'],
    [`ChargeItemDefinition?context-quantity=${e('18|http://unitsofmeasure.org|a')}`, 'cid'],
    ['ChargeItemDefinition?context-quantity=gt9', 'cid'],
    ['ChargeItemDefinition?context-quantity=ap7', 'cid'],
    ['ChargeItemDefinition?context-quantity=100', ''],
  ]);
  test.each(['abc', '1e9999', '5|x', '1|2|3|4', 'gt'])('%s is no quantity', async (value) => {
    expect((await server.refusal(`Encounter?length=${e(value)}`)).status).toBe(400);
  });
});

describe('R4 3.1.1.4.12 reference', () => {
  finds([
    ['Appointment?patient=anna', 'ap1'],
    ['Appointment?patient=Patient/anna', 'ap1'],
    [`Appointment?patient=${BASE}/Patient/anna`, 'ap1'],
    ['Appointment?patient:Patient=anna', 'ap1'],
    ['Appointment?actor=anna', 'ap1'],
    ['Appointment?actor:Practitioner=anna', ''],
    ['Appointment?actor:Location=boston', 'ap1'],
    ['Appointment?patient=Practitioner/house', ''],
    ['Appointment?practitioner=house,wilson', 'ap1'],
    [`Appointment?practitioner:identifier=${e('http://npi.example|9')}`, 'ap2'],
    ['Appointment?actor:identifier=9', 'ap2'],
    [`Appointment?patient:identifier=${e('http://npi.example|9')}`, ''],
    [`Patient?organization=Organization/north`, 'anna'],
    [`Patient?organization=${BASE}/Organization/south`, 'bert'],
    ['Patient?organization=Organization/south/_history/3', 'bert'],
    ['Patient?organization=Organization/south/_history/2', ''],
    [`Patient?organization:identifier=${e('http://orgs.example|o1')}`, 'cleo'],
    ['Patient?organization:missing=true', 'dora'],
    ['Patient?organization=http://elsewhere.example/Organization/north', ''],
    ['Encounter?subject=g', 'e3'],
    ['Encounter?patient:missing=true', 'e3'],
  ]);
  test('3.1.1.4.13 chains and reverse chains', async () => {
    const rows: Rows = [
      [`Appointment?patient.identifier=${e(`${MRN}|A-1`)}`, 'ap1'],
      ['Appointment?actor:Patient.name=smi', 'ap2'],
      ['Appointment?actor.name=bost', 'ap1'],
      ['Appointment?slot.schedule.actor=Practitioner/house', 'ap1'],
      ['Appointment?slot.schedule.actor:Practitioner.family=wilson', ''],
      ['Slot?schedule.actor=Location/boston', 'slot1 slot2'],
      ['Patient?organization.name=north', 'anna'],
      ['Patient?organization.partof.name=north', 'bert'],
      ['Patient?organization.name:exact=North%20Clinic', 'anna'],
      ['Patient?general-practitioner:Practitioner.family:exact=house', ''],
      ['Patient?organization._id=north', 'anna'],
      ['Patient?_has:Appointment:patient:status=booked', 'anna'],
      ['Patient?_has:Encounter:patient:date=ge2026-11-22', 'bert'],
      ['Patient?_has:Appointment:patient:practitioner.family=house', 'anna'],
      ['Practitioner?_has:PractitionerRole:practitioner:specialty:text=diag', 'house'],
      ['Practitioner?_has:Appointment:practitioner:_has:Provenance:target:agent=house', ''],
      ['Patient?_has:Group:member:_id=g', 'anna'],
      ['Organization?_has:Patient:organization:_has:Appointment:patient:status=proposed', 'south'],
      ['PractitionerRole?practitioner.identifier=1', 'house-north'],
      [`Encounter?subject:Patient._has:Invoice:patient:totalgross=${e('100.5||USD')}`, 'e1'],
    ];
    for (const [query, ids] of rows)
      expect(await server.ids(query, { strict: true }), query).toEqual(ids === '' ? [] : ids.split(' '));
  });
});

describe('R4 3.1.1.4.14 composite, 3.1.1.4.13 uri, special', () => {
  finds([
    [`ChargeItemDefinition?context-type-value=${e('http://uc.example|gender$female')}`, 'cid'],
    [`ChargeItemDefinition?context-type-value=${e('http://uc.example|age$female')}`, ''],
    [`ChargeItemDefinition?context-type-quantity=${e('age$18')}`, 'cid'],
    [`ChargeItemDefinition?context-type-quantity=${e('gender$18')}`, ''],
    [`ChargeItemDefinition?context-type-quantity=${e('range$gt9')}`, 'cid'],
    ['ChargeItemDefinition?context-type-quantity:missing=false', 'cid'],
    ['ChargeItemDefinition?context-type-quantity:missing=true', ''],
    [`Group?characteristic-value=${e('c1$true')}`, 'g'],
    [`Group?characteristic-value=${e('c2$true')}`, ''],
    ['ChargeItemDefinition?url=http://kairos.example/charges/visit', 'cid'],
    ['ChargeItemDefinition?url=http://kairos.example/charges', ''],
    ['ChargeItemDefinition?url:below=http://kairos.example/charges', 'cid'],
    ['ChargeItemDefinition?url:below=http://kairos.example/', 'cid'],
    ['ChargeItemDefinition?url:below=http://kairos.example/char', ''],
    ['ChargeItemDefinition?url:above=http://kairos.example/charges/visit/long', 'cid'],
    ['ChargeItemDefinition?url:above=http://kairos.example/charges', ''],
    ['Patient?_profile=http://profiles.example/p', 'bert'],
    [`Patient?_profile=${e('http://profiles.example/p|1.0')}`, 'bert'],
    [`Patient?_profile=${e('http://profiles.example/p|2.0')}`, ''],
    ['Patient?_profile:below=http://profiles.example', 'bert'],
    ['Patient?_profile:missing=false', 'bert'],
    ['Patient?_source=http://source.example/a', 'bert'],
    [`Location?near=${e('42.36|-71.06|1|km')}`, 'boston'],
    [`Location?near=${e('42.36|-71.06|10|km')}`, 'boston cambridge'],
    [`Location?near=${e('42.36|-71.06|3|[mi_us]')}`, 'boston cambridge'],
    [`Location?near=${e('42.36|-71.06')}`, 'boston cambridge'],
    [`Location?near=${e('-17.7|-179.9|30|km')}`, 'fiji'],
    [`Location?near=${e('89.9|10|30000|km')}`, 'boston cambridge fiji'],
    ['Location?near:missing=true', 'nowhere'],
  ]);
  test.each(['42.36', '91|0|1|km', '1|2|x|km', '1|2|3|parsec', '1|2|3|km|5'])('near=%s is refused', async (value) => {
    expect((await server.refusal(`Location?near=${e(value)}`)).status).toBe(400);
  });
});
