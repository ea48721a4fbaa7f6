/** Participants accept; what waited for them is booked. @see https://hl7.org/fhir/R4/valueset-participationstatus.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { appointmentReply } from '../scheduling/use/answer.ts';
import { referencesIn } from '../scheduling/use/input.ts';
import { confirm } from '../scheduling/use/steps.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'confirm',
    url: 'https://kairos.example/fhir/OperationDefinition/appointment-confirm',
    system: false,
    type: false,
    instance: true,
    resourceTypes: ['Appointment'],
    needs: ['update'],
    affectsState: true,
    async handle(engine, ctx, request, input) {
      const parts = use().scheduling.within(engine);
      const done = await confirm(
        parts,
        ctx,
        request.id ?? '',
        referencesIn(parts, input, 'actor'),
        input.text('override-reason'),
      );
      return appointmentReply(engine, ctx.access, done);
    },
  });
