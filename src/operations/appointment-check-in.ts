/** The patient has arrived, or is ready to be seen; the Encounter follows. @see https://hl7.org/fhir/R4/encounter.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { appointmentReply } from '../scheduling/use/answer.ts';
import { referencesIn } from '../scheduling/use/input.ts';
import { checkIn } from '../scheduling/use/steps.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'check-in',
    url: 'https://kairos.example/fhir/OperationDefinition/appointment-check-in',
    system: false,
    type: false,
    instance: true,
    resourceTypes: ['Appointment'],
    needs: ['update'],
    affectsState: true,
    async handle(engine, ctx, request, input) {
      const parts = use().scheduling.within(engine);
      const status = input.text('status') === 'arrived' ? 'arrived' : 'checked-in';
      const [room] = referencesIn(parts, input, 'room');
      return appointmentReply(engine, ctx.access, await checkIn(parts, ctx, request.id ?? '', status, room));
    },
  });
