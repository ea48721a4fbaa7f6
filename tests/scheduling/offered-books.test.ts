/**
 * What `$find` offers can be booked: in clinics made by chance, in which visits, holds, time off and openings lie about, every start that is offered books at
 * that moment, by whatever door; and when it is cancelled, everything is offered that was offered before.
 * https://profiles.ihe.net/ITI/Scheduling/ITI-115.html
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seeded, type Random } from '../../src/demo/random.ts';
import { checkInvariants } from '../../src/compose-doctor.ts';
import type { Answer, Json, Send } from '../http/client.ts';
import {
  appointmentOf,
  bookProposal,
  bundle,
  done,
  entries,
  find,
  found,
  idOf,
  openClinic,
  params,
  put,
  referring,
  said,
  statusOf,
  taking,
  type Clinic,
} from './clinic.ts';
import { anyInstant, randomClinic, randomSlots, type RandomClinic } from './random-clinics.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';
/** One that is new each time; a failure names it. */
const SEEDS = ['1', '2', '3', '4', '5', '6', '7', '8', '9', String(Math.floor(Math.random() * 1e9))];

const clock = { at: Date.now(), now: (): number => clock.at };
let world: Clinic;
beforeAll(async () => {
  world = await openClinic({ clock });
  await put(world.system, { resourceType: 'Patient', id: 'holder', name: [{ family: 'holder' }], gender: 'unknown' });
});
afterAll(() => world.close());

const patients = ['ann', 'bob', 'eve'] as const;
type Who = (typeof patients)[number] | 'staff';
const iso = (at: unknown): string => new Date(at as string | number).toISOString();

async function open(seed: string, random: Random): Promise<RandomClinic> {
  for (let n = 0; ; n++) {
    try {
      return await randomClinic(random, `c${seed}-${n}`, (resource) => put(world.system, resource));
    } catch (error) {
      // Chance makes rules that contradict themselves, and these are refused.
      if (n > 20 || !String(error).includes(' 422 ')) throw error;
    }
  }
}

/** Visits and holds that are there already, some of them where nothing is offered, some over others, some run out by the clock of the database. */
async function populate(random: Random, clinic: RandomClinic): Promise<number> {
  let there = 0;
  for (let i = 0; i < 24; i++) {
    const start = anyInstant(random, clinic);
    const isHold = random.chance(0.25);
    const expires = {
      url: `${OWN}/hold-expires`,
      valueInstant: iso(random.pick([Date.now() - 3_600_000, clock.at + 540_000])),
    };
    const override = { url: `${OWN}/override`, extension: [{ url: 'reason', valueString: 'because' }] };
    const extension = [...(isHold ? [expires] : []), ...(random.chance(0.2) ? [override] : [])];
    const answer = await world.staff('POST', 'Appointment', {
      resourceType: 'Appointment',
      status: isHold ? 'pending' : 'booked',
      ...(extension.length > 0 ? { extension } : {}),
      start: iso(start),
      end: iso(start + random.int(1, 5) * 900_000),
      participant: [
        // Whoever holds two times already cannot hold another.
        taking(`Patient/${isHold ? 'holder' : random.pick(patients)}`),
        taking(random.pick(clinic.practitioners as [string])),
        ...(random.chance(0.3) ? [taking(random.pick(clinic.rooms as [string]))] : []),
        taking(random.pick(clinic.services as [string]), 'accepted', 'information-only'),
      ],
    });
    expect([201, 409, 422], answer.text).toContain(answer.status);
    if (answer.status === 201) there++;
  }
  return there;
}

interface Query {
  readonly who: Who;
  readonly patient: (typeof patients)[number];
  readonly text: string;
  readonly room: string | undefined;
}

function queriesOf(random: Random, { services, practitioners, rooms, days }: RandomClinic): readonly Query[] {
  const span = `start=${days[0]}&end=${days[2]}&_count=1000`;
  const any = services.map((s) => `service=${s}`).join('&');
  const who = practitioners.map((p) => `practitioner=${p}`).join('&');
  return ([random.pick(patients), 'staff'] as const).flatMap((of) => {
    const patient = of === 'staff' ? random.pick(patients) : of;
    const query = (text: string, room?: string): Query => ({
      who: of,
      patient,
      text: `${span}&${text}&patient-reference=Patient/${patient}`,
      room,
    });
    return [query(any), query(who), ...rooms.map((room) => query(`${any}&location-reference=${room}`, room))];
  });
}

const offered = async ({ who, text }: Query): Promise<readonly Json[]> => found(done(await find(world[who], text)));
const keysOf = (proposals: readonly Json[]): readonly string[] => proposals.map((p) => String(p['id']));

type Door = (send: Send, query: Query, proposal: Json) => Promise<Answer>;
const forPatient = ({ who, patient }: Query): readonly object[] =>
  who === 'staff' ? [referring('patient-reference', `Patient/${patient}`)] : [];
const reference = (proposal: Json): object =>
  referring('appointment-reference', `Appointment/${String(proposal['id'])}`);

/** The proposal as a client would post it, as its service has it. */
function posted({ patient, who }: Query, proposal: Json, mode: string): object {
  const {
    id: _,
    participant,
    ...rest
  } = proposal as unknown as {
    id: string;
    participant: { required: string; actor: { reference: string } }[];
  };
  const status = who === 'staff' ? 'booked' : mode;
  const reply = status === 'booked' ? 'accepted' : 'needs-action';
  // A proposal that was asked for with the patient names them already.
  const clinics = participant.filter((p) => p.actor.reference !== `Patient/${patient}`);
  const others = clinics.map((p) => (p.required === 'required' ? { ...p, status: reply } : p));
  return { ...rest, status, participant: [taking(`Patient/${patient}`), ...others] };
}

