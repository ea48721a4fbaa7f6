/** One of those who fight for times: takes, holds, moves and lets go at random, and writes down what it saw. @see https://hl7.org/fhir/R4/appointment.html */
import {
  booking,
  confirming,
  holding,
  leaving,
  moving,
  releasing,
  replacing,
  replying,
  several,
  type Stored,
} from './doors.ts';
import type { Claim, History, Span } from './history.ts';
import type { Person } from './people.ts';
import { outcomeOf, type Outcome, type Tally } from './tally.ts';
import type { Got, Sent, Wire } from './wire.ts';
import type { Time } from './world.ts';

/** A time that this client has, as far as it knows. */
interface Mine {
  readonly id: string;
  readonly time: Time;
  readonly held: boolean;
  /** When a hold runs out. */
  readonly expires: number;
  readonly claims: readonly Claim[];
}

export interface Arena {
  readonly times: readonly Time[];
  /** Ids of proposals, by the Slot's. */
  readonly proposals: ReadonlyMap<string, string>;
}

export interface ClientParts {
  readonly wire: Wire;
  readonly ports: readonly number[];
  readonly history: History;
  readonly tally: Tally;
  /** In `[0, 1)`. */
  readonly random: () => number;
}

export const nowMs = (): number => performance.timeOrigin + performance.now();

const HOLD_MS = 300_000;
const MOST = 3;

interface Answered {
  readonly outcome: Outcome;
  readonly got: Got | undefined;
  readonly sent: number;
  readonly answered: number;
}

interface Bundled {
  readonly entry?: readonly {
    readonly resource?: { readonly id?: string };
    readonly response?: { readonly status?: string; readonly location?: string; readonly outcome?: object };
  }[];
  readonly id?: string;
  /** Of an appointment. */
  readonly status?: string;
}

const parse = (got: Got | undefined): Bundled => JSON.parse(got?.text === '' ? '{}' : (got?.text ?? '{}')) as Bundled;

/** The first sentence of an OperationOutcome. */
export const saidIn = (got: Got | undefined): string =>
  /"diagnostics":"([^"]{1,120})/.exec(got?.text ?? '')?.[1] ?? 'nothing';

/** The id that a reply gives to what was made. */
export function idIn(got: Got | undefined): string {
  const { id, entry } = parse(got);
  const [first] = entry ?? [];
  return id ?? first?.resource?.id ?? /Appointment\/([^/]+)/.exec(first?.response?.location ?? '')?.[1] ?? '';
}

