/** Time off: nothing is booked in it any more, and who is hit is told. @see https://hl7.org/fhir/R4/slot.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { bundleOf } from '../scheduling/use/answer.ts';
import { blockTime } from '../scheduling/use/block.ts';
import { blockFrom } from '../scheduling/use/take-input.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'block',
    url: 'https://kairos.example/fhir/OperationDefinition/schedule-block',
    system: false,
    type: false,
    instance: true,
    resourceTypes: ['Schedule'],
    needs: ['update'],
    affectsState: true,
    async handle(engine, ctx, request, input) {
      const parts = use().scheduling.within(engine);
      const { slots, affected } = await blockTime(parts, ctx, request.id ?? '', blockFrom(parts, input));
      return bundleOf(engine, ctx.access, slots, affected);
    },
  });
