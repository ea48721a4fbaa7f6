/** https://hl7.org/fhir/R4/http.html#capabilities */
import type { CapabilityStatement } from '@medplum/fhirtypes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, issuesOf, type Send } from '../client.ts';

let server: TestServer;
let send: Send;
beforeAll(async () => {
  server = await createTestServer();
  send = client(server);
});
afterAll(() => server.close());

const metadata = async (query = ''): Promise<CapabilityStatement> =>
  (await send('GET', `metadata${query}`)).body as unknown as CapabilityStatement;

describe('capabilities (3.1.0.9)', () => {
  test('a valid CapabilityStatement of what runs here', async () => {
    const statement = await metadata();
    expect(statement).toMatchObject({
      resourceType: 'CapabilityStatement',
      status: 'active',
      kind: 'instance',
      fhirVersion: '4.0.1',
      patchFormat: ['application/json-patch+json'],
    });
    expect(statement.format).toContain('application/fhir+json');
    expect(statement.implementation?.url).toBe('http://localhost:8080/fhir/R4');
    expect(server.engine.validator.validate(statement)).toEqual([]);
    const rest = statement.rest?.[0];
    expect([rest?.mode, rest?.security?.cors]).toEqual(['server', true]);
    expect(rest?.interaction?.map((i) => i.code)).toEqual(['transaction', 'batch', 'search-system', 'history-system']);
    expect(rest?.resource?.map((r) => r.type)).toEqual([...server.engine.resources.keys()].sort());
  });

  test('Consent says that it opens and closes nothing yet', async () => {
    const types = (await metadata()).rest?.[0]?.resource ?? [];
    expect(types.find((t) => t.type === 'Consent')?.documentation).toContain('not enforced');
  });

  test('app-4 is enforced as R4 4.0.1 has it, and Appointment says so', async () => {
    const types = (await metadata()).rest?.[0]?.resource ?? [];
    expect(types.find((t) => t.type === 'Appointment')?.documentation).toMatch(/app-4 .*4\.0\.1.*cancelled or noshow/);
    expect(types.find((t) => t.type === 'Patient')).not.toHaveProperty('documentation');
    const appointment = (status: string): object => ({
      resourceType: 'Appointment',
      status,
      cancelationReason: { text: 'ill' },
      participant: [{ actor: { display: 'A' }, status: 'accepted' }],
    });
    const refused = await send('POST', 'Appointment/$validate', appointment('proposed'));
    expect(JSON.stringify(refused.body)).toContain('app-4');
    for (const status of ['cancelled', 'noshow'])
      expect(JSON.stringify((await send('POST', 'Appointment/$validate', appointment(status))).body)).not.toContain(
        'app-4',
      );
  });

  test('each type: interactions of its declaration, conditionals, versioning, parameters, includes, operations', async () => {
    const types = (await metadata()).rest?.[0]?.resource ?? [];
    const appointment = types.find((t) => t.type === 'Appointment');
    expect(appointment).toMatchObject({
      versioning: 'versioned',
      readHistory: true,
      updateCreate: true,
      conditionalCreate: true,
      conditionalRead: 'full-support',
      conditionalUpdate: true,
      conditionalDelete: 'single',
    });
    expect(appointment?.interaction).toHaveLength(9);
    expect(appointment?.searchParam).toContainEqual({
      name: 'date',
      type: 'date',
      definition: 'http://hl7.org/fhir/SearchParameter/Appointment-date',
    });
    expect(appointment?.searchInclude).toEqual(expect.arrayContaining(['*', 'Appointment:patient']));
    expect(appointment?.searchRevInclude).toContain('AppointmentResponse:appointment');
    expect(appointment?.operation?.map((o) => o.name)).toContain('validate');
    const audit = types.find((t) => t.type === 'AuditEvent');
    expect(audit).toMatchObject({ updateCreate: false, conditionalCreate: false, conditionalDelete: 'not-supported' });
    expect(types.find((t) => t.type === 'Slot')?.searchParam?.map((p) => p.name)).toContain('end');
  });

  test('mode: normative and terminology; another is refused', async () => {
    const normative = (await metadata('?mode=normative')).rest?.[0]?.resource?.map((r) => r.type);
    expect(normative).toContain('Patient');
    expect(normative).not.toContain('Appointment');
    expect((await send('GET', 'metadata?mode=terminology')).body['resourceType']).toBe('TerminologyCapabilities');
    const other = await send('GET', 'metadata?mode=everything');
    expect([other.status, issuesOf(other)]).toEqual([400, ['value mode']]);
  });

  test('_summary: a part; a bad one is refused, on other addresses too', async () => {
    const summary = await send('GET', 'metadata?_summary=true');
    expect([summary.status, summary.body['fhirVersion'], summary.body['meta']?.['tag']?.[0]?.['code']]).toEqual([
      200,
      '4.0.1',
      'SUBSETTED',
    ]);
    for (const path of ['metadata', 'Patient', '_history', 'Patient/1']) {
      expect((await send('GET', `${path}?_summary=nonsense`)).status, path).toBe(400);
    }
  });

  test('the ETag spares the body', async () => {
    const etag = (await send('GET', 'metadata')).headers.get('etag') ?? '';
    expect((await send('GET', 'metadata', undefined, { 'If-None-Match': etag })).status).toBe(304);
  });
});