export function createStormClient(n: number, who: Person, { wire, ports, history, tally, random }: ClientParts) {
  let mine: Mine[] = [];
  const abandoned: string[] = [];
  const pick = <T>(list: readonly T[]): T => {
    const found = list[Math.floor(random() * list.length)];
    if (found === undefined) throw new Error('nothing to pick from');
    return found;
  };
  const pickDoor = <T extends object>(doors: T): readonly [string, T[keyof T]] =>
    pick(Object.entries(doors) as [string, T[keyof T]][]);

  const send = (sent: Sent): Promise<Got | undefined> => wire.send(pick(ports), sent, who.token);

  const statusOf = (response: { readonly status?: string; readonly outcome?: object }): Outcome =>
    outcomeOf(Number(response.status?.slice(0, 3)), JSON.stringify(response.outcome ?? ''));

  /** @param entries it is a batch, which is answered with 200 whatever becomes of its entries: the outcome is that of the first one */
  const attempt = async (door: string, sent: Sent, entries = false): Promise<Answered> => {
    const began = nowMs();
    const got = await send(sent);
    const answered = nowMs();
    const [entry] = entries ? (parse(got).entry ?? []) : [];
    const outcome = entry?.response ? statusOf(entry.response) : outcomeOf(got?.status, got?.text ?? '');
    tally.count(door, outcome, got, answered - began);
    return { outcome, got, sent: began, answered };
  };

  /** The practitioner's time, and the patient's where nobody may put a patient into two places. */
  const spansOf = (time: Time): Span[] => [
    { actor: time.practitioner, start: time.start, end: time.until, capacity: time.capacity },
    ...(who.channel === 'patient' ? [{ actor: who.patient, start: time.start, end: time.end, capacity: 1 }] : []),
  ];
  const claim = (time: Time, sent: number, answered: number | undefined, expires?: number): Claim[] =>
    spansOf(time).map((span) => history.won(n, span, sent, answered, expires));
  const letGo = ({ claims }: Mine, sent: number, answered: number | undefined): void => {
    for (const each of claims) history.let(each, sent, answered);
  };
  const refuse = (times: readonly Time[], { sent, answered, got }: Answered): void =>
    history.refused({ client: n, spans: times.flatMap(spansOf), from: sent, to: answered, said: saidIn(got) });

  const add = (id: string, time: Time, claims: readonly Claim[], expires = Infinity): void => {
    mine.push({ id, time, claims, held: expires < Infinity, expires });
  };
  const drop = (one: Mine): void => void (mine = mine.filter((m) => m !== one));

  /** A request for a time that is all or nothing. */
  const take = async (door: string, sent: Sent, time: Time, expires?: number): Promise<void> => {
    const done = await attempt(door, sent, door.endsWith('batch'));
    if (done.outcome === 'won') add(idIn(done.got), time, claim(time, done.sent, done.answered, expires), expires);
    else if (done.outcome === 'lost') refuse([time], done);
    else if (done.outcome === 'unknown' || done.outcome === 'broken') claim(time, done.sent, undefined, expires);
  };

  const book = async ({ times, proposals }: Arena): Promise<void> => {
    const time = pick(times);
    const [door, of] = pickDoor(booking);
    const sent = of(time, who, proposals.get(time.slot) ?? '');
    return take(door, sent, time);
  };

  const hold = async ({ times, proposals }: Arena): Promise<void> => {
    const time = pick(times);
    const [door, of] = pickDoor(holding);
    const abandons = door === 'POST pending' && random() < 0.3;
    const expires = nowMs() + (abandons ? 1_000 + random() * 1_000 : HOLD_MS);
    await take(door, of(time, who, proposals.get(time.slot) ?? '', expires), time, expires);
    if (!abandons) return;
    // Nobody lets it go: it runs out.
    for (const one of mine.filter((m) => m.expires === expires)) {
      abandoned.push(one.id);
      drop(one);
    }
  };

  const bookSeveral = async ({ times }: Arena): Promise<void> => {
    const type = random() < 0.5 ? 'batch' : 'transaction';
    const [a, b] = [pick(times), pick(times)];
    // Two that are in each other's way prove nothing.
    if (a.start < b.until && b.start < a.until) return;
    const done = await attempt(`two POSTs in a ${type}`, several(type, [a, b], who));
    const { entry = [] } = parse(done.got);
    if (done.outcome === 'lost') return refuse([a, b], done);
    if (done.outcome === 'unknown' || done.outcome === 'broken') {
      for (const time of [a, b]) claim(time, done.sent, undefined);
      return;
    }
    if (done.outcome !== 'won') return;
    [a, b].forEach((time, i) => {
      const response = entry[i]?.response ?? {};
      const outcome = statusOf(response);
      const id = /Appointment\/([^/]+)/.exec(response.location ?? '')?.[1] ?? '';
      if (outcome === 'won') add(id, time, claim(time, done.sent, done.answered));
      else if (outcome === 'lost') refuse([time], done);
      else if (outcome !== 'rule') tally.count(`entry of a ${type}`, outcome, done.got, 0);
    });
  };

  const read = async ({ id }: Mine): Promise<Stored> => {
    const got = await send({ method: 'GET', path: `Appointment/${id}` });
    return { id, resource: parse(got) as Stored['resource'], etag: got?.header('etag') };
  };

  const leave = async (one: Mine): Promise<void> => {
    const stored = await read(one);
    const all: Readonly<Record<string, (of: Stored) => Sent>> = {
      ...leaving,
      ...(one.held ? { $release: releasing } : {}),
      ...(who.channel === 'patient'
        ? { 'AppointmentResponse declined': (of: Stored) => replying(of, who, 'declined') }
        : {}),
    };
    const [door, of] = pickDoor(all);
    const done = await attempt(door, of(stored));
    drop(one);
    if (done.outcome === 'won') letGo(one, done.sent, done.answered);
    else letGo(one, done.sent, undefined);
  };

  const confirm = async (one: Mine): Promise<void> => {
    const stored = await read(one);
    const all: Readonly<Record<string, (of: Stored) => Sent>> = {
      ...confirming,
      // Whoever else is needed has accepted already where the patient wrote the hold.
      ...(who.channel === 'patient' && JSON.stringify(stored.resource).split('"tentative"').length === 2
        ? { 'AppointmentResponse accepted': (of: Stored) => replying(of, who, 'accepted') }
        : {}),
    };
    const [door, of] = pickDoor(all);
    const done = await attempt(door, of(stored));
    drop(one);
    letGo(one, done.sent, done.outcome === 'won' ? done.answered : undefined);
    if (done.outcome === 'won') {
      const { status } = parse(done.got);
      if (status !== undefined && status !== 'booked')
        tally.count(`${door}, but ${status}`, 'odd', done.got, done.answered - done.sent);
      add(one.id, one.time, claim(one.time, done.sent, done.answered));
    } else if (done.outcome !== 'lost' && done.outcome !== 'rule') claim(one.time, done.sent, undefined);
  };

  const otherTimes = (one: Mine, { times }: Arena): Time[] =>
    times.filter((t) => t.practitioner === one.time.practitioner && t.start !== one.time.start);

  const move = async (one: Mine, arena: Arena): Promise<void> => {
    const others = otherTimes(one, arena);
    if (others.length === 0) return leave(one);
    const to = pick(others);
    const stored = await read(one);
    const replaces = random() < 0.25;
    const [door, sent] = replaces
      ? ((): readonly [string, Sent] => {
          const [name, of] = pickDoor(replacing);
          return [name, of(stored, to, who)];
        })()
      : ((): readonly [string, Sent] => {
          const [name, of] = pickDoor(moving);
          return [name, of(stored, to)];
        })();
    const done = await attempt(door, sent);
    if (done.outcome === 'lost') return refuse([to], done);
    if (done.outcome === 'rule' || done.outcome === 'raced') return;
    drop(one);
    if (done.outcome !== 'won') {
      letGo(one, done.sent, undefined);
      claim(to, done.sent, undefined);
      return;
    }
    letGo(one, done.sent, done.answered);
    add(replaces ? idIn(done.got) : one.id, to, claim(to, done.sent, done.answered));
  };

  /** Two requests for the same appointment at once; what it is then is read. */
  const duel = async (one: Mine, arena: Arena): Promise<void> => {
    const others = otherTimes(one, arena);
    if (others.length === 0) return leave(one);
    const stored = await read(one);
    const to = pick(others);
    const [moveDoor, moves] = pickDoor(moving);
    const [leaveDoor, leaves] = pickDoor(leaving);
    const sent = nowMs();
    const [moved] = await Promise.all([
      attempt(`${moveDoor}, in a duel`, moves(stored, to)),
      attempt(`${leaveDoor}, in a duel`, leaves(stored)),
    ]);
    const after = await read(one);
    const answered = nowMs();
    drop(one);
    letGo(one, sent, answered);
    // Nobody knows when it was there.
    if (moved.outcome === 'won') for (const each of claim(to, sent, undefined)) history.let(each, sent, answered);
    if (after.resource['status'] !== 'booked') return;
    const time = Date.parse(String(after.resource['start'])) === to.start ? to : one.time;
    add(one.id, time, claim(time, answered, answered));
  };

  return {
    /** One thing at a time. */
    async step(arena: Arena): Promise<void> {
      const r = random();
      if (mine.length === 0 || (mine.length < MOST && r < 0.5)) {
        const kind = random();
        if (kind < 0.7) return book(arena);
        return kind < 0.85 ? hold(arena) : bookSeveral(arena);
      }
      const one = pick(mine);
      if (one.held) return random() < 0.6 ? confirm(one) : leave(one);
      const what = random();
      if (what < 0.45) return move(one, arena);
      return what < 0.9 ? leave(one) : duel(one, arena);
    },
    /** Books one time, whatever it has. @returns whether it was won */
    async dash(time: Time, { proposals }: Arena): Promise<Outcome> {
      const [door, of] = pickDoor(booking);
      const done = await attempt(door, of(time, who, proposals.get(time.slot) ?? ''), door.endsWith('batch'));
      if (done.outcome === 'won') claim(time, done.sent, done.answered);
      else if (done.outcome === 'lost') refuse([time], done);
      return done.outcome;
    },
    /** Forgets what it has; it stays booked. */
    forget(): void {
      mine = [];
    },
    /** Lets go what has run out, as a job of the server does. */
    async sweep(): Promise<void> {
      for (const id of abandoned.splice(0)) await send(releasing({ id }));
    },
  };
}
