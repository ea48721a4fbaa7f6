/**
 * Replies to appointments: they change the participant's status, and with it perhaps the appointment; another time is a proposal of its own.
 * @see https://hl7.org/fhir/R4/appointmentresponse.html
 */
import type { Appointment, AppointmentParticipant, AppointmentResponse, Resource, Task } from '@medplum/fhirtypes';
import { grantAll, type Principal } from '../fhir/access.ts';
import { settle } from '../fhir/interaction/write.ts';
import { badRequest, errorIssue, FhirError } from '../fhir/outcome.ts';
import { localReference } from '../fhir/search/type/reference.ts';
import type { Change, StoredVersion, Transaction } from '../fhir/store/repository.ts';
import { sql } from '../platform/database/sql.ts';
import { newId } from '../platform/id.ts';
import { channelOf } from './channel.ts';
import { asExtensions, extensionOf, withoutExtensions } from './extension.ts';
import type { Directory } from './directory.ts';
import { freshDirectory } from './fresh-directory.ts';
import type { Channel } from './model/rules.ts';
import { isOptional } from './participant.ts';
import type { SchedulingParts } from './parts.ts';
import { ruleBroken } from './refusal.ts';
import { CANCELLATION_REASON, HOLD_EXPIRES, OF_HOLDS } from './urls.ts';

const LIVE: ReadonlySet<string> = new Set(['proposed', 'pending', 'booked', 'waitlist', 'arrived', 'checked-in']);

interface Answer {
  readonly response: AppointmentResponse;
  readonly appointment: Appointment;
  readonly stored: StoredVersion;
  readonly index: number;
}

/** A RelatedPerson answers for their patient, who is the only one that is not named otherwise. */
function participantOf(
  directory: Directory,
  baseUrl: string,
  appointment: Appointment,
  { actor, participantType }: AppointmentResponse,
): number {
  const who = directory.resolve(localReference(actor?.reference ?? '', baseUrl));
  const exact = appointment.participant.findIndex(
    (p) => p.actor?.reference !== undefined && directory.resolve(localReference(p.actor.reference, baseUrl)) === who,
  );
  if (exact >= 0) return exact;
  if (who.startsWith('RelatedPerson/')) {
    const patients = appointment.participant.flatMap((p, i) =>
      localReference(p.actor?.reference ?? '', baseUrl).startsWith('Patient/') ? [i] : [],
    );
    if (patients.length === 1) return patients[0] ?? -1;
  }
  const codes = new Set(participantType?.flatMap((t) => t.coding?.map((c) => c.code) ?? []));
  return actor
    ? -1
    : appointment.participant.findIndex((p) => p.type?.some((t) => t.coding?.some((c) => codes.has(c.code))));
}

async function read(parts: SchedulingParts, tx: Transaction, response: AppointmentResponse): Promise<Answer> {
  const { baseUrl } = parts.engine;
  const named = response.appointment.reference ?? '';
  const local = localReference(named, baseUrl);
  const id = local.startsWith('Appointment/') ? local.slice('Appointment/'.length) : '';
  const stored =
    id === ''
      ? undefined
      : await tx.read('Appointment', id, grantAll({ kind: 'system', name: 'scheduling' }).to('read'));
  if (stored?.content === undefined)
    throw ruleBroken('The appointment that is answered is not known here.', 'AppointmentResponse.appointment');
  const version = /\/_history\/(\d+)$/.exec(named)?.[1];
  if (version !== undefined && Number(version) !== stored.version)
    throw new FhirError(
      409,
      [
        errorIssue(
          'conflict',
          `The reply is to version ${version}, but the appointment has changed: it is at version ${stored.version} now.`,
          'AppointmentResponse.appointment',
        ),
      ],
      {},
      [JSON.parse(stored.content) as Appointment],
    );
  const appointment = JSON.parse(stored.content) as Appointment;
  if (!LIVE.has(appointment.status ?? ''))
    throw ruleBroken(
      `The appointment is ${appointment.status ?? 'over'}: it takes no more replies.`,
      'AppointmentResponse.appointment',
    );
  const index = participantOf(await freshDirectory(parts, tx), baseUrl, appointment, response);
  if (index < 0)
    throw badRequest('business-rule', 'Only participants of the appointment answer it.', 'AppointmentResponse.actor');
  return { response, appointment, stored, index };
}

const differs = (a: string | undefined, b: string | undefined): boolean =>
  a !== undefined && (b === undefined || Date.parse(a) !== Date.parse(b));

/** @throws FhirError 422 */
function demandWhole({ start, end }: AppointmentResponse): void {
  if (start !== undefined && end !== undefined && !(Date.parse(end) > Date.parse(start)))
    throw ruleBroken('The time that is proposed instead must end after it starts.', 'AppointmentResponse.end');
}

/** The same counter-proposal was made before: a retry proposes nothing new. */
async function isRepeated(
  baseUrl: string,
  tx: Transaction,
  id: string,
  { appointment, actor, start, end }: AppointmentResponse,
): Promise<boolean> {
  const named = localReference(appointment.reference ?? '', baseUrl);
  const rows = await tx.execute(
    sql`select r.id, r.version, r.content from appointment_response r where r.appointment = ${named} and r.id <> ${id}`,
  );
  return rows.some(([other, version, content]) => {
    const said = JSON.parse(
      tx.decode('AppointmentResponse', String(other), Number(version), String(content)),
    ) as AppointmentResponse;
    const sameActor =
      localReference(said.actor?.reference ?? '', baseUrl) === localReference(actor?.reference ?? '', baseUrl);
    return sameActor && !differs(said.start, start ?? said.start) && said.end === end;
  });
}

