/** Where the patient's chart opens in the EHR: the organization's URL template, filled in. @see https://hl7.org/fhir/R4/operations.html */
import type { Patient } from '@medplum/fhirtypes';
import { chartLink } from '../auth/ehr/chart-link.ts';
import { demandLive } from '../fhir/interaction/version.ts';
import { defineOperation } from '../fhir/operation-parameters.ts';

export default defineOperation({
  code: 'chart-link',
  url: 'https://kairos.example/fhir/OperationDefinition/patient-chart-link',
  system: false,
  type: false,
  instance: true,
  resourceTypes: ['Patient'],
  needs: ['read'],
  affectsState: false,
  async handle(engine, ctx, request, input) {
    const id = request.id ?? '';
    ctx.access.demand('read', 'Patient');
    const version = demandLive(await engine.repository.read('Patient', id, ctx.access.to('read')), 'Patient', id);
    const link = await chartLink(engine, ctx.access, JSON.parse(version.content) as Patient, {
      organization: input.text('organization'),
      encounter: input.text('encounter'),
    });
    return {
      status: 200,
      body: {
        resourceType: 'Parameters',
        parameter: [
          { name: 'url', valueUrl: link.url },
          { name: 'organization', valueString: link.organization },
        ],
      },
      resources: [`Patient/${id}`],
    };
  },
});
