/** `$explain`: why a time is not free, rule by rule; who is there instead is nobody's business but staff's. @see https://hl7.org/fhir/R4/operations.html */
import type { ParametersParameter, Period } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import type { OperationReply } from '../../fhir/operation.ts';
import type { OperationInput } from '../../fhir/operation-parameters.ts';
import { badRequest } from '../../fhir/outcome.ts';
import { actorOf } from '../actor.ts';
import { channelOf, patientMeant } from '../channel.ts';
import type { Directory } from '../directory.ts';
import { MINUTE } from '../model/dates.ts';
import type { Reason } from '../model/explain.ts';
import type { Interval } from '../model/interval.ts';
import type { Channel } from '../model/rules.ts';
import type { Zone } from '../model/zone.ts';
import { freshDirectory } from '../fresh-directory.ts';
import type { SchedulingParts } from '../parts.ts';
import { reasonsAgainst } from '../reasons.ts';
import { ANYTHING, selectOffers, type Choice, type Wanted } from '../select.ts';
import { momentOf } from './moments.ts';
import { referencesIn } from './input.ts';

/** Schedules that one question is about. */
const MOST_CHOICES = 20;

interface Answer {
  readonly schedule: string;
  readonly zone?: Zone | undefined;
  readonly reasons: readonly Reason[];
}

/** What tells of somebody's time: when it is over is for those who work here, and for whom it is about. */
const PRIVATE: ReadonlySet<string> = new Set(['taken', 'buffer', 'blocked', 'time-off']);

/** By the clock of the place; a side that is open is left out. */
function periodOf({ start, end }: Interval, zone: Zone | undefined): Period {
  const at = (ms: number): string => zone?.format(ms) ?? new Date(ms).toISOString();
  return { ...(Number.isFinite(start) && { start: at(start) }), ...(Number.isFinite(end) && { end: at(end) }) };
}

function asParameter(
  reason: Reason,
  { schedule, zone }: Pick<Answer, 'schedule' | 'zone'>,
  all: boolean,
): ParametersParameter {
  const { rule, text, during, actor } = reason;
  const who = actor === undefined || !all ? '' : `${actor}: `;
  const hidden = all && reason.private !== undefined ? ` (${reason.private})` : '';
  const period = during && (all || !PRIVATE.has(rule)) ? periodOf(during, zone) : {};
  return {
    name: 'reason',
    part: [
      { name: 'rule', valueCode: rule },
      { name: 'text', valueString: `${who}${text}${hidden}` },
      ...(Object.keys(period).length > 0 ? [{ name: 'period', valuePeriod: period }] : []),
      { name: 'schedule', valueReference: { reference: schedule } },
    ],
  };
}

/** Schedules that are named and closed as a whole. */
const inactive = (directory: Directory, { schedules }: Wanted): readonly Answer[] =>
  schedules
    .flatMap((s) => directory.entry(s) ?? [])
    .filter(({ schedule }) => schedule.active === false)
    .map(({ reference }) => ({
      schedule: reference,
      reasons: [{ rule: 'inactive', text: 'this schedule is not active' }],
    }));

/** Schedules that are elsewhere. */
const elsewhere = (directory: Directory, wanted: Wanted): readonly Answer[] =>
  wanted.locations.length === 0
    ? []
    : selectOffers(directory, { ...wanted, locations: [] }).map(({ offer }) => ({
        schedule: offer.entry.reference,
        reasons: [{ rule: 'location', text: 'visits of this service are not at the place that is asked for' }],
      }));

async function answerFor(
  parts: SchedulingParts,
  choice: Choice,
  start: number,
  end: number | undefined,
  channel: Channel,
  patient: string | undefined,
): Promise<Answer> {
  const { engine } = parts;
  const patients = patient === undefined ? [] : [actorOf(patient)];
  const reasons = await reasonsAgainst(engine, { choice, start, channel, patients }, engine.clock.now());
  const { entry, parameters } = choice.offer;
  const { duration } = parameters;
  const fits = end === undefined || end - start === duration * MINUTE;
  const length = { rule: 'length', text: `a visit of this service lasts ${duration} minutes` } as const;
  return { schedule: entry.reference, zone: entry.zone, reasons: fits ? reasons : [...reasons, length] };
}

/** @throws FhirError 400 */
function demandSome(choices: readonly Choice[], closed: readonly Answer[]): void {
  if (choices.length + closed.length > MOST_CHOICES)
    throw badRequest('too-costly', 'Too many Schedules are meant: name a practitioner or a Schedule.', 'schedule');
  if (choices.length + closed.length > 0) return;
  throw badRequest(
    'not-found',
    'No Schedule is meant by this: name a practitioner, a service or a Schedule that there is.',
    'schedule',
  );
}

export async function explain(
  parts: SchedulingParts,
  ctx: RequestContext,
  input: OperationInput,
): Promise<OperationReply> {
  const start = momentOf(input.text('start') ?? '', 'start');
  const end = input.text('end') === undefined ? undefined : momentOf(input.text('end') ?? '', 'end');
  if (end !== undefined && end <= start) throw badRequest('value', 'The end must come after the start.', 'end');
  const directory = await freshDirectory(parts);
  const [named] = referencesIn(parts, input, 'patient-reference');
  if (named !== undefined && !(await parts.engine.repository.existing([named], ctx.access.to('read'))).has(named))
    throw badRequest('not-found', 'The patient is not known here: name one you may book for.', 'patient-reference');
  const patient = named ?? patientMeant(ctx.access.principal);
  const wanted: Wanted = {
    ...ANYTHING,
    practitioners: referencesIn(parts, input, 'practitioner').map((p) => directory.resolve(p)),
    services: referencesIn(parts, input, 'service'),
    schedules: referencesIn(parts, input, 'schedule'),
    locations: referencesIn(parts, input, 'location'),
  };
  const choices = selectOffers(directory, wanted);
  const closed = [...inactive(directory, wanted), ...(choices.length > 0 ? [] : elsewhere(directory, wanted))];
  demandSome(choices, closed);
  const channel = channelOf(ctx.access.principal);
  const open = await Promise.all(choices.map((choice) => answerFor(parts, choice, start, end, channel, patient)));
  const answers = [...open, ...closed];
  const all = ({ actor }: Reason): boolean => channel === 'staff' || (actor !== undefined && actor === patient);
  return {
    status: 200,
    body: {
      resourceType: 'Parameters',
      parameter: [
        { name: 'free', valueBoolean: answers.some(({ reasons }) => reasons.length === 0) },
        ...answers.flatMap((answer) => answer.reasons.map((reason) => asParameter(reason, answer, all(reason)))),
      ],
    },
    ...(patient === undefined ? {} : { resources: [patient] }),
  };
}
