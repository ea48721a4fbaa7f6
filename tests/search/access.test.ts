/** Access is in every statement, at every alias: nothing leaks through chains, `_has`, includes, totals or compartments. */
import type { Resource } from '@medplum/fhirtypes';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accessPredicate, type Access } from '../../src/fhir/access.ts';
import { matchCriteria } from '../../src/fhir/search/match-criteria.ts';
import { search } from '../../src/fhir/search/search.ts';
import { compile, raw } from '../../src/platform/database/sql.ts';
import { everything, openSearch, type SearchServer } from './support.ts';

let server: SearchServer;
const statements: string[] = [];

/** Sees all but what is secret. */
const limited: Access = {
  principal: { kind: 'user', name: 'limited' },
  key: 'limited',
  demand: () => undefined,
  to: (act) => ({
    act,
    principal: { kind: 'user', name: 'limited' },
    reach: () => 'some',
    key: () => 'limited',
    rows: (_type, alias) => accessPredicate(raw(`${alias}.id not like 'secret%'`)),
    narrow: () => false,
    veil: () => undefined,
    admits: (_type, resource) => !String((resource as Resource).id).startsWith('secret'),
  }),
};

const resources: Resource[] = [
  {
    resourceType: 'Patient',
    id: 'open',
    name: [{ family: 'Open' }],
    generalPractitioner: [{ reference: 'Practitioner/secret-doctor' }],
    link: [{ other: { reference: 'Patient/secret-patient' }, type: 'seealso' }],
  },
  { resourceType: 'Patient', id: 'secret-patient', name: [{ family: 'Hidden' }] },
  { resourceType: 'Practitioner', id: 'secret-doctor', name: [{ family: 'Doctor' }] },
  {
    resourceType: 'Appointment',
    id: 'visible',
    status: 'booked',
    participant: [
      { status: 'accepted', actor: { reference: 'Patient/secret-patient' } },
      { status: 'accepted', actor: { reference: 'Patient/open' } },
    ],
  },
  {
    resourceType: 'Appointment',
    id: 'secret-visit',
    status: 'booked',
    participant: [{ status: 'accepted', actor: { reference: 'Patient/open' } }],
  },
  {
    resourceType: 'Encounter',
    id: 'visible',
    status: 'planned',
    class: { code: 'AMB' },
    subject: { reference: 'Patient/secret-patient' },
  },
  {
    resourceType: 'Invoice',
    id: 'secret-invoice',
    status: 'issued',
    subject: { reference: 'Patient/open' },
    totalGross: { value: 5, currency: 'USD' },
  },
];

beforeAll(async () => {
  server = await openSearch();
  await server.put(...resources);
  const { repository } = server.engine;
  const { query } = repository;
  repository.query = (statement) => {
    statements.push(compile(statement).text);
    return query(statement);
  };
});
afterAll(() => server.close());

const QUERIES = [
  'Patient',
  'Patient?family=hid',
  'Patient?_id=secret-patient',
  'Patient?_total=accurate&_count=1',
  'Patient?_count=0',
  'Patient?general-practitioner.name=doctor',
  'Patient?general-practitioner.name:exact=Doctor',
  'Appointment?patient.name=hidden',
  'Appointment?patient.name:exact=Hidden',
  'Encounter?subject:Patient.family=hidden',
  'Patient?_has:Appointment:patient:_id=secret-visit',
  'Patient?_has:Invoice:patient:totalgross=5||USD',
  'Patient?_has:Invoice:patient:status=issued',
  'Patient?link.name=hid',
  'Patient?_include=*&_revinclude=*',
  'Appointment?_include=Appointment:patient',
  'Patient?_revinclude=Invoice:patient&_revinclude=Appointment:patient',
  'Patient/open/*',
  'Patient/open/Appointment',
  'Patient/secret-patient/Patient',
  '?_type=Patient,Practitioner,Invoice&_sort=_lastUpdated',
  '?_type=Patient,Appointment&_count=1&_total=accurate',
  'Patient?name:missing=false',
  'Patient?_id:not=open',
  'Patient?general-practitioner.name:missing=false',
];

test('no secret is shown, and none can be told from what is shown', async () => {
  for (const query of QUERIES) {
    const found = await server.ask(query, { access: limited });
    expect(JSON.stringify([found.matches, found.included, found.self]).replaceAll(query, ''), query).not.toMatch(
      /(?:Patient|Practitioner|Appointment|Invoice)\/secret/,
    );
    const total = found.bundle.total;
    if (total !== undefined) expect(total, query).toBeLessThanOrEqual(2);
  }
  // With all access these find something: so it is the access that hides them.
  for (const query of [
    'Patient?general-practitioner.name=doctor',
    'Patient?general-practitioner.name:exact=Doctor',
    'Appointment?patient.name=hidden',
    'Patient?_has:Invoice:patient:totalgross=5||USD',
    'Patient?_has:Appointment:patient:_id=secret-visit',
    'Patient?link.name=hid',
  ]) {
    expect((await server.ask(query, { access: everything })).matches, query).not.toHaveLength(0);
    expect((await server.ask(query, { access: limited })).matches, query).toHaveLength(0);
  }
  expect((await server.ask('Patient?_count=0', { access: limited })).bundle.total).toBe(1);
  expect((await server.ask('Patient/open/Appointment', { access: limited })).bundle.total).toBe(1);
});

test('every alias of every statement has its predicate', async () => {
  statements.length = 0;
  for (const query of QUERIES) await server.ask(query, { access: limited });
  expect(statements.length).toBeGreaterThan(QUERIES.length);
  for (const text of statements) {
    const aliases = [...text.matchAll(/from "\w+" (\w+)/g)].map(([, alias]) => alias ?? '');
    for (const alias of aliases) {
      const wanted = text.split(`from `).filter((part) => new RegExp(`^"\\w+" ${alias}\\b`).test(part)).length;
      const present = text.split(`${alias}.id not like 'secret%'`).length - 1;
      expect(present, text).toBeGreaterThanOrEqual(wanted);
    }
  }
});

test('conditional criteria see what the access sees', async () => {
  const query = [['family', 'hidden']] as const;
  const { engine } = server;
  expect(await matchCriteria(engine, server.context(everything), engine.repository, 'Patient', query, 2)).toMatchObject(
    [{ id: 'secret-patient', version: 1, method: 'PUT' }],
  );
  expect(await matchCriteria(engine, server.context(limited), engine.repository, 'Patient', query, 2)).toEqual([]);
  await expect(matchCriteria(engine, server.context(), engine.repository, 'Patient', [], 2)).rejects.toMatchObject({
    status: 412,
  });
  await expect(
    matchCriteria(engine, server.context(), engine.repository, 'Patient', [['nonsense', '1']], 2),
  ).rejects.toMatchObject({ status: 400 });
});

test('a page link is good for those who see the same', async () => {
  const { next = '' } = await server.ask('Patient?_count=1&_sort=-_id', { access: everything });
  const url = new URL(next);
  const follow = (access: Access) =>
    search(server.engine, server.context(access), { type: 'Patient' }, [...url.searchParams], { strict: true });
  expect((await follow({ ...everything })).resources).toHaveLength(1);
  await expect(follow(limited)).rejects.toMatchObject({ status: 400 });
});
