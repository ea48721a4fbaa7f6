/** Patient/$everything. @see https://hl7.org/fhir/R4/patient-operation-everything.html */
import type {
  Appointment,
  Bundle,
  Coverage,
  OperationOutcome,
  Organization,
  Patient,
  Practitioner,
} from '@medplum/fhirtypes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../support/server.ts';
import { create, get } from './request.ts';

let server: TestServer;
let organization: string;
let practitioner: string;
let patient: string;
let other: string;
const ref = (reference: string) => ({ reference });
const name = (resource: { resourceType: string; id: string }): string => `${resource.resourceType}/${resource.id}`;

const appointment = (day: string, ...actors: string[]): Appointment => ({
  resourceType: 'Appointment',
  status: 'booked',
  start: `${day}T09:00:00Z`,
  end: `${day}T09:30:00Z`,
  participant: actors.map((a) => ({ actor: ref(a), status: 'accepted' })),
});

const shared: string[] = [];

beforeAll(async () => {
  server = await createTestServer();
  organization = name(await create<Organization>(server, { resourceType: 'Organization', name: 'Clinic' }));
  practitioner = name(await create<Practitioner>(server, { resourceType: 'Practitioner', name: [{ family: 'Kind' }] }));
  patient = name(await create<Patient>(server, { resourceType: 'Patient', managingOrganization: ref(organization) }));
  other = name(await create<Patient>(server, { resourceType: 'Patient' }));
  for (const day of ['2026-01-10', '2026-02-10', '2026-03-10'])
    shared.push(name(await create(server, appointment(day, patient, practitioner))));
  shared.push(name(await create(server, appointment('2026-04-10', patient, other))));
  await create(server, appointment('2026-04-11', other, practitioner));
  await create<Coverage>(server, {
    resourceType: 'Coverage',
    status: 'active',
    beneficiary: ref(patient),
    payor: [ref(organization)],
  });
});
afterAll(() => server.close());

const everything = (query = '') => get<Bundle>(server, `${patient}/$everything${query}`);
const entries = (bundle: Bundle): string[] =>
  (bundle.entry ?? []).map((e) => `${e.resource?.resourceType}/${e.resource?.id}`);
const ofType = (bundle: Bundle, type: string): string[] => entries(bundle).filter((e) => e.startsWith(`${type}/`));
const matches = (bundle: Bundle): string[] =>
  entries({ ...bundle, entry: (bundle.entry ?? []).filter((e) => e.search?.mode === 'match') });

describe('the record', () => {
  test('the patient, the compartment, and what they refer to, each once, in one searchset', async () => {
    const { status, body } = await everything();
    expect(status).toBe(200);
    expect(body).toMatchObject({ resourceType: 'Bundle', type: 'searchset', total: 6 });
    expect(new Set(entries(body)).size).toBe(entries(body).length);
    expect(matches(body)).toEqual(expect.arrayContaining([patient, ...shared]));
    expect(ofType(body, 'Coverage')).toHaveLength(1);
    expect(entries(body)).toEqual(expect.arrayContaining([organization, practitioner]));
  });

  test("another patient's resources stay out, even where an appointment is shared", async () => {
    const { body } = await everything();
    expect(entries(body)).not.toContain(other);
    expect(ofType(body, 'Appointment')).toHaveLength(4);
  });

  test('start and end: dates of care; what has none belongs always', async () => {
    const { body } = await everything('?start=2026-02-01&end=2026-03-10');
    expect(ofType(body, 'Appointment').sort()).toEqual([shared[1], shared[2]].sort());
    expect(ofType(body, 'Coverage')).toHaveLength(1);
  });

  test('_type: only these types', async () => {
    const { body } = await everything('?_type=Appointment,Practitioner');
    expect(new Set((body.entry ?? []).map((e) => e.resource?.resourceType))).toEqual(
      new Set(['Appointment', 'Practitioner']),
    );
  });

  test('_since: only what changed', async () => {
    const { body } = await everything(`?_since=${encodeURIComponent('2999-01-01T00:00:00Z')}`);
    expect(body.entry).toBeUndefined();
    expect(body.total).toBe(0);
    expect((await everything(`?_since=${encodeURIComponent('2020-01-01T00:00:00Z')}`)).body.total).toBe(6);
  });

  test('every type of the compartment can be asked for by date', async () => {
    const { body } = await get<Bundle>(server, 'metadata');
    expect(body).toBeDefined();
    expect(
      (await everything('?start=2020&end=2030&_type=AuditEvent,Provenance,Account,ChargeItem,Consent,Invoice')).status,
    ).toBe(200);
  });
});

