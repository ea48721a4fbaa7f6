/** Books a time, all of it or nothing. @see https://profiles.ihe.net/ITI/Scheduling/ITI-117.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { answerWith, overlapIssues } from '../scheduling/use/answer.ts';
import { takeFrom } from '../scheduling/use/take-input.ts';
import { book } from '../scheduling/use/book.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'book',
    url: 'https://kairos.example/fhir/OperationDefinition/appointment-book',
    system: false,
    type: true,
    instance: true,
    resourceTypes: ['Appointment'],
    needs: [],
    affectsState: true,
    bare: 'appointment-resource',
    async handle(engine, ctx, request, input) {
      const parts = use().scheduling.within(engine);
      const { write, overlaps } = await book(parts, ctx, await takeFrom(parts, ctx, request, input, 'book'));
      return answerWith(engine, ctx.access, write, overlapIssues(overlaps));
    },
  });
