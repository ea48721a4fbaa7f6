/** Lets a held time go. @see https://profiles.ihe.net/ITI/Scheduling/ITI-116.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { appointmentReply } from '../scheduling/use/answer.ts';
import { release } from '../scheduling/use/steps.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'release',
    url: 'https://kairos.example/fhir/OperationDefinition/appointment-release',
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
        await release(use().scheduling.within(engine), ctx, request.id ?? ''),
      );
    },
  });