describe('paging (_count)', () => {
  test.each([1, 2, 3])('pages of %i: following next returns each match once', async (count) => {
    const found: string[] = [];
    let url: string | undefined = `/fhir/R4/${patient}/$everything?_count=${count}`;
    while (url !== undefined) {
      const response = await server.request(url);
      expect(response.status).toBe(200);
      const bundle = (await response.json()) as Bundle;
      const here = matches(bundle).filter((m) => m !== patient || found.length === 0);
      expect(here.length).toBeLessThanOrEqual(count);
      found.push(...here);
      const next = bundle.link?.find((l) => l.relation === 'next')?.url;
      url = next === undefined ? undefined : next.slice(next.indexOf('/fhir/R4'));
    }
    expect(found.length).toBe(6);
    expect(new Set(found).size).toBe(6);
  });

  test('a page link that is not ours: 400', async () => {
    const { status } = await get(server, `${patient}/$everything?_count=1&_cursor=x`);
    expect(status).toBe(400);
    expect((await get(server, `${patient}/$everything?_count=1&_cursor=Appointment~abc.def`)).status).toBe(400);
  });
});

describe('bad calls', () => {
  test('unknown patient: 404; deleted: 410', async () => {
    expect((await get(server, 'Patient/none/$everything')).status).toBe(404);
    const gone = name(await create<Patient>(server, { resourceType: 'Patient' }));
    await server.request(`/fhir/R4/${gone}`, { method: 'DELETE' });
    expect((await get(server, `${gone}/$everything`)).status).toBe(410);
  });

  test.each([
    ['_type=Nothing', '_type'],
    ['_count=0', '_count'],
    ['start=yesterday', 'start'],
    ['start=2026-02-30', 'start'],
    ['_since=2026', '_since'],
    ['_offset=1', '_offset'],
    ['colour=red', 'colour'],
  ])('%s: 400 naming the parameter', async (query, parameter) => {
    const { status, body } = await get<OperationOutcome>(server, `${patient}/$everything?${query}`);
    expect(status).toBe(400);
    expect(body.issue[0]?.expression).toEqual([parameter]);
  });
});

test('a record larger than a reply is refused whole, and given in pages', async () => {
  const small = await createTestServer({ env: { LIMIT_REPLY_BYTES: '30000' } });
  try {
    const whose = await create<Patient>(small, { resourceType: 'Patient' });
    for (let i = 0; i < 8; i++)
      await create<Appointment>(small, { ...appointment('2026-01-10', name(whose)), comment: 'x'.repeat(9000) });
    const whole = await small.request(`/fhir/R4/Patient/${whose.id}/$everything`);
    expect(whole.status).toBe(413);
    const ids = new Set<string>();
    let url: string | undefined = `/fhir/R4/Patient/${whose.id}/$everything?_count=100`;
    while (url !== undefined) {
      const page = (await (await small.request(url)).json()) as Bundle;
      expect(JSON.stringify(page).length).toBeLessThan(40_000);
      for (const { resource } of page.entry ?? []) ids.add(`${resource?.resourceType}/${resource?.id}`);
      url = page.link?.find((l) => l.relation === 'next')?.url.replace(/^.*(?=\/fhir\/R4)/, '');
    }
    expect(ids.size).toBe(9);
  } finally {
    await small.close();
  }
});
