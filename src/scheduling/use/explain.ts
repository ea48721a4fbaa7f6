/** `$explain`: why a time is not free, rule by rule; who is there instead is nobody's business but staff's. @see https://hl7.org/fhir/R4/operations.html */
import type { ParametersParameter } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import type { OperationReply } from '../../fhir/operation.ts';
import type { OperationInput } from '../../fhir/operation-parameters.ts';
import { badRequest } from '../../fhir/outcome.ts';
import { actorOf } from '../actor.ts';
import { capsLeft } from '../caps.ts';
import { channelOf } from '../channel.ts';
import { blocksBetween, windowsBetween } from '../model/availability.ts';
import { DAY, MINUTE } from '../model/dates.ts';
import { explainStart, type Reason } from '../model/explain.ts';
import type { Calendar, Channel } from '../model/rules.ts';
import { bookable } from '../offered.ts';
import { freshDirectory } from '../fresh-directory.ts';
import type { SchedulingParts } from '../parts.ts';
import { ANYTHING, selectOffers, type Choice } from '../select.ts';
import { ofService, readState } from '../state.ts';
import { momentOf } from './moments.ts';
import { referencesIn } from './input.ts';

const NO_RULES = (zone: string): Calendar => ({
  zone,
  rules: [],
  overrides: [],
  holidays: [],
  notAvailable: [],
  weekStart: 'mon',
});

async function reasonsFor(
  parts: SchedulingParts,
  { offer }: Choice,
  start: number,
  channel: Channel,
  patient: string | undefined,
): Promise<readonly Reason[]> {
  const { engine } = parts;
  const { entry, parameters } = offer;
  const zone = entry.zone?.name ?? 'UTC';
  const patients = patient === undefined ? [] : [actorOf(patient)];
  const span = { start: start - DAY, end: start + DAY };
  const state = await readState(
    engine,
    [...entry.actors, ...patients].map((a) => a.key),
    [entry.reference],
    span,
  );
  const calendar = entry.calendar ?? NO_RULES(zone);
  const openings = ofService(state.openings.get(entry.reference), offer.serviceReference);
  const input = {
    calendar,
    windows: [
      ...windowsBetween(calendar, span.start, span.end, offer.serviceReference),
      ...openings.map(({ start: from, end: to, slot }) => ({
        start: from,
        end: to,
        breaks: [],
        zone,
        origin: { kind: 'opening' as const, id: slot },
      })),
    ],
    blocks: [
      ...blocksBetween(calendar, span.start, span.end, offer.serviceReference),
      ...ofService(state.blocks.get(entry.reference), offer.serviceReference),
    ],
    taken: [...state.taken.values()].flat(),
    actors: [...entry.actors, ...patients].map((a) => a.key),
    parameters,
    from: start,
    to: start + MINUTE,
    ...bookable(offer, channel, engine.clock.now()),
  };
  const reasons = [...explainStart(input, start)];
  if (!parameters.channels.includes(channel))
    reasons.push({
      rule: 'channel',
      text: `this service is not booked by ${channel === 'patient' ? 'patients' : 'staff'}`,
    });
  const left = await capsLeft(engine, [{ offer, start, rank: 0, pool: [] }], { also: patients });
  if (left.length === 0) reasons.push({ rule: 'cap', text: 'as many visits as allowed are booked in this period' });
  const names = new Map([...entry.actors, ...patients].map((a) => [a.key, a.reference]));
  return reasons.map((r) => (r.actor === undefined ? r : { ...r, actor: names.get(r.actor) ?? r.actor }));
}

function asParameter(
  reason: Reason,
  schedule: string,
  showAll: boolean,
  patient: string | undefined,
): ParametersParameter {
  const who = reason.actor === undefined || (!showAll && reason.actor !== patient) ? '' : `${reason.actor}: `;
  const hidden = showAll && reason.private !== undefined ? ` (${reason.private})` : '';
  return {
    name: 'reason',
    part: [
      { name: 'rule', valueCode: reason.rule },
      { name: 'text', valueString: `${who}${reason.text}${hidden}` },
      ...(reason.during
        ? [
            {
              name: 'period',
              valuePeriod: {
                start: new Date(Math.max(reason.during.start, -8.64e15)).toISOString(),
                end: new Date(Math.min(reason.during.end, 8.64e15)).toISOString(),
              },
            },
          ]
        : []),
      { name: 'schedule', valueReference: { reference: schedule } },
    ],
  };
}

export async function explain(
  parts: SchedulingParts,
  ctx: RequestContext,
  input: OperationInput,
): Promise<OperationReply> {
  const start = momentOf(input.text('start') ?? '', 'start');
  const end = input.text('end');
  const directory = await freshDirectory(parts);
  const [patient] = referencesIn(parts, input, 'patient-reference');
  if (patient !== undefined && !(await parts.engine.repository.existing([patient], ctx.access.to('read'))).has(patient))
    throw badRequest('not-found', 'The patient is not known here: name one you may book for.', 'patient-reference');
  const [location] = referencesIn(parts, input, 'location');
  const choices = selectOffers(directory, {
    ...ANYTHING,
    practitioners: referencesIn(parts, input, 'practitioner').map((p) => directory.resolve(p)),
    services: referencesIn(parts, input, 'service'),
    schedules: referencesIn(parts, input, 'schedule'),
    locations: location === undefined ? [] : [location],
  });
  if (choices.length === 0 || choices.length > 20)
    throw badRequest(
      choices.length === 0 ? 'not-found' : 'too-costly',
      choices.length === 0
        ? 'No Schedule is meant by this: name a practitioner, a service or a Schedule that there is.'
        : 'Too many Schedules are meant: name a practitioner or a Schedule.',
      'schedule',
    );
  const channel = channelOf(ctx.access.principal);
  const showAll = channel === 'staff';
  const length = end === undefined ? undefined : momentOf(end, 'end') - start;
  const all = await Promise.all(
    choices.map(async (choice) => {
      const reasons = await reasonsFor(parts, choice, start, channel, patient);
      const { duration } = choice.offer.parameters;
      const wrong: readonly Reason[] =
        length !== undefined && length !== duration * MINUTE
          ? [{ rule: 'too-long', text: `a visit of this service lasts ${duration} minutes` }]
          : [];
      return { choice, reasons: [...reasons, ...wrong] };
    }),
  );
  return {
    status: 200,
    body: {
      resourceType: 'Parameters',
      parameter: [
        { name: 'free', valueBoolean: all.some(({ reasons }) => reasons.length === 0) },
        ...all.flatMap(({ choice, reasons }) =>
          reasons.map((r) => asParameter(r, choice.offer.entry.reference, showAll, patient)),
        ),
      ],
    },
  };
}
