/** Whom another time zone of a place would hit, before anybody changes it. @see https://hl7.org/fhir/R4/extension-timezone.html */
import { demandLive } from '../fhir/interaction/version.ts';
import { defineOperation, PAGE_PARAMETER } from '../fhir/operation-parameters.ts';
import { badRequest, type Issue } from '../fhir/outcome.ts';
import type { UseContext } from '../operation-context.ts';
import { zoneOf } from '../scheduling/model/zone.ts';
import { brokenAt, type Broken } from '../scheduling/promised.ts';
import { bundleOf } from '../scheduling/use/answer.ts';

const timesOf = ({ appointment, promised, now }: Broken): Issue => ({
  severity: 'information',
  code: 'informational',
  diagnostics: `Appointment/${appointment.id ?? ''} was promised for ${promised.local} (${promised.zone}): it would be at ${now.local} (${now.zone}).`,
});

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
      const named = input.text('timezone') ?? '';
      const zone = zoneOf(named);
      if (!zone)
        throw badRequest(
          'value',
          `${named.slice(0, 64)} is no IANA time zone: send one such as America/New_York.`,
          'timezone',
        );
      const most = Math.min(input.integer('_count') ?? Infinity, engine.limits.maxPageSize);
      if (most < 1) throw badRequest('value', 'Parameter _count must be 1 or more.', '_count');
      demandLive(await engine.repository.read('Location', id, ctx.access.to('update')), 'Location', id);
      const after = request.query.find(([name]) => name === PAGE_PARAMETER)?.[1] ?? '';
      const shown: Broken[] = [];
      let [total, left] = [0, 0];
      for await (const broken of brokenAt(use().scheduling.within(engine), `Location/${id}`, zone)) {
        if (!ctx.access.to('read').admits('Appointment', broken.appointment)) continue;
        total++;
        if ((broken.appointment.id ?? '') <= after) continue;
        if (shown.length < most) shown.push(broken);
        else left++;
      }
      const last = shown.at(-1)?.appointment.id ?? '';
      const query = new URLSearchParams({ timezone: zone.name, _count: String(most), [PAGE_PARAMETER]: last });
      const next = left > 0 ? `${engine.baseUrl}/Location/${id}/$timezone-impact?${query.toString()}` : undefined;
      const more: Issue[] =
        next === undefined
          ? []
          : [
              {
                severity: 'warning',
                code: 'incomplete',
                diagnostics: `${left} more of ${total} visits are not in this answer: ask for them by its link next, ${next}`,
              },
            ];
      const matches = shown.map((b) => b.appointment);
      return bundleOf(engine, ctx.access, matches, [], [...more, ...shown.map(timesOf)], { total, next });
    },
  });
