/** Takes time off away again. @see https://hl7.org/fhir/R4/slot.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { bundleOf } from '../scheduling/use/answer.ts';
import { unblockFrom } from '../scheduling/use/take-input.ts';
import { unblockTime } from '../scheduling/use/unblock.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'unblock',
    url: 'https://kairos.example/fhir/OperationDefinition/schedule-unblock',
    system: false,
    type: false,
    instance: true,
    resourceTypes: ['Schedule'],
    needs: ['update'],
    affectsState: true,
    async handle(engine, ctx, request, input) {
      const parts = use().scheduling.within(engine);
      const wish = unblockFrom(parts, input);
      const { slots, rest, issues } = await unblockTime(parts, ctx, request.id ?? '', wish);
      return bundleOf(engine, ctx.access, slots, rest, issues);
    },
  });