/** The appointment after the reply. */
function answered({ response, appointment, index }: Answer, baseUrl: string, channel: Channel): Appointment {
  const replies: Partial<Record<string, AppointmentParticipant['status']>> = {
    accepted: 'accepted',
    declined: 'declined',
    tentative: 'tentative',
    'needs-action': 'needs-action',
  };
  const reply = replies[response.participantStatus ?? ''];
  const participant = appointment.participant.map((p, i) => (i === index && reply ? { ...p, status: reply } : p));
  const next: Appointment = { ...appointment, participant };
  const isPatient = (p: AppointmentParticipant): boolean =>
    localReference(p.actor?.reference ?? '', baseUrl).startsWith('Patient/');
  const mine = participant[index];
  if (
    reply === 'declined' &&
    mine &&
    isPatient(mine) &&
    participant.filter(isPatient).every((p) => p.status === 'declined')
  )
    return {
      ...next,
      status: 'cancelled',
      cancelationReason: {
        coding: [{ system: CANCELLATION_REASON, code: 'pat', display: 'Patient' }],
        ...(response.comment === undefined ? {} : { text: response.comment }),
      },
    };
  // Who is not said to be optional is needed.
  const agreed = participant.every((p) => p.status === 'accepted' || isOptional(p));
  // A hold is booked by $book, as its service has it.
  const isOwnHold = channel === 'patient' && extensionOf(appointment, HOLD_EXPIRES) !== undefined;
  if (reply === 'accepted' && agreed && appointment.status === 'pending' && !isOwnHold) {
    const { extension: _, ...rest } = next;
    return {
      ...rest,
      ...asExtensions(withoutExtensions(next, ...OF_HOLDS)),
      status: 'booked',
    };
  }
  if (reply === 'declined' && mine && !isOptional(mine) && appointment.status === 'pending')
    return {
      ...next,
      status: 'cancelled',
      cancelationReason: { coding: [{ system: CANCELLATION_REASON, code: 'prov', display: 'Provider' }] },
    };
  return next;
}

/** Another time, as a proposal beside what stands. */
function counterProposal({ response, appointment, stored }: Answer): Appointment {
  const { id: _, meta: __, slot: ___, cancelationReason: ____, extension: _____, ...rest } = appointment;
  const { start = appointment.start, end } = response;
  const length = Date.parse(appointment.end ?? '') - Date.parse(appointment.start ?? '');
  return {
    ...rest,
    status: 'proposed',
    ...(start === undefined ? {} : { start }),
    end: end ?? new Date(Date.parse(start ?? '') + length).toISOString(),
    supportingInformation: [...(appointment.supportingInformation ?? []), { reference: `Appointment/${stored.id}` }],
    participant: appointment.participant.map((p) => ({ ...p, status: 'needs-action' as const })),
  };
}

const taskOf = (appointment: string, words: string, at: string): Task => ({
  resourceType: 'Task',
  status: 'requested',
  intent: 'order',
  description: words,
  focus: { reference: appointment },
  authoredOn: at,
});

/** What new replies do. @throws FhirError 409, 422 */
export async function projectResponses(
  parts: SchedulingParts,
  tx: Transaction,
  changes: readonly Change[],
  by: Principal,
): Promise<void> {
  const { engine } = parts;
  const now = engine.clock.now();
  const access = grantAll(by);
  const add = (resource: Resource): Promise<void> =>
    tx.insert(
      [settle(engine, resource, { id: newId(now), version: 1, lastUpdated: new Date(now), method: 'POST' })],
      access.to('create'),
    );
  for (const { kind, id, after } of changes) {
    // Replies that the installation brings in are history: what they did is in the appointments that come along.
    if (kind !== 'create' || after?.resourceType !== 'AppointmentResponse' || by.kind === 'system') continue;
    const answer = await read(parts, tx, after);
    const { appointment, stored, index } = answer;
    if (differs(after.start, appointment.start) || differs(after.end, appointment.end)) {
      demandWhole(after);
      if (!(await isRepeated(engine.baseUrl, tx, id, after))) await add(counterProposal(answer));
      continue;
    }
    const next = answered(answer, engine.baseUrl, channelOf(by));
    const who = appointment.participant[index];
    const declines = after.participantStatus === 'declined' && who?.status !== 'declined';
    if (declines && next.status !== 'cancelled' && who && !isOptional(who))
      await add(
        taskOf(
          `Appointment/${stored.id}`,
          'A participant who is needed has declined: find another, or another time.',
          new Date(now).toISOString(),
        ),
      );
    if (JSON.stringify(next) === JSON.stringify(appointment)) continue;
    const write = settle(engine, next, {
      id: stored.id,
      version: stored.version + 1,
      lastUpdated: new Date(now),
      method: 'PUT',
    });
    parts.made.add(write.resource);
    // That all have agreed books it, whoever was the last; to decline is to cancel, by the rules of whoever does.
    const books = next.status === 'booked' && appointment.status !== 'booked';
    const rows = (books ? grantAll({ kind: 'system', name: 'scheduling' }) : access).to('update');
    await tx.update([write], new Map([[`Appointment/${stored.id}`, appointment]]), rows);
  }
}
