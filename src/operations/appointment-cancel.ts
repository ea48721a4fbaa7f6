/** Cancels an appointment: its time is free in the same moment. @see https://profiles.ihe.net/ITI/Scheduling/ITI-118.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { appointmentReply } from '../scheduling/use/answer.ts';
import { cancel } from '../scheduling/use/steps.ts';
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
      const [id, reason, comment] = [request.id ?? '', input.codeableConcept('reason'), input.text('comment')];
      if (input.boolean('dry-run') === true) return previewCancel(parts, ctx, id, reason);
      return appointmentReply(ctx.access, await cancel(parts, ctx, id, reason, comment));
    },
  });
