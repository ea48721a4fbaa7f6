/** Patient/$chart-link and the template that it fills in. @see https://www.rfc-editor.org/rfc/rfc6570#section-1.2 */
import type { Encounter, OperationOutcome, Organization, Parameters, Patient } from '@medplum/fhirtypes';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHART_TEMPLATE, chartUrl, parseChartTemplate, type ChartTemplate } from '../../src/auth/ehr/chart-url.ts';
import { createTestServer, type TestServer } from '../support/server.ts';
import { create, get, post } from './request.ts';

const MRN = 'http://hospital.example/mrn';
const TEMPLATE = `https://ehr.example/chart?mrn={identifier|${MRN}}&visit={encounterId}`;

const parsed = (text: string): ChartTemplate => {
  const template = parseChartTemplate(text);
  if (typeof template === 'string') throw new Error(template);
  return template;
};

describe('the template', () => {
  test.each([
    'javascript:alert(1)//{patientId}',
    'http://ehr.example/{patientId}',
    '//ehr.example/{patientId}',
    'https:/ehr.example/{patientId}',
    'https://{patientId}/',
    'https://ehr.example{patientId}/',
    'https://ehr.example:{patientId}/',
    'https://user:word@ehr.example/{patientId}',
    'https://ehr.example@evil.example/{patientId}',
    'https://ehr.example\\@evil.example/{patientId}',
    'https://ehr.example/{name}',
    'https://ehr.example/{identifier}',
    'https://ehr.example/{identifier|}',
    'https://ehr.example/{patientId',
    'https://ehr.example/patientId}',
    'https://ehr.example/{{patientId}}',
    'https://ehr.example/../{patientId}',
    'https://ehr.example/%2E%2e/{patientId}',
    'https://ehr.example/a b{patientId}',
    'https://ehr.example/"onclick="{patientId}',
    'https://ehr.example/%zz{patientId}',
    'https://ehr.example/\n{patientId}',
    `https://ehr.example/${'a'.repeat(2000)}`,
    '',
  ])('refuses %j', (text) => {
    expect(typeof parseChartTemplate(text)).toBe('string');
  });

  test('fills in ids and identifiers, percent-encoded', () => {
    const template = parsed(`https://ehr.example:8443/p/{identifier|${MRN}}?v={encounterId}#{patientId}`);
    expect(
      chartUrl(
        template,
        {
          id: 'p.1',
          identifier: [
            { system: 'http://other.example', value: 'no' },
            { system: MRN, value: 'old', use: 'old' },
            { system: MRN, value: "a/b c?d#e&f='é" },
          ],
        },
        { id: 'e-1' },
      ),
    ).toEqual({ url: 'https://ehr.example:8443/p/a%2Fb%20c%3Fd%23e%26f%3D%27%C3%A9?v=e-1#p.1' });
  });

  test.each([
    ['an identifier of another system', [{ system: 'http://other.example', value: '1' }]],
    ['an old identifier', [{ system: MRN, value: '1', use: 'old' as const }]],
    ['dots that lead up the path', [{ system: MRN, value: '..' }]],
    ['no identifier', []],
  ])('is not filled in with %s', (_, identifier) => {
    expect(chartUrl(parsed(`https://ehr.example/p/{identifier|${MRN}}/x`), { id: '1', identifier })).toHaveProperty(
      'missing',
    );
  });

  test('whatever the value, the address stays on the host, in its place of the path', () => {
    const template = parsed(`https://ehr.example/p/{identifier|${MRN}}/chart?q={identifier|${MRN}}`);
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('.', '..', '%2e%2e', '/..', '\\..\\')),
        (value) => {
          const filled = chartUrl(template, { identifier: [{ system: MRN, value }] });
          if ('missing' in filled) return value === '' || /^\.{1,2}$/.test(value);
          const url = new URL(filled.url);
          return (
            url.origin === 'https://ehr.example' &&
            /^\/p\/[^/]+\/chart$/.test(url.pathname) &&
            url.searchParams.get('q') === value.toWellFormed() &&
            url.hash === ''
          );
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('Patient/[id]/$chart-link', () => {
  let server: TestServer;
  let organization: Organization;
  let department: Organization;
  let patient: Patient;
  let encounter: Encounter;

  beforeAll(async () => {
    server = await createTestServer();
    organization = await create<Organization>(server, {
      resourceType: 'Organization',
      name: 'Clinic',
      extension: [{ url: CHART_TEMPLATE, valueString: TEMPLATE }],
    });
    department = await create<Organization>(server, {
      resourceType: 'Organization',
      name: 'Department',
      partOf: { reference: `Organization/${organization.id}` },
    });
    patient = await create<Patient>(server, {
      resourceType: 'Patient',
      identifier: [{ system: MRN, value: '12/34' }],
      managingOrganization: { reference: `Organization/${department.id}` },
    });
    encounter = await create<Encounter>(server, {
      resourceType: 'Encounter',
      status: 'in-progress',
      class: { code: 'AMB' },
      subject: { reference: `Patient/${patient.id}` },
    });
  });
  afterAll(async () => server.close());

  test('gives the URL, by the template of the whole that the department is part of', async () => {
    const { status, body } = await get<Parameters>(
      server,
      `Patient/${patient.id}/$chart-link?encounter=Encounter/${encounter.id}`,
    );
    expect(status).toBe(200);
    expect(body.parameter).toEqual([
      { name: 'url', valueUrl: `https://ehr.example/chart?mrn=12%2F34&visit=${encounter.id}` },
      { name: 'organization', valueString: `Organization/${organization.id}` },
    ]);
  });

  test('says which value is missing', async () => {
    const { status, body } = await get<OperationOutcome>(server, `Patient/${patient.id}/$chart-link`);
    expect([status, body.issue[0]?.diagnostics]).toEqual([422, expect.stringContaining('{encounterId}')]);
  });

  test('an encounter of another patient is as unknown as one that is not there', async () => {
    const other = await create<Patient>(server, {
      resourceType: 'Patient',
      identifier: [{ system: MRN, value: '9' }],
    });
    const path = `Patient/${other.id}/$chart-link?organization=Organization/${organization.id}&encounter=Encounter`;
    const foreign = await get<OperationOutcome>(server, `${path}/${encounter.id}`);
    const missing = await get<OperationOutcome>(server, `${path}/none`);
    expect([foreign.status, missing.status]).toEqual([404, 404]);
  });

  test.each([
    ['Patient/none/$chart-link', 404],
    ['Patient/ID/$chart-link?organization=Organization/none', 422],
    ['Patient/ID/$chart-link?organization=Patient/1', 400],
    ['Patient/ID/$chart-link?encounter=Patient/1', 400],
    ['Patient/ID/$chart-link?template=https://evil.example/', 400],
  ])('%s is %i', async (path, status) => {
    expect((await get(server, path.replace('ID', patient.id ?? ''))).status).toBe(status);
  });

  test('an organization with a template that could lead elsewhere is not stored', async () => {
    const { status, body } = await post<OperationOutcome>(server, 'Organization', {
      resourceType: 'Organization',
      name: 'Clinic',
      extension: [{ url: CHART_TEMPLATE, valueString: 'javascript:alert({patientId})' }],
    });
    expect(status).toBe(422);
    expect(body.issue[0]?.expression).toEqual(['Organization.extension[0].valueString']);
  });

  test('the operation and the extension are described', async () => {
    expect((await get(server, 'OperationDefinition/kairos-patient-chart-link')).status).toBe(200);
    expect((await get(server, 'StructureDefinition/kairos-chart-url-template')).status).toBe(200);
  });
});
