/** What a command on the calendar is, and what all of them are made of. */
import type { Random } from '../../../src/demo/random.ts';
import type { Answer, Send } from '../../http/client.ts';
import { appointmentOf, entries, taking } from '../clinic.ts';
import {
  isInTwoPlaces,
  judge,
  occupies,
  type CalendarModel,
  type Change,
  type Channel,
  type Person,
  type Reply,
  type Status,
  type Verdict,
  type Visit,
} from './model.ts';
import type { CalendarWorld } from './world.ts';

export const OWN = 'https://kairos.example/fhir/StructureDefinition';
export const HALF_HOUR = 30 * 60_000;

export type Who = Person | 'staff';

export interface Command {
  readonly text: string;
  /** What the server may answer. */
  readonly verdicts: readonly Verdict[];
  send(): Promise<Answer | undefined>;
  /** What it changes when it is done. @returns the visits that are other than before */
  apply(answer: Answer | undefined): readonly Visit[];
}

export interface Context {
  readonly world: CalendarWorld;
  readonly model: CalendarModel;
  readonly random: Random;
}

export const PEOPLE = ['ann', 'bob', 'eve'] as const;
export const WHO = ['ann', 'bob', 'eve', 'staff', 'staff', 'staff'] as const;
export const iso = (ms: number): string => new Date(ms).toISOString();
export const clock = (ms: number): string => iso(ms).slice(11, 16);
export const channelOf = (who: Who): Channel => (who === 'staff' ? 'staff' : 'patient');
export const sender = ({ world }: Context, who: Who): Send => world.clinic[who];
export const described = (v: Visit): string =>
  `${v.offer.name} ${clock(v.start)} of ${v.patient ?? 'nobody'}, ${v.status}, ${v.id.slice(-6)}`;
export const all = (reply: Reply): Visit['replies'] => ({ patient: reply, others: reply, room: reply });

export const overrideExtension = { url: `${OWN}/override`, extension: [{ url: 'reason', valueString: 'it hurts' }] };
export const reasonParameter = { name: 'override-reason', valueString: 'it hurts' };
export const OF_HOLDS = ['hold-expires', 'hold-renewed', 'hold-expired', 'awaiting-approval'].map((n) => `${OWN}/${n}`);

export function anyVisit({ model, random }: Context, ...statuses: readonly Status[]): Visit | undefined {
  const list = [...model.visits.values()].filter((v) => statuses.length === 0 || statuses.includes(v.status));
  // What is over is of less interest.
  const live = list.filter((v) => occupies(v));
  const from = live.length > 0 && random.chance(0.75) ? live : list;
  return from.length > 0 ? random.pick(from as [Visit]) : undefined;
}

/** Whose it is not, does not learn of it. */
export const isForeign = (who: Who, { patient }: Visit): boolean => who !== 'staff' && patient !== who;

export function verdictsOf(
  { model }: Context,
  who: Who,
  before: Visit | undefined,
  after: Visit,
  change: Partial<Change> = {},
): readonly Verdict[] {
  const channel = channelOf(who);
  const verdict = judge(model, before, after, { channel, offeredOnly: false, ...change });
  const doubtful = channel === 'patient' && before?.status === 'pending' && isInTwoPlaces(model, before);
  return doubtful ? [...new Set([verdict, verdict === 'conflict' ? 'ok' : 'conflict'] as const)] : [verdict];
}

/** Whoever works with Slots, as staff does here, makes room for an appointment that names the Slot. */
export const ownHolds = ({ model }: Context, who: Who, { id, slot }: Visit): readonly Visit[] =>
  who !== 'staff' || slot === undefined
    ? []
    : [...model.visits.values()].filter((v) => v.ofSlot && v.status === 'pending' && v.slot === slot && v.id !== id);
export const ended = (visits: readonly Visit[]): readonly Visit[] =>
  visits.map((v) => ({ ...v, status: 'cancelled' as const }));

/** One visit becomes another. */
export function changing(
  context: Context,
  who: Who,
  before: Visit,
  after: Visit,
  text: string,
  send: () => Promise<Answer>,
  change: Partial<Change> = {},
): Command {
  return {
    text: `${who} ${text}: ${described(before)}`,
    verdicts: isForeign(who, before) ? ['denied'] : verdictsOf(context, who, before, after, change),
    send,
    apply: () => [after],
  };
}

export const said = (answer: Answer | undefined): string => {
  if (!answer) return '';
  const location = entries(answer)[0]?.['response']?.['location'];
  return location === undefined
    ? String(appointmentOf(answer)['id'])
    : (/Appointment\/([^/]+)/.exec(String(location))?.[1] ?? '');
};

/** The resource that a client would post. */
export function resourceOf(visit: Visit, status: string, more: object = {}): object {
  const { offer, start, end, patient, room, replies } = visit;
  return {
    resourceType: 'Appointment',
    status,
    start: iso(start),
    end: iso(end),
    participant: [
      ...(patient === undefined ? [] : [taking(`Patient/${patient}`, replies.patient)]),
      taking(`Practitioner/${offer.practitioner}`, replies.others),
      ...(room === undefined ? [] : [taking(`Location/${room}`, replies.room)]),
      taking(`HealthcareService/${offer.name}`, 'accepted', 'information-only'),
    ],
    ...more,
  };
}
