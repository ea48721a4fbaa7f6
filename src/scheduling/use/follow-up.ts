/**
 * A follow-up that is due: a ServiceRequest whose occurrence is the span in which it should take place. The due list is a search for them.
 * @see https://hl7.org/fhir/R4/servicerequest.html
 */
import type { Appointment, ServiceRequest } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import { demandLive } from '../../fhir/interaction/version.ts';
import { demandValid, settle } from '../../fhir/interaction/write.ts';
import type { OperationReply } from '../../fhir/operation.ts';
import type { OperationInput } from '../../fhir/operation-parameters.ts';
import { badRequest } from '../../fhir/outcome.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import { newId } from '../../platform/id.ts';
import { addDays } from '../model/dates.ts';
import { freshDirectory } from '../fresh-directory.ts';
import { minutesOf } from '../extension.ts';
import type { SchedulingParts } from '../parts.ts';
import { ruleBroken } from '../refusal.ts';
import { readSlots, slotsOf } from '../slots.ts';
import { FOLLOW_UP } from '../urls.ts';
import { visitOfAppointment } from '../visit.ts';
import { referencesIn } from './input.ts';

const DEFAULT_TOLERANCE_DAYS = 7;

export async function followUp(
  parts: SchedulingParts,
  ctx: RequestContext,
  id: string,
  input: OperationInput,
): Promise<OperationReply> {
  const { engine } = parts;
  ctx.access.demand('read', 'Appointment');
  ctx.access.demand('create', 'ServiceRequest');
  const stored = demandLive(await engine.repository.read('Appointment', id, ctx.access.to('read')), 'Appointment', id);
  const appointment = JSON.parse(stored.content) as Appointment;
  const directory = await freshDirectory(parts);
  const slots = await readSlots(engine.repository.query, slotsOf(appointment, engine.baseUrl));
  const visit = visitOfAppointment(directory, engine.baseUrl, appointment, slots);
  const [patient] = visit.patients;
  if (!patient || visit.start === undefined)
    throw ruleBroken('A follow-up needs a visit that has a patient and a time.', 'Appointment.participant');
  const weeks = input.integer('weeks');
  const minutes = minutesOf(input.duration('after'));
  if ((weeks === undefined) === (minutes === undefined))
    throw badRequest('required', 'Say when it is due: send weeks, or after as a Duration in wk or d.', 'weeks');
  const days = weeks === undefined ? Math.round((minutes ?? 0) / 1440) : weeks * 7;
  const tolerance = input.integer('tolerance-days') ?? DEFAULT_TOLERANCE_DAYS;
  const date = visit.offer?.entry.zone?.localOf(visit.start).date ?? new Date(visit.start).toISOString().slice(0, 10);
  const [service = visit.service] = referencesIn(parts, input, 'service');
  const known = service === undefined ? undefined : directory.service(service);
  const practitioners = visit.actors.filter((a) => a.reference.startsWith('Practitioner/'));
  const reason = input.codeableConcept('reason');
  const now = engine.clock.now();
  const types = known?.type ?? appointment.serviceType;
  const request: ServiceRequest = {
    resourceType: 'ServiceRequest',
    extension: [
      {
        url: FOLLOW_UP,
        extension: [
          { url: 'after', valueDuration: { value: days, unit: 'd', system: 'http://unitsofmeasure.org', code: 'd' } },
          {
            url: 'tolerance',
            valueDuration: { value: tolerance, unit: 'd', system: 'http://unitsofmeasure.org', code: 'd' },
          },
          { url: 'visit', valueReference: { reference: `Appointment/${id}` } },
        ],
      },
    ],
    status: 'active',
    intent: 'order',
    category: [{ coding: [{ system: 'http://snomed.info/sct', code: '390906007', display: 'Follow-up encounter' }] }],
    code: types?.[0] ?? { text: appointment.description ?? 'Follow-up visit' },
    subject: { reference: patient.reference, ...(patient.display === undefined ? {} : { display: patient.display }) },
    occurrencePeriod: { start: addDays(date, days - tolerance), end: addDays(date, days + tolerance) },
    authoredOn: new Date(now).toISOString(),
    ...(practitioners.length > 0
      ? {
          performer: practitioners.map((p) => ({
            reference: p.reference,
            ...(p.display === undefined ? {} : { display: p.display }),
          })),
        }
      : {}),
    ...(reason ? { reasonCode: [reason] } : appointment.reasonCode ? { reasonCode: appointment.reasonCode } : {}),
    supportingInfo: [
      { reference: `Appointment/${id}` },
      ...(service === undefined ? [] : [{ reference: localReference(service, engine.baseUrl) }]),
    ],
  };
  const write = settle(engine, demandValid(engine, 'ServiceRequest', request), {
    id: newId(now),
    version: 1,
    lastUpdated: new Date(now),
    method: 'POST',
  });
  await engine.repository.create(write, ctx.access.to('create'));
  return { status: 200, body: write.content, resources: [`ServiceRequest/${write.id}`, `Appointment/${id}`] };
}
