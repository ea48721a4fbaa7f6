/** A colleague takes over visits, all of them or none. @see https://hl7.org/fhir/R4/appointment.html */
import { defineOperation } from '../fhir/operation-parameters.ts';
import type { UseContext } from '../operation-context.ts';
import { bundleOf } from '../scheduling/use/answer.ts';
import { coverVisits } from '../scheduling/use/cover.ts';
import { coverFrom } from '../scheduling/use/take-input.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'cover',
    url: 'https://kairos.example/fhir/OperationDefinition/appointment-cover',
    system: false,
    type: true,
    instance: false,
    resourceTypes: ['Appointment'],
    needs: ['update'],
    affectsState: true,
    async handle(engine, ctx, _request, input) {
      const parts = use().scheduling.within(engine);
      const { appointments, issues } = await coverVisits(parts, ctx, await coverFrom(parts, input));
      return bundleOf(engine, ctx.access, appointments, [], issues);
    },
  });
