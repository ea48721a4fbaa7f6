/** Keeps a time for some minutes, or once more. @see https://profiles.ihe.net/ITI/Scheduling/ITI-116.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { answerWith, overlapIssues } from '../scheduling/use/answer.ts';
import { takeFrom } from '../scheduling/use/take-input.ts';
import { hold } from '../scheduling/use/book.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'hold',
    url: 'https://kairos.example/fhir/OperationDefinition/appointment-hold',
    system: false,
    type: true,
    instance: true,
    resourceTypes: ['Appointment'],
    needs: [],
    affectsState: true,
    bare: 'appointment-resource',
    async handle(engine, ctx, request, input) {
      const parts = use().scheduling.within(engine);
      const { write, overlaps } = await hold(parts, ctx, takeFrom(parts, ctx, request, input, 'hold'));
      return answerWith(engine, ctx.access, write, overlapIssues(overlaps));
    },
  });
