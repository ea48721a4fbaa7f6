/** A planned meeting of actors at a time. @see https://hl7.org/fhir/R4/appointment.html */
import { defineResource } from '../fhir/resource.ts';
import type { UseContext } from '../operation-context.ts';
import { repeatedIssues, serviceIssues } from '../scheduling/participant.ts';
import { overrides } from '../scheduling/private-texts.ts';

export default (use: UseContext) =>
  defineResource({
    type: 'Appointment',
    documentation:
      'Invariant app-4 of R4 (4.0.1) is enforced: cancelationReason is only there when the status is cancelled or noshow. R4 writes no-show, which is no code of AppointmentStatus.',
    profiles: ['https://kairos.example/fhir/StructureDefinition/appointment'],
    sealed: {
      plain: [
        'status',
        'date',
        'actor',
        'patient',
        'practitioner',
        'location',
        'service-type',
        'service-category',
        'specialty',
        'appointment-type',
        'slot',
        'part-status',
        'based-on',
        'supporting-info',
      ],
    },
    defaultSort: ['date'],
    // IHE Scheduling: Bundle.total shall be present.
    total: 'accurate',
    check(r) {
      if (r.resourceType !== 'Appointment') return [];
      const { baseUrl } = use().scheduling.parts.engine;
      return [...repeatedIssues(r, baseUrl), ...serviceIssues(r, baseUrl)];
    },
    complete: (reader, resource, before, by) => use().scheduling.complete(reader, resource, before, by),
    withheld: overrides,
    missing: (resource, targets) => use().scheduling.missing(resource, targets),
    foresee: (resource, by) => use().scheduling.foresee(resource, by),
    sharesWith: (resource, by) => use().scheduling.sharesWith(resource, by),
    project: (tx, changes, by) => use().scheduling.appointments(tx, changes, by),
  });
