/** Why a time is not free: the reason of each rule. @see https://hl7.org/fhir/R4/operations.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { explain } from '../scheduling/use/explain.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'explain',
    url: 'https://kairos.example/fhir/OperationDefinition/appointment-explain',
    system: false,
    type: true,
    instance: false,
    resourceTypes: ['Appointment'],
    needs: [],
    affectsState: false,
    open: true,
    async handle(engine, ctx, _request, input) {
      return explain(use().scheduling.within(engine), ctx, input);
    },
  });
