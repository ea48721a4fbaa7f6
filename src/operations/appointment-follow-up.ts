/** Another visit is due after this one, or after the time of an order: a request that says from when to when. @see https://hl7.org/fhir/R4/servicerequest.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { followUp } from '../scheduling/use/follow-up.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'follow-up',
    url: 'https://kairos.example/fhir/OperationDefinition/appointment-follow-up',
    system: false,
    type: false,
    instance: true,
    resourceTypes: ['Appointment', 'ServiceRequest'],
    needs: [],
    affectsState: true,
    async handle(engine, ctx, request, input) {
      return followUp(use().scheduling.within(engine), ctx, request.type ?? 'Appointment', request.id ?? '', input);
    },
  });
