/** The patient did not come. @see https://hl7.org/fhir/R4/valueset-appointmentstatus.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { demandReasonGiven } from '../scheduling/cancellation-reason.ts';
import { channelOf } from '../scheduling/channel.ts';
import { appointmentReply } from '../scheduling/use/answer.ts';
import { step } from '../scheduling/use/steps.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'no-show',
    url: 'https://kairos.example/fhir/OperationDefinition/appointment-no-show',
    system: false,
    type: false,
    instance: true,
    resourceTypes: ['Appointment'],
    needs: ['update'],
    affectsState: true,
    async handle(engine, ctx, request, input) {
      const parts = use().scheduling.within(engine);
      const reason = input.codeableConcept('reason');
      demandReasonGiven(engine.terminology, reason, channelOf(ctx.access.principal));
      return appointmentReply(
        engine,
        ctx.access,
        await step(parts, ctx, request.id ?? '', 'noshow', reason, input.text('comment')),
      );
    },
  });
