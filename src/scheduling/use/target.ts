/**
 * Which visit somebody wants to take: a proposal by its id, an appointment that is stored, or one that is described.
 * @see https://profiles.ihe.net/ITI/Scheduling/ITI-116.html
 */
import type { Appointment, Reference, Resource } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { badRequest, errorIssue, FhirError } from '../../fhir/outcome.ts';
import { demandValid } from '../../fhir/interaction/write.ts';
import { matchCriteria } from '../../fhir/search/match-criteria.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import type { Offer } from '../directory.ts';
import type { SchedulingParts } from '../parts.ts';
import { readSlots, slotsOf } from '../slots.ts';
import { visitOfAppointment } from '../visit.ts';

export type Target =
  | { readonly kind: 'proposal'; readonly offer: Offer; readonly start: number; readonly said: Appointment | undefined }
  | { readonly kind: 'stored'; readonly id: string; readonly said: Appointment | undefined }
  | { readonly kind: 'described'; readonly said: Appointment; readonly offer: Offer | undefined };

const gone = (): FhirError =>
  new FhirError(409, [
    errorIssue(
      'conflict',
      'This proposal is not offered any more: ask $find for the times that are.',
      'appointment-reference',
    ),
  ]);

/**
 * @param reference to an appointment, stored or proposed
 * @param resource an Appointment as it is wanted; with the id of one, that one
 * @throws FhirError 400, 409
 */
export async function targetOf(
  { engine, directory, proposals }: SchedulingParts,
  reference: Reference | undefined,
  resource: Resource | undefined,
): Promise<Target> {
  const named = localReference(reference?.reference ?? '', engine.baseUrl);
  const id = named.startsWith('Appointment/') ? named.slice('Appointment/'.length) : (resource?.id ?? undefined);
  const said = resource?.resourceType === 'Appointment' ? resource : undefined;
  if (id !== undefined && proposals.isProposal(id)) {
    const read = proposals.read(await directory.current(), id);
    const found = read ?? proposals.read(await directory.renewed((await directory.current()).revision), id);
    if (!found) throw gone();
    return { kind: 'proposal', ...found, said };
  }
  if (id !== undefined) return { kind: 'stored', id, said };
  if (!said)
    throw badRequest(
      'required',
      'Name the appointment: send appointment-reference or appointment-resource.',
      'appointment-reference',
    );
  const valid = demandValid(engine, 'Appointment', { ...said, status: 'proposed' }) as Appointment;
  const slots = await readSlots(engine.repository.query, slotsOf(valid, engine.baseUrl));
  const missing = slotsOf(valid, engine.baseUrl).find((s) => !slots.has(s));
  if (missing !== undefined)
    throw new FhirError(409, [
      errorIssue(
        'conflict',
        `${missing} is not there any more: ask $find for the times that are free.`,
        'Appointment.slot',
      ),
    ]);
  const times = [...slots.values()];
  const timed: Appointment =
    valid.start === undefined && times.length > 0
      ? {
          ...valid,
          start: new Date(Math.min(...times.map((s) => s.start))).toISOString(),
          end: new Date(Math.max(...times.map((s) => s.end))).toISOString(),
        }
      : valid;
  const { offer } = visitOfAppointment(await directory.current(), engine.baseUrl, timed, slots);
  return { kind: 'described', said: timed, offer };
}

/** `Type/id` of a reference, also by identifier; undefined: there is none that whoever asks may know of. */
export async function resolved(
  { engine }: SchedulingParts,
  ctx: RequestContext,
  reference: Reference,
  type: string,
): Promise<string | undefined> {
  if (reference.reference !== undefined) return localReference(reference.reference, engine.baseUrl);
  const { system, value } = reference.identifier ?? {};
  if (value === undefined) return undefined;
  const [found] = await matchCriteria(
    engine,
    ctx,
    engine.repository,
    type,
    [['identifier', system === undefined ? value : `${system}|${value}`]],
    2,
  );
  return found && `${type}/${found.id}`;
}
