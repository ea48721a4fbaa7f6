/** The visit has taken place. @see https://hl7.org/fhir/R4/valueset-appointmentstatus.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { appointmentReply } from '../scheduling/use/answer.ts';
import { step } from '../scheduling/use/steps.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'complete',
    url: 'https://kairos.example/fhir/OperationDefinition/appointment-complete',
    system: false,
    type: false,
    instance: true,
    resourceTypes: ['Appointment'],
    needs: ['update'],
    affectsState: true,
    async handle(engine, ctx, request) {
      return appointmentReply(
        engine,
        ctx.access,
        await step(use().scheduling.within(engine), ctx, request.id ?? '', 'fulfilled'),
      );
    },
  });
