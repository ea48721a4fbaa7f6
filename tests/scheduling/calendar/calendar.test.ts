/**
 * The calendar against its model: random commands by every door, each of which the model has judged before the server does. In the end `$find` offers what
 * the model has free, every appointment says what the model says, and the database is well. Scheduling semantics D1 to D13.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seeded } from '../../../src/demo/random.ts';
import { checkInvariants } from '../../../src/compose-doctor.ts';
import type { Answer, Json } from '../../http/client.ts';
import type { Command, Context } from './command.ts';
import { COMMANDS } from './commands.ts';
import { job } from './slot.ts';
import { freeStarts, slotStatus, type CalendarModel, type Verdict, type Visit } from './model.ts';
import { OFFERS, openCalendar, openMorning, slotOf, VISIT, type CalendarWorld } from './world.ts';
import { done, entries, starts } from '../clinic.ts';

const LENGTH = 160;
/** One that is new each time; a failure names it. */
const SEEDS = ['1', '2', '3', '4', '5', '6', '7', String(Math.floor(Math.random() * 1e9))];

let world: CalendarWorld;
beforeAll(async () => void (world = await openCalendar()));
afterAll(() => world.clinic.close());

function verdictOf(answer: Answer | undefined): Verdict | string {
  const status = answer?.status ?? 200;
  if (status < 300) return 'ok';
  const verdicts: Readonly<Record<number, Verdict>> = { 409: 'conflict', 422: 'rule', 403: 'denied', 404: 'denied' };
  return verdicts[status] ?? String(status);
}

const clock = (ms: number): string => new Date(ms).toISOString().slice(11, 16);
const asOffered = (list: readonly number[]): string[] => list.map(clock);
const offered = async (morning: CalendarWorld, name: string, who: 'staff' | 'nobody'): Promise<string[]> =>
  (await starts(morning.clinic[who], morning.day, `service=HealthcareService/${name}`)).map((time) =>
    clock(Date.parse(`${morning.day}T${time}:00-05:00`)),
  );

/** An appointment in the words of the model. */
function summary(resource: Json): object {
  const participants = resource['participant'] as unknown as { actor: { reference: string }; status: string }[];
  const reply = (pattern: RegExp): string | undefined =>
    participants.find((p) => pattern.test(p.actor.reference))?.status;
  return {
    status: resource['status'],
    start: Date.parse(String(resource['start'])),
    end: Date.parse(String(resource['end'])),
    patient: participants.find((p) => p.actor.reference.startsWith('Patient/'))?.actor.reference,
    room: participants.find((p) => p.actor.reference.startsWith('Location/room'))?.actor.reference,
    replies: [reply(/^Patient/), reply(/^Practitioner/), reply(/^Location\/room/)],
    isHold: JSON.stringify(resource['extension'] ?? []).includes('hold-expires'),
    slots: ((resource['slot'] ?? []) as unknown as { reference: string }[]).map((s) => s.reference),
  };
}
const summaryOf = ({ status, start, end, patient, room, replies, hold, slot }: Visit): object => ({
  status,
  start,
  end,
  patient: patient && `Patient/${patient}`,
  room: room && `Location/${room}`,
  replies: [patient && replies.patient, replies.others, room && replies.room],
  isHold: hold !== undefined,
  slots: slot === undefined ? [] : [`Slot/${slotOf(slot)}`],
});

async function expectSame({ clinic }: CalendarWorld, visit: Visit, log: () => string): Promise<void> {
  const { body } = done(await clinic.staff('GET', `Appointment/${visit.id}`));
  expect(summary(body), log()).toEqual(summaryOf(visit));
}

async function expectFound(morning: CalendarWorld, model: CalendarModel, log: () => string): Promise<void> {
  for (const offer of OFFERS)
    for (const who of ['staff', 'nobody'] as const)
      expect([offer.name, ...(await offered(morning, offer.name, who))], log()).toEqual([
        offer.name,
        ...asOffered(freeStarts(model, offer)),
      ]);
}

/** A hold that a Slot was made has an id that only the calendar knows. */
async function named({ clinic }: CalendarWorld, visit: Visit): Promise<Visit> {
  if (visit.id !== '') return visit;
  const query = `Appointment?slot=Slot/${slotOf(visit.start)}&status=pending`;
  const [found] = entries(done(await clinic.staff('GET', query)));
  return { ...visit, id: String(found?.['resource']?.['id']) };
}

async function run(context: Context, command: Command, said: string[], log: () => string): Promise<Verdict | string> {
  const answer = await command.send();
  const verdict = verdictOf(answer);
  said.push(`${command.text} → ${verdict}`);
  expect(command.verdicts, `${log()}\n${answer?.text.slice(0, 600) ?? ''}`).toContain(verdict);
  if (verdict !== 'ok') return verdict;
  for (const each of command.apply(answer)) {
    const visit = await named(context.world, each);
    context.model.visits.set(visit.id, visit);
    await expectSame(context.world, visit, log);
  }
  return verdict;
}

const tally = new Map<string, number>();
test.each(SEEDS.map((seed, i) => [seed, 7 + 3 * i] as const))('seed %s', async (seed, ahead) => {
  const left = await world.clinic.sql(`select id from appointment where status = 'pending'`);
  for (const { id } of left) done(await world.clinic.staff('POST', `Appointment/${String(id)}/$cancel`));
  const morning = await openMorning(world, ahead);
  const random = seeded('calendar', seed);
  const model: CalendarModel = { visits: new Map(), blocks: [], starts: morning.starts };
  const context: Context = { world: morning, model, random };
  const bag = COMMANDS.flatMap(([times, make]) => Array.from({ length: times }, () => make));
  const said: string[] = [];
  const log = (): string => [`seed ${seed}`, ...said.slice(-40)].join('\n');
  for (let i = 0; i < LENGTH; i++) {
    const make = random.pick(bag as [(typeof bag)[number]]);
    const command = make(context);
    if (!command) continue;
    const verdict = await run(context, command, said, log);
    const key = `${make.name} ${verdict}`;
    tally.set(key, (tally.get(key) ?? 0) + 1);
    if (i % 20 === 19) await expectFound(morning, model, log);
  }
  await run(context, job(context), said, log);
  for (const visit of model.visits.values()) await expectSame(morning, visit, log);
  await expectFound(morning, model, log);
  for (const start of morning.starts) {
    const { body } = done(await morning.clinic.staff('GET', `Slot/${slotOf(start)}`));
    expect([clock(start), body['status']], log()).toEqual([clock(start), slotStatus(model, VISIT, start)]);
  }
  const wrong = (
    await checkInvariants(world.clinic.server.kairos.roles.app, world.clinic.server.kairos.processKeys.roots)
  ).filter((c) => c.found.length > 0);
  expect(wrong, log()).toEqual([]);
});

test('every command was done, and refused', () => {
  for (const [, make] of COMMANDS)
    expect([make.name, (tally.get(`${make.name} ok`) ?? 0) > 0]).toEqual([make.name, true]);
  for (const refused of [
    'take conflict',
    'take rule',
    'reschedule conflict',
    'write rule',
    'book conflict',
    'slot rule',
  ])
    expect([refused, (tally.get(refused) ?? 0) > 0]).toEqual([refused, true]);
});
