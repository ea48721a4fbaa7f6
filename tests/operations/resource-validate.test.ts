/** $validate. @see https://hl7.org/fhir/R4/resource-operation-validate.html */
import type { OperationOutcome, Patient } from '@medplum/fhirtypes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../support/server.ts';
import { create, get, issues, parameters, post } from './request.ts';

let server: TestServer;
let patient: Patient & { id: string };

beforeAll(async () => {
  server = await createTestServer();
  patient = await create<Patient>(server, { resourceType: 'Patient', gender: 'female' });
});
afterAll(() => server.close());

const validate = (path: string, body: unknown) => post<OperationOutcome>(server, `${path}/$validate`, body);
const allOk = (outcome: OperationOutcome): boolean =>
  outcome.issue.at(-1)?.diagnostics === 'all ok' && outcome.issue.every((i) => i.severity !== 'error');
const total = async (): Promise<number | undefined> =>
  (await get<{ total?: number }>(server, 'Patient?_total=accurate&_count=1')).body.total;

describe('type level', () => {
  test('a bare resource that is valid: 200, information "all ok"', async () => {
    const { status, body } = await validate('Patient', { resourceType: 'Patient', gender: 'male' });
    expect(status).toBe(200);
    expect(body.issue.at(-1)).toMatchObject({ severity: 'information', code: 'informational', diagnostics: 'all ok' });
  });

  test('Parameters(resource, mode)', async () => {
    const { status, body } = await validate(
      'Patient',
      parameters({ name: 'resource', resource: { resourceType: 'Patient' } }, { name: 'mode', valueCode: 'create' }),
    );
    expect(status).toBe(200);
    expect(allOk(body)).toBe(true);
  });

  test('all errors at once, each with its expression, and 200', async () => {
    const { status, body } = await validate('Patient', {
      resourceType: 'Patient',
      gender: 'x',
      birthDate: '1973-02-30',
      unknown: 1,
    });
    expect(status).toBe(200);
    const expressions = body.issue.filter((i) => i.severity === 'error').flatMap((i) => i.expression ?? []);
    expect(expressions).toEqual(expect.arrayContaining(['Patient.gender', 'Patient.birthDate', 'Patient.unknown']));
  });

  test('a reference without a target is an error', async () => {
    const { body } = await validate('Patient', {
      resourceType: 'Patient',
      managingOrganization: { reference: 'Organization/none' },
    });
    expect(issues(body)).toContain('error not-found Patient.managingOrganization.reference');
  });

  test('a reference without a target is told beside other errors', async () => {
    const { body } = await validate('Patient', {
      resourceType: 'Patient',
      gender: 'x',
      managingOrganization: { reference: 'Organization/none' },
    });
    expect(issues(body)).toEqual(
      expect.arrayContaining([
        'error code-invalid Patient.gender',
        'error not-found Patient.managingOrganization.reference',
      ]),
    );
  });

  test('a resource of another type is an error', async () => {
    const { status, body } = await validate('Patient', { resourceType: 'Slot' });
    expect(status).toBe(200);
    expect(body.issue[0]).toMatchObject({ severity: 'error', expression: ['resourceType'] });
  });

  test('a type that clients may not create fails mode create', async () => {
    const resource = {
      resourceType: 'AuditEvent',
      type: { code: 'x' },
      recorded: '2026-01-01T00:00:00Z',
      agent: [{ requestor: true }],
      source: { observer: { display: 'x' } },
    };
    const { body } = await validate('AuditEvent', {
      resourceType: 'Parameters',
      parameter: [
        { name: 'resource', resource },
        { name: 'mode', valueCode: 'create' },
      ],
    });
    expect(issues(body)[0]).toBe('error not-supported');
  });

  test('nothing is stored', async () => {
    const before = await total();
    await validate('Patient', { resourceType: 'Patient' });
    expect(await total()).toBe(before);
  });
});

