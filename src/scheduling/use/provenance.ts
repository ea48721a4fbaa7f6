/** Who has changed appointments, and why. @see https://hl7.org/fhir/R4/provenance.html */
import type { CodeableConcept, Provenance } from '@medplum/fhirtypes';
import { grantAll } from '../../fhir/access.ts';
import type { RequestContext } from '../../fhir/context.ts';
import { settle } from '../../fhir/interaction/write.ts';
import type { PreparedWrite, Transaction } from '../../fhir/store/repository.ts';
import { newId } from '../../platform/id.ts';
import type { SchedulingParts } from '../parts.ts';

export async function recordChange(
  { engine }: SchedulingParts,
  ctx: RequestContext,
  tx: Transaction,
  writes: readonly Pick<PreparedWrite, 'id' | 'version'>[],
  reason: CodeableConcept | undefined,
): Promise<void> {
  const now = engine.clock.now();
  const provenance: Provenance = {
    resourceType: 'Provenance',
    target: writes.map(({ id, version }) => ({ reference: `Appointment/${id}/_history/${version}` })),
    recorded: new Date(now).toISOString(),
    activity: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-DataOperation', code: 'UPDATE' }] },
    ...(reason ? { reason: [reason] } : {}),
    agent: [{ who: { display: ctx.access.principal.name } }],
  };
  const made = settle(engine, provenance, { id: newId(now), version: 1, lastUpdated: new Date(now), method: 'POST' });
  await tx.insert([made], grantAll({ kind: 'system', name: 'scheduling' }).to('create'));
}
