/** What a cancellation would mean, before anybody cancels. @see https://hl7.org/fhir/R4/appointment.html */
import type { CodeableConcept } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import type { OperationReply } from '../../fhir/operation.ts';
import { channelOf } from '../channel.ts';
import { guard } from '../guard.ts';
import { freshDirectory } from '../fresh-directory.ts';
import type { SchedulingParts } from '../parts.ts';
import { readSlots, slotsOf } from '../slots.ts';
import { visitOfAppointment } from '../visit.ts';
import { readToChange } from './change.ts';
import { cancelled } from './take-parts.ts';

/** The appointment as it would be. @throws FhirError 422 when it may not be cancelled */
export async function previewCancel(
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
  reason: CodeableConcept | undefined,
): Promise<OperationReply> {
  const { engine } = parts;
  const { appointment } = await readToChange(parts, ctx, id);
  const next = cancelled(appointment, reason, ctx);
  const directory = await freshDirectory(parts);
  const slots = await readSlots(engine.repository.query, slotsOf(appointment, engine.baseUrl));
  const { principal } = ctx.access;
  guard({
    before: appointment,
    after: next,
    was: visitOfAppointment(directory, engine.baseUrl, appointment, slots),
    is: visitOfAppointment(directory, engine.baseUrl, next, slots),
    channel: channelOf(principal),
    isSystem: principal.kind === 'system',
    now: engine.clock.now(),
    mustBeOffered: false,
    made: true,
    baseUrl: engine.baseUrl,
  });
  return { status: 200, body: next, resources: [`Appointment/${id}`] };
}
