/** Times that may be booked, as proposed appointments. @see https://profiles.ihe.net/ITI/Scheduling/ITI-115.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { find } from '../scheduling/use/find.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'find',
    url: 'https://kairos.example/fhir/OperationDefinition/appointment-find',
    system: false,
    type: true,
    instance: false,
    resourceTypes: ['Appointment'],
    needs: [],
    affectsState: false,
    open: true,
    async handle(engine, ctx, request, input) {
      return find(use().scheduling.within(engine), ctx, request, input);
    },
  });
