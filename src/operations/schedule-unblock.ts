/** Takes time off away again. @see https://hl7.org/fhir/R4/slot.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { bundleOf } from '../scheduling/use/answer.ts';
import { unblockTime } from '../scheduling/use/block.ts';
import { referencesIn } from '../scheduling/use/input.ts';

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
      const slots = await unblockTime(parts, ctx, request.id ?? '', {
        slots: referencesIn(parts, input, 'slot'),
        start: input.text('start'),
        end: input.text('end'),
        scope: input.text('scope') === 'all' ? 'all' : 'location',
        dryRun: input.boolean('dry-run') === true,
      });
      return bundleOf(engine.baseUrl, ctx.access, slots, []);
    },
  });
