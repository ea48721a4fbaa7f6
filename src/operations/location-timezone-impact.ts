/** Whom another time zone of a place would hit, before anybody changes it. @see https://hl7.org/fhir/R4/extension-timezone.html */
import type { Appointment } from '@medplum/fhirtypes';
import { demandLive } from '../fhir/interaction/version.ts';
import { defineOperation } from '../fhir/operation-parameters.ts';
import { badRequest } from '../fhir/outcome.ts';
import type { UseContext } from '../operation-context.ts';
import { zoneOf } from '../scheduling/model/zone.ts';
import { isBroken, upcoming } from '../scheduling/promised.ts';
import { bundleOf } from '../scheduling/use/answer.ts';

export default (use: UseContext) =>
  defineOperation({
    code: 'timezone-impact',
    url: 'https://kairos.example/fhir/OperationDefinition/location-timezone-impact',
    system: false,
    type: false,
    instance: true,
    resourceTypes: ['Location'],
    needs: ['update'],
    affectsState: false,
    async handle(engine, ctx, request, input) {
      const id = request.id ?? '';
      const zone = input.text('timezone') ?? '';
      if (!zoneOf(zone))
        throw badRequest(
          'value',
          `${zone.slice(0, 64)} is no IANA time zone: send one such as America/New_York.`,
          'timezone',
        );
      demandLive(await engine.repository.read('Location', id, ctx.access.to('update')), 'Location', id);
      const hit: Appointment[] = [];
      for await (const appointment of upcoming(use().scheduling.within(engine), `Location/${id}`))
        if (isBroken(appointment, zone) && hit.push(appointment) === engine.limits.maxPageSize) break;
      return bundleOf(engine, ctx.access, hit, []);
    },
  });
