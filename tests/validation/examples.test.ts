/** Published examples: what is refused is refused for a reason that the definitions give. @see https://hl7.org/fhir/R4/downloads.html */
import { expect, test } from 'vitest';
import { parseJson, stringify } from '../../src/fhir/json.ts';
import { servedTypes, validator } from '../support/definitions.ts';
import { hasSharedData, r4Examples, usCoreExamples, type Example } from '../support/shared-data.ts';

interface Entry {
  readonly resource?: Record<string, unknown>;
}

/** Resources of a file: those of a Bundle besides the Bundle. */
const resourcesOf = ({ file, resource }: Example): Example[] => [
  { file, resource },
  ...(resource['resourceType'] === 'Bundle'
    ? ((resource['entry'] ?? []) as Entry[]).flatMap((e) => (e.resource ? [{ file, resource: e.resource }] : []))
    : []),
];

test.runIf(hasSharedData('r4-examples'))(
  'the 467 resources of R4 are valid, but two of types that are not served',
  () => {
    const all = r4Examples().flatMap(resourcesOf);
    expect(all.filter((e) => e.resource['resourceType'] !== 'Bundle').length).toBe(467);
    const refused = all.flatMap(({ file, resource }) =>
      validator
        .validate(resource)
        .map((i) => `${file} ${String(resource['resourceType'])} ${i.severity} ${i.code} ${i.diagnostics}`),
    );
    expect(refused).toEqual([
      'bundle-example.json MedicationRequest error not-supported MedicationRequest is not served here.',
      'bundle-example.json Medication error not-supported Medication is not served here.',
    ]);
  },
);

test.runIf(hasSharedData('r4-examples'))(
  'the files of R4 are read and written without a change (json.html#decimal)',
  () => {
    for (const { file, resource } of r4Examples()) {
      const written = stringify(resource);
      expect(parseJson(written, { maxDepth: 64 }).value, file).toEqual(resource);
      expect(stringify(parseJson(stringify(resource, 2), { maxDepth: 64 }).value), file).toBe(written);
    }
  },
);

const usCore = (): Example[] =>
  usCoreExamples()
    .flatMap(resourcesOf)
    .filter((e) => servedTypes.includes(String(e.resource['resourceType'])));
const profilesOf = (resource: Record<string, unknown>): readonly string[] =>
  (resource['meta'] as { profile?: string[] } | undefined)?.profile ?? [];

test.runIf(hasSharedData('us-core'))('the examples of US Core 7.0.0 for our types fit our shapes', () => {
  const all = usCore();
  const checked = all.filter((e) => !profilesOf(e.resource).some((p) => p.includes('us-core-implantable-device')));
  expect(checked.length).toBeGreaterThan(20);
  expect(
    checked.flatMap(({ file, resource }) => validator.validate(resource).map((i) => `${file} ${i.diagnostics}`)),
  ).toEqual([]);
  const types = new Set(
    checked.filter((e) => profilesOf(e.resource).length > 0).map((e) => e.resource['resourceType']),
  );
  expect([...types].sort()).toEqual([
    'Coverage',
    'Encounter',
    'Location',
    'Organization',
    'Patient',
    'Practitioner',
    'PractitionerRole',
    'Provenance',
    'RelatedPerson',
    'ServiceRequest',
  ]);
});

test.runIf(hasSharedData('us-core'))('and do so no longer without what the profile asks for', () => {
  const required: Readonly<Record<string, readonly string[]>> = {
    Patient: ['identifier', 'name', 'gender'],
    RelatedPerson: ['active'],
    Practitioner: ['identifier', 'name'],
    PractitionerRole: ['telecom'],
    Organization: ['active', 'name'],
    Location: ['name'],
    Encounter: ['type', 'subject'],
    Coverage: ['relationship'],
    ServiceRequest: ['code'],
  };
  for (const { file, resource } of usCore()) {
    if (profilesOf(resource).length === 0) continue;
    for (const name of required[String(resource['resourceType'])] ?? []) {
      if (resource['resourceType'] === 'PractitionerRole' && resource['endpoint'] !== undefined) continue;
      const { [name]: _, ...rest } = resource;
      const errors = validator.validate(rest).filter((i) => i.severity === 'error');
      expect(errors.length, `${file} without ${name}`).toBeGreaterThan(0);
    }
  }
});