describe('instance level', () => {
  test('mode update: the id must agree', async () => {
    const ok = await validate(
      `Patient/${patient.id}`,
      parameters({ name: 'resource', resource: patient }, { name: 'mode', valueCode: 'update' }),
    );
    expect(allOk(ok.body)).toBe(true);
    const other = await validate(
      `Patient/${patient.id}`,
      parameters({ name: 'resource', resource: { ...patient, id: 'other' } }, { name: 'mode', valueCode: 'update' }),
    );
    expect(issues(other.body)[0]).toBe('error invalid Patient.id');
  });

  test('mode delete needs no resource and deletes nothing', async () => {
    const { status, body } = await validate(`Patient/${patient.id}`, parameters({ name: 'mode', valueCode: 'delete' }));
    expect(status).toBe(200);
    expect(allOk(body)).toBe(true);
    expect((await get(server, `Patient/${patient.id}`)).status).toBe(200);
  });

  test('GET validates the stored resource', async () => {
    const { status, body } = await get<OperationOutcome>(server, `Patient/${patient.id}/$validate`);
    expect(status).toBe(200);
    expect(allOk(body)).toBe(true);
  });

  test.each(['update', 'delete', 'create'])('unknown id, mode %s: 404', async (mode) => {
    const body = parameters(
      { name: 'resource', resource: { resourceType: 'Patient', id: 'none' } },
      { name: 'mode', valueCode: mode },
    );
    expect((await validate('Patient/none', body)).status).toBe(404);
  });
});

describe('parameters (operations.html#request)', () => {
  test.each([
    ['unknown', parameters({ name: 'colour', valueString: 'red' }), 'colour'],
    ['missing', parameters(), 'resource'],
    [
      'no code of the value set',
      parameters({ name: 'resource', resource: { resourceType: 'Patient' } }, { name: 'mode', valueCode: 'destroy' }),
      'mode',
    ],
    [
      'wrong type',
      parameters({ name: 'resource', resource: { resourceType: 'Patient' } }, { name: 'mode', valueBoolean: true }),
      'mode',
    ],
    ['not a resource', parameters({ name: 'resource', valueString: 'x' }), 'resource'],
    ['twice', parameters({ name: 'mode', valueCode: 'create' }, { name: 'mode', valueCode: 'create' }), 'mode'],
    [
      'mode update without an instance',
      parameters({ name: 'resource', resource: { resourceType: 'Patient' } }, { name: 'mode', valueCode: 'update' }),
      'mode',
    ],
    [
      'mode profile without profile',
      parameters({ name: 'resource', resource: { resourceType: 'Patient' } }, { name: 'mode', valueCode: 'profile' }),
      'profile',
    ],
  ])('%s: 400 naming the parameter', async (_, body, name) => {
    const answer = await validate('Patient', body);
    expect(answer.status).toBe(400);
    expect(answer.body.issue[0]?.expression).toEqual([name]);
  });

  test.each([
    { resourceType: 'Parameters', parameter: 'x' },
    { resourceType: 'Parameters', parameter: [null] },
    { resourceType: 'Parameters', parameter: [{ valueString: 'x' }] },
    { resourceType: 'Parameters', parameter: [{ name: 'resource', resource: null }] },
    { resourceType: 'Parameters', parameter: [{ name: 'mode', valueCode: {} }] },
  ])('malformed Parameters: 400 (%j)', async (body) => {
    expect((await validate('Patient', body)).status).toBe(400);
  });

  test('a profile that the server does not know is an error', async () => {
    const body = parameters(
      { name: 'resource', resource: { resourceType: 'Patient' } },
      { name: 'profile', valueUri: 'http://example.org/StructureDefinition/none' },
    );
    const answer = await validate('Patient', body);
    expect(answer.status === 400 || answer.body.issue.some((i) => i.severity === 'error')).toBe(true);
  });

  test("the type's own definition is a profile that every resource of it meets", async () => {
    const body = parameters(
      { name: 'resource', resource: { resourceType: 'Patient' } },
      { name: 'profile', valueUri: 'http://hl7.org/fhir/StructureDefinition/Patient' },
    );
    expect(allOk((await validate('Patient', body)).body)).toBe(true);
  });
});
