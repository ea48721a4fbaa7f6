/** OIDC_PROVIDERS and EHR_ISSUERS: what is refused at start, so that it cannot be wrong later. @see docs/ehr.md */
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/platform/config.ts';

const upstream = { id: 'clinic', name: 'Clinic', issuer: 'https://id.example/realm/', client_id: 'k' };
const ehr = {
  name: 'EHR',
  issuer: 'https://ehr.example/fhir/',
  client_id: 'k',
  identifier_systems: ['http://mrn.example'],
};
const read = (name: string, list: unknown) => loadConfig({ [name]: JSON.stringify(list) }).identity;

test('defaults; an issuer of OpenID Connect stays as it is written, a FHIR base loses its slash', () => {
  expect(read('OIDC_PROVIDERS', [upstream]).upstreams[0]).toMatchObject({
    issuer: 'https://id.example/realm/',
    scope: 'openid profile',
    clientSecret: undefined,
    mfaAcr: ['https://refeds.org/profile/mfa'],
  });
  expect(read('EHR_ISSUERS', [ehr]).ehrs[0]).toMatchObject({
    id: undefined,
    issuer: 'https://ehr.example/fhir',
    unknownPatient: 'refuse',
    scope: 'launch openid fhirUser patient/Patient.rs offline_access',
  });
});

describe.each([
  ['OIDC_PROVIDERS', upstream],
  ['EHR_ISSUERS', ehr],
])('%s refuses', (name, good) => {
  test.each<[string, unknown]>([
    ['an object', good],
    ['texts', ['x']],
    ['no issuer', [{ ...good, issuer: undefined }]],
    ['an issuer of another scheme', [{ ...good, issuer: 'ftp://ehr.example' }]],
    ['an issuer with a user name', [{ ...good, issuer: 'https://a:b@ehr.example' }]],
    ['an issuer with a query', [{ ...good, issuer: 'https://ehr.example/?a=1' }]],
    ['an empty client_id', [{ ...good, client_id: '' }]],
    ['an id that is no part of a path', [{ ...good, id: 'a/b' }]],
    ['a scope without openid', [{ ...good, scope: 'launch profile' }]],
    ['mfa_acr that is a text', [{ ...good, mfa_acr: 'x' }]],
    ['the same twice', [good, good]],
  ])('%s', (_, list) => {
    expect(() => read(name, list)).toThrow(new RegExp(`^${name} must be a JSON array of objects`));
  });
});

test.each<[string, unknown]>([
  ['no identifier system', [{ ...ehr, identifier_systems: [] }]],
  ['another word for unknown patients', [{ ...ehr, unknown_patient: 'create' }]],
  [
    'several without ids (one redirect address for all would let them be mixed up)',
    [ehr, { ...ehr, issuer: 'https://other.example' }],
  ],
  [
    'several with one without',
    [
      { ...ehr, id: 'a' },
      { ...ehr, issuer: 'https://other.example' },
    ],
  ],
])('EHR_ISSUERS refuses %s', (_, list) => {
  expect(() => read('EHR_ISSUERS', list)).toThrow(/^EHR_ISSUERS must be a JSON array of objects/);
});
