/** Who takes part in a visit, and how much that matters. @see https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.participant.required */
import type { Appointment, AppointmentParticipant } from '@medplum/fhirtypes';
import { errorIssue, type Issue } from '../fhir/outcome.ts';
import { localReference } from '../fhir/search/type/reference.ts';

/** Whether it may be without them. Of whom nothing is said, they are needed. */
export const isOptional = ({
  required,
}: {
  readonly required?: AppointmentParticipant['required'] | undefined;
}): boolean => required === 'optional' || required === 'information-only';

/** A visit is of one service: its rules are those that the visit goes by. */
export function serviceIssues({ participant }: Appointment, baseUrl: string): readonly Issue[] {
  const services = participant.map(({ actor }) => localReference(actor?.reference ?? '', baseUrl));
  const first = services.find((s) => s.startsWith('HealthcareService/'));
  const index = services.findIndex((s) => s.startsWith('HealthcareService/') && s !== first);
  if (index < 0) return [];
  return [
    errorIssue(
      'invariant',
      `An appointment is of one service, ${first ?? ''}: leave ${services[index] ?? ''} out, or book another appointment for it.`,
      `Appointment.participant[${index}]`,
    ),
  ];
}

/** A patient or practitioner takes part once: of two replies nobody would know which one counts. */
export function repeatedIssues({ participant }: Appointment, baseUrl: string): readonly Issue[] {
  const seen = new Map<string, number>();
  return participant.flatMap(({ actor }, index): Issue[] => {
    const who = localReference(actor?.reference ?? '', baseUrl);
    const first = seen.get(who);
    if (first === undefined) seen.set(who, index);
    if (first === undefined || !/^(?:Patient|Practitioner)\//.test(who)) return [];
    return [
      errorIssue(
        'invariant',
        `${who} takes part already, as participant ${first + 1}: leave one of the two out.`,
        `Appointment.participant[${index}]`,
      ),
    ];
  });
}
