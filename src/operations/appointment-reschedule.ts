/** Moves an appointment: the same one, or a new one in its place. @see https://hl7.org/fhir/R4/appointment.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { appointmentReply } from '../scheduling/use/answer.ts';
import { rescheduleFrom } from '../scheduling/use/take-input.ts';
import { reschedule } from '../scheduling/use/reschedule.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'reschedule',
    url: 'https://kairos.example/fhir/OperationDefinition/appointment-reschedule',
    system: false,
    type: false,
    instance: true,
    resourceTypes: ['Appointment'],
    needs: ['update'],
    affectsState: true,
    async handle(engine, ctx, request, input) {
      const parts = use().scheduling.within(engine);
      return appointmentReply(
        engine,
        ctx.access,
        await reschedule(parts, ctx, request.id ?? '', rescheduleFrom(parts, input)),
      );
    },
  });