const byId: Door = (send, query, proposal) => bookProposal(send, String(proposal['id']), ...forPatient(query));
const DOORS: Readonly<Record<string, Door>> = {
  byId,
  held: async (send, query, proposal) => {
    const held = await send('POST', 'Appointment/$hold', params(reference(proposal), ...forPatient(query)));
    // What only becomes an entry of the waitlist is not held.
    if (said(held).includes('send the appointment as waitlist')) return byId(send, query, proposal);
    return held.status === 200 && statusOf(held) === 'pending' ? bookProposal(send, idOf(held)) : held;
  },
  resource: (send, query, proposal) => {
    const { id: _, ...resource } = proposal as unknown as Record<string, unknown>;
    const person = referring('patient-reference', `Patient/${query.patient}`);
    return send('POST', 'Appointment/$book', params({ name: 'appointment-resource', resource }, person));
  },
};
/** These need to know what patients make of the service, and name the room that it needs. */
const POSTED: Readonly<Record<string, (send: Send, resource: object) => Promise<Answer>>> = {
  posted: (send, resource) => send('POST', 'Appointment', resource),
  bundled: (send, resource) =>
    send('POST', '', bundle('transaction', { request: { method: 'POST', url: 'Appointment' }, resource })),
};

interface ServiceFacts {
  readonly mode: string;
  readonly pooled: boolean;
}

/** What the service of a proposal says. */
async function factsOf(proposal: Json): Promise<ServiceFacts> {
  const name = (proposal['participant'] as unknown as { actor: { reference: string } }[])
    .map((p) => p.actor.reference)
    .find((r) => r.startsWith('HealthcareService/'));
  const parts = (done(await world.system('GET', name ?? '')).body['extension']?.[0]?.['extension'] ??
    []) as unknown as Json[];
  return {
    mode: String(parts.find((e) => String(e['url']) === 'mode')?.['valueCode'] ?? 'booked'),
    pooled: parts.some((e) => String(e['url']) === 'resource'),
  };
}

/** Books by a door of chance. @returns the appointment */
async function take(random: Random, query: Query, proposal: Json): Promise<Json> {
  const send = world[query.who];
  const { mode, pooled } = await factsOf(proposal);
  const name = random.pick([
    ...(Object.keys(DOORS) as ['byId']),
    ...(!pooled || query.room !== undefined ? (Object.keys(POSTED) as ['posted']) : []),
  ] as [string]);
  const answer = await (DOORS[name]?.(send, query, proposal) ??
    POSTED[name]?.(send, posted(query, proposal, mode)) ??
    byId(send, query, proposal));
  expect(
    answer.status < 300 ? '' : said(answer),
    `${name} by ${query.who}: ${query.text} ${JSON.stringify(proposal)}`,
  ).toBe('');
  const location = entries(answer)[0]?.['response']?.['location'];
  const id = name === 'bundled' ? /Appointment\/([^/]+)/.exec(String(location))?.[1] : idOf(answer);
  const made =
    name === 'bundled' ? done(await world.staff('GET', `Appointment/${id ?? ''}`)).body : appointmentOf(answer);
  expect([iso(String(made['start'])), iso(String(made['end']))]).toEqual([
    iso(String(proposal['start'])),
    iso(String(proposal['end'])),
  ]);
  // What the operations make is not looked at again before it is written.
  const faults = world.server.engine.validator.validate(made).filter((i) => i.severity === 'error');
  expect(faults, JSON.stringify(made)).toEqual([]);
  if (query.room !== undefined) expect(JSON.stringify(made['participant'])).toContain(query.room);
  return made;
}

let [booked, taken] = [0, 0];
test.each(SEEDS)('clinic %s', { timeout: 60_000 }, async (seed) => {
  const random = seeded('offered', seed);
  clock.at = Date.now();
  const clinic = await open(seed, random);
  clock.at = clinic.now;
  await randomSlots(random, clinic, world.system);
  taken += await populate(random, clinic);
  const queries = queriesOf(random, clinic);
  const before = await Promise.all(queries.map(offered));
  for (const [i, query] of queries.entries()) {
    for (const proposal of random.shuffle(before[i] ?? []).slice(0, query.room === undefined ? 8 : 3)) {
      const made = await take(random, query, proposal);
      booked++;
      const cancelled = await world.staff('POST', `Appointment/${String(made['id'])}/$cancel`);
      expect(cancelled.status, cancelled.text).toBe(200);
    }
  }
  // Cancelled, it is as it was.
  for (const [i, query] of queries.entries()) expect(keysOf(await offered(query))).toEqual(keysOf(before[i] ?? []));
  // And so it goes on while the days fill up.
  for (let i = 0; i < 14; i++) {
    const query = random.pick(queries as readonly [Query]);
    const proposals = await offered(query);
    if (proposals.length === 0) continue;
    await take(random, query, random.pick(proposals as readonly [Json]));
    booked++;
  }
  const wrong = (await checkInvariants(world.server.kairos.roles.app, world.server.kairos.processKeys.roots)).filter(
    (c) => c.found.length > 0,
  );
  expect(wrong).toEqual([]);
  // The next clinic has another clock.
  const live = await world.sql(`select id from appointment where status in ('pending', 'booked')`);
  for (const { id } of live) done(await world.staff('POST', `Appointment/${String(id)}/$cancel`));
});

test('there was something to book, and something in the way', () => {
  expect([booked > 200, taken > 100]).toEqual([true, true]);
});
