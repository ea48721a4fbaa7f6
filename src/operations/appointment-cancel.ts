/** Cancels an appointment: its time is free in the same moment. @see https://hl7.org/fhir/R4/appointment-definitions.html#Appointment.cancelationReason */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { demandReasonGiven } from '../scheduling/cancellation-reason.ts';
import { channelOf } from '../scheduling/channel.ts';
import { cancelAndTell } from '../scheduling/use/cancel-by-clinic.ts';
import { referencesIn } from '../scheduling/use/input.ts';
import { previewCancel } from '../scheduling/use/preview.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'cancel',
    url: 'https://kairos.example/fhir/OperationDefinition/appointment-cancel',
    system: false,
    type: false,
    instance: true,
    resourceTypes: ['Appointment'],
    needs: ['update'],
    affectsState: true,
    async handle(engine, ctx, request, input) {
      const parts = use().scheduling.within(engine);
      const [id, reason] = [request.id ?? '', input.codeableConcept('reason')];
      demandReasonGiven(engine.terminology, reason, channelOf(ctx.access.principal));
      if (input.boolean('dry-run') === true) return previewCancel(parts, ctx, id, reason);
      const patients = referencesIn(parts, input, 'patient-reference');
      const wantsPlace = input.boolean('waitlist') === true;
      return cancelAndTell(parts, ctx, id, { reason, comment: input.text('comment'), patients }, wantsPlace);
    },
  });
