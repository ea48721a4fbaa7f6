/** What the operations that take, move, cover and block time were asked for. @see https://profiles.ihe.net/ITI/Scheduling/ITI-117.html */
import type { Resource } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import type { OperationRequest } from '../../fhir/operation.ts';
import type { OperationInput } from '../../fhir/operation-parameters.ts';
import { demandStorable, settle } from '../../fhir/interaction/write.ts';
import { badRequest } from '../../fhir/outcome.ts';
import type { PreparedWrite } from '../../fhir/store/repository.ts';
import { newId } from '../../platform/id.ts';
import { freshDirectory } from '../fresh-directory.ts';
import type { SchedulingParts } from '../parts.ts';
import type { Block } from './block.ts';
import type { Cover } from './cover-plan.ts';
import { momentOf, spanOf } from './moments.ts';
import { referencesIn } from './input.ts';
import type { Reschedule } from './reschedule.ts';
import type { Take } from './take-parts.ts';
import { resolved, targetOf } from './target.ts';
import type { Unblock } from './unblock.ts';

/** Who has no id yet is registered with the booking. @throws FhirError 403, 422 */
async function registered(parts: SchedulingParts, ctx: RequestContext, patient: Resource): Promise<PreparedWrite> {
  const { engine } = parts;
  ctx.access.demand('create', 'Patient');
  const now = engine.clock.now();
  const valid = await demandStorable(engine, ctx.access, engine.repository, 'Patient', patient);
  return settle(engine, valid, { id: newId(now), version: 1, lastUpdated: new Date(now), method: 'POST' });
}

/** Argonaut's names stand for IHE's. @see https://fhir.org/guides/argonaut/scheduling/ */
export async function takeFrom(
  parts: SchedulingParts,
  ctx: RequestContext,
  request: OperationRequest,
  input: OperationInput,
  kind: 'hold' | 'book',
): Promise<Take> {
  const reference =
    request.id === undefined
      ? (input.reference('appointment-reference') ?? input.reference('appt-id'))
      : { reference: `Appointment/${request.id}` };
  const resource = input.resource('appointment-resource') ?? input.resource('appt-resource');
  const named = [...input.references('patient-reference'), ...(kind === 'book' ? input.references('patient-id') : [])];
  const patients = (await Promise.all(named.map((p) => resolved(parts, ctx, p, 'Patient')))).map((p) => {
    if (p === undefined) throw badRequest('not-found', 'The patient is not known here.', 'patient-reference');
    return p;
  });
  const registers: PreparedWrite[] = [];
  for (const patient of kind === 'book' ? input.resources('patient-resource') : []) {
    const known = patient.id ?? registers.push(await registered(parts, ctx, patient)) - 1;
    patients.push(`Patient/${typeof known === 'string' ? known : (registers[known]?.id ?? '')}`);
  }
  const [cancels] = kind === 'book' ? referencesIn(parts, input, 'cancelled-appt-id') : [];
  return {
    target: await targetOf(parts, ctx, reference, resource),
    patients: [...new Set(patients)],
    registers,
    comment: kind === 'book' ? input.text('comment') : undefined,
    reasons: kind === 'book' ? input.codeableConcepts('reason') : [],
    overrideReason: input.text('override-reason'),
    cancels: cancels === undefined ? undefined : { reference: cancels, reason: undefined },
    hold: kind === 'hold' ? (input.integer('minutes') ?? 0) : undefined,
  };
}

export function rescheduleFrom(parts: SchedulingParts, input: OperationInput): Reschedule {
  const start = input.text('start');
  return {
    start: start === undefined ? undefined : momentOf(start, 'start'),
    slots: referencesIn(parts, input, 'slot'),
    schedules: referencesIn(parts, input, 'schedule'),
    practitioners: referencesIn(parts, input, 'practitioner'),
    location: referencesIn(parts, input, 'location')[0],
    mode: input.text('mode') === 'replace' ? 'replace' : 'same',
    reason: input.codeableConcept('reason'),
    comment: input.text('comment'),
    overrideReason: input.text('override-reason'),
  };
}

export async function coverFrom(parts: SchedulingParts, input: OperationInput): Promise<Cover> {
  const directory = await freshDirectory(parts);
  const who = (name: string): string => {
    const [reference] = referencesIn(parts, input, name);
    if (reference === undefined) throw badRequest('required', `Say who: send ${name}.`, name);
    return directory.resolve(reference);
  };
  const span = spanOf(input.text('start') ?? '', input.text('end') ?? '');
  const { start, end } = span.spanAt(undefined);
  if (end <= start) throw badRequest('value', 'The end must come after the start.', 'end');
  return {
    from: who('from'),
    to: who('to'),
    span,
    schedule: referencesIn(parts, input, 'schedule')[0],
    appointments: referencesIn(parts, input, 'appointment'),
    reason: input.codeableConcept('reason'),
    overrideReason: input.text('override-reason'),
    dryRun: input.boolean('dry-run') === true,
  };
}

/** @throws FhirError 400 */
export function blockFrom(parts: SchedulingParts, input: OperationInput): Block {
  const services = referencesIn(parts, input, 'service');
  const scope = scopeFrom(input) ?? (services.length > 0 ? 'service' : 'location');
  if (scope === 'service' && services.length === 0)
    throw badRequest('required', 'Name the services that are not offered: send service.', 'service');
  if (scope !== 'service' && services.length > 0)
    throw badRequest('invalid', `Services go with the scope service: leave them out, or the scope ${scope}.`, 'scope');
  return {
    span: spanOf(input.text('start') ?? '', input.text('end') ?? ''),
    scope,
    services,
    reason: input.codeableConcept('reason'),
    comment: input.text('comment'),
    dryRun: input.boolean('dry-run') === true,
  };
}

function scopeFrom(input: OperationInput): Block['scope'] | undefined {
  const scope = input.text('scope');
  return scope === 'all' || scope === 'location' || scope === 'service' ? scope : undefined;
}

/** @throws FhirError 400 */
export function unblockFrom(parts: SchedulingParts, input: OperationInput): Unblock {
  const [start, end] = [input.text('start'), input.text('end')];
  const slots = referencesIn(parts, input, 'slot');
  if ((start === undefined) !== (end === undefined))
    throw badRequest('required', 'A span needs both: send start and end.', start === undefined ? 'start' : 'end');
  if (slots.length === 0 && start === undefined)
    throw badRequest('required', 'Name the blocks to remove, or a span: send slot, or start and end.', 'slot');
  return {
    slots,
    span: start === undefined || end === undefined ? undefined : spanOf(start, end),
    scope: scopeFrom(input) ?? 'location',
    dryRun: input.boolean('dry-run') === true,
  };
}
