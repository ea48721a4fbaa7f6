/** https://hl7.org/fhir/R4/http.html#create */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, createdId, issuesOf, patient, type Send } from '../client.ts';

let server: TestServer;
let send: Send;
beforeAll(async () => {
  server = await createTestServer();
  send = client(server);
});
afterAll(() => server.close());

const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe('create (http.html 3.1.0.8)', () => {
  test("201 with Location, ETag and Last-Modified; id and meta are the server's, the rest is kept", async () => {
    const sent = patient({
      id: 'mine',
      meta: { versionId: '7', lastUpdated: '2001-01-01T00:00:00Z', tag: [{ code: 't' }] },
      active: true,
    });
    const made = await send('POST', 'Patient', sent);
    expect(made.status).toBe(201);
    expect(made.body['id']).toMatch(UUID7);
    expect(made.headers.get('location')).toBe(
      `http://localhost:8080/fhir/R4/Patient/${String(made.body['id'])}/_history/1`,
    );
    expect(made.headers.get('etag')).toBe('W/"1"');
    expect(made.headers.get('content-type')).toBe('application/fhir+json; charset=utf-8');
    expect(made.headers.get('last-modified')).toBe(new Date(String(made.body['meta']?.['lastUpdated'])).toUTCString());
    expect(made.body['meta']).toMatchObject({ versionId: '1', tag: [{ code: 't' }] });
    expect(Object.keys(made.body)).toEqual(['resourceType', 'id', 'meta', 'name', 'active']);
    const read = await send('GET', `Patient/${String(made.body['id'])}`);
    expect(read.text).toBe(made.text);
  });

  test('decimals keep their digits (json.html#decimal)', async () => {
    const made = await send(
      'POST',
      'ChargeItem',
      '{"resourceType":"ChargeItem","status":"billable","code":{"text":"x"},"subject":{"display":"a"},"factorOverride":1.00}',
    );
    expect(made.status).toBe(201);
    expect(made.text).toContain('"factorOverride":1.00');
    expect((await send('GET', `ChargeItem/${String(made.body['id'])}`)).text).toContain('"factorOverride":1.00');
  });

  test.each([
    ['minimal', 'return=minimal', ''],
    ['OperationOutcome', 'return=OperationOutcome', 'OperationOutcome'],
    ['representation', 'respond-async, return=representation', 'Patient'],
    ['nothing said', '', 'Patient'],
  ])('Prefer: %s (3.1.0.1.9)', async (_, prefer, type) => {
    const made = await send('POST', 'Patient', patient(), prefer === '' ? {} : { Prefer: prefer });
    expect(made.status).toBe(201);
    expect(made.headers.get('location')).toContain('/_history/1');
    expect(made.body['resourceType'] ?? '').toBe(type);
  });

  test('another type than the address: 400', async () => {
    const answer = await send('POST', 'Patient', { resourceType: 'Slot' });
    expect(answer.status).toBe(400);
    expect(issuesOf(answer)).toEqual(['invalid resourceType']);
  });

  test('no resourceType, no object, nothing: 400', async () => {
    expect((await send('POST', 'Patient', {})).status).toBe(400);
    expect((await send('POST', 'Patient', [])).status).toBe(400);
    expect((await send('POST', 'Patient', '')).status).toBe(400);
    expect((await send('POST', 'Patient', '"Patient"')).status).toBe(400);
  });

  test('an invalid resource: 422 with every error and its place', async () => {
    const answer = await send('POST', 'Patient', {
      resourceType: 'Patient',
      gender: 'x',
      birthDate: '1973-02-30',
      nickname: 'A',
    });
    expect(answer.status).toBe(422);
    expect(
      issuesOf(answer)
        .map((i) => i.split(' ')[1])
        .sort(),
    ).toEqual(['Patient.birthDate', 'Patient.gender', 'Patient.nickname']);
  });

  test('a reference to nothing: 422 with its place; to what is not served or elsewhere: kept', async () => {
    const answer = await send(
      'POST',
      'Patient',
      patient({
        generalPractitioner: [{ reference: 'Practitioner/none' }, { display: 'x' }],
        managingOrganization: { reference: 'http://localhost:8080/fhir/R4/Organization/none' },
      }),
    );
    expect(answer.status).toBe(422);
    expect(issuesOf(answer)).toEqual([
      'not-found Patient.generalPractitioner[0].reference',
      'not-found Patient.managingOrganization.reference',
    ]);
    const kept = await send('POST', 'Encounter', {
      resourceType: 'Encounter',
      status: 'planned',
      class: { code: 'AMB' },
      episodeOfCare: [{ reference: 'EpisodeOfCare/elsewhere' }],
      serviceProvider: { reference: 'https://other.example/fhir/Organization/1' },
    });
    expect(kept.status).toBe(201);
  });

  test('scheme and host of the own base are told in any case of letters (RFC 3986, 6.2.2.1)', async () => {
    const reference = 'HTTP://LOCALHOST:8080/fhir/R4/Organization/none';
    const answer = await send('POST', 'Patient', patient({ managingOrganization: { reference } }));
    expect([answer.status, ...issuesOf(answer)]).toEqual([422, 'not-found Patient.managingOrganization.reference']);
    const other = 'http://localhost:8080/FHIR/R4/Organization/none';
    expect((await send('POST', 'Patient', patient({ managingOrganization: { reference: other } }))).status).toBe(201);
  });

  test('references that lead nowhere are told beside all other errors', async () => {
    const appointment = {
      resourceType: 'Appointment',
      status: 'bogus',
      participant: [{ status: 'accepted', actor: { reference: 'Patient/nope' } }],
      slot: [{ reference: 'Slot/nope' }],
    };
    const expected = [
      'code-invalid Appointment.status',
      'invariant Appointment',
      'not-found Appointment.participant[0].actor.reference',
      'not-found Appointment.slot[0].reference',
    ];
    const created = await send('POST', 'Appointment', appointment);
    const updated = await send('PUT', 'Appointment/x', { ...appointment, id: 'x' });
    for (const answer of [created, updated])
      expect([answer.status, ...issuesOf(answer).sort()]).toEqual([422, ...expected]);
    const id = await createdId(send, patient());
    const patched = await send('PATCH', `Patient/${id}`, [
      { op: 'add', path: '/gender', value: 'x' },
      { op: 'add', path: '/managingOrganization', value: { reference: 'Organization/nope' } },
    ]);
    expect([patched.status, ...issuesOf(patched).sort()]).toEqual([
      422,
      'code-invalid Patient.gender',
      'not-found Patient.managingOrganization.reference',
    ]);
  });

  test('a conditional or urn: reference outside a transaction: 422 that says so', async () => {
    const answer = await send(
      'POST',
      'Patient',
      patient({
        generalPractitioner: [
          { reference: 'Practitioner?identifier=a' },
          { reference: 'urn:uuid:0193c1a0-0000-7000-8000-000000000000' },
        ],
      }),
    );
    expect(answer.status).toBe(422);
    expect(answer.text).toContain('transaction');
  });

  test('read-only types: 405 with Allow', async () => {
    const answer = await send('POST', 'AuditEvent', { resourceType: 'AuditEvent' });
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe('GET, HEAD');
  });

  test('one hundred at once: all there, all ids different', async () => {
    const all = await Promise.all(Array.from({ length: 100 }, () => send('POST', 'Patient', patient())));
    expect(all.every((a) => a.status === 201)).toBe(true);
    expect(new Set(all.map((a) => String(a.body['id']))).size).toBe(100);
  });
});
