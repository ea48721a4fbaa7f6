/** The references of a resource. @see https://hl7.org/fhir/R4/references.html */
import { expect, test } from 'vitest';
import { collectReferences } from '../../src/fhir/validation/references.ts';
import { definitions } from '../support/definitions.ts';

const resource = {
  resourceType: 'Appointment',
  contained: [{ resourceType: 'Patient', id: 'p', managingOrganization: { reference: 'Organization/1' } }],
  extension: [{ url: 'http://x.example/e', valueReference: { reference: 'Group/1' } }],
  _status: { extension: [{ url: 'http://x.example/e', valueReference: { reference: 'Group/2' } }] },
  slot: [{ reference: 'Slot/1' }, { display: 'none' }],
  participant: [
    { actor: { reference: '#p' } },
    { actor: { identifier: { assigner: { reference: 'Organization/2' } } } },
  ],
};

test('all are found, wherever they stand, with their element', () => {
  expect(collectReferences(resource, definitions).map((r) => [r.reference, r.expression])).toEqual([
    ['Organization/1', 'Appointment.contained[0].managingOrganization.reference'],
    ['Group/1', 'Appointment.extension[0].value.reference'],
    ['Group/2', 'Appointment.status.extension[0].value.reference'],
    ['Slot/1', 'Appointment.slot[0].reference'],
    ['#p', 'Appointment.participant[0].actor.reference'],
    ['Organization/2', 'Appointment.participant[1].actor.identifier.assigner.reference'],
  ]);
});

test('the types that the element allows are told', () => {
  const found = collectReferences(resource, definitions);
  expect(found.find((r) => r.reference === 'Slot/1')?.targets).toEqual(['Slot']);
  expect(found.find((r) => r.reference === '#p')?.targets).toContain('HealthcareService');
});

test('the reference of an Expression is a URI, not a Reference', () => {
  const expression = { language: 'text/cql', reference: 'http://x.example/Library/1' };
  expect(
    collectReferences({ resourceType: 'Basic', extension: [{ url: 'u', valueExpression: expression }] }, definitions),
  ).toEqual([]);
});

test('a tree that is not valid can be walked; names that are none do not come into an expression', () => {
  const tree = {
    resourceType: 'Patient',
    managingOrganization: [{ reference: 'Organization/1' }, null, [[{ reference: 7 }]]],
    'a b\n': { reference: 'Organization/2' },
    constructor: { reference: 'Organization/3' },
    contact: 'none',
  };
  expect(collectReferences(tree, definitions).map((r) => [r.reference, r.expression])).toEqual([
    ['Organization/1', 'Patient.managingOrganization[0].reference'],
    ['Organization/2', 'Patient.`?`.reference'],
    ['Organization/3', 'Patient.constructor.reference'],
  ]);
});
