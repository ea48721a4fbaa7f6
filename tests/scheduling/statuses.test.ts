/**
 * No way through the statuses but those of the specification: every pair of them, for staff and for patients, by PUT, PATCH, transaction and the operations.
 * What is refused is 422 `business-rule`, and names the ways that there are. Scheduling semantics D1, https://hl7.org/fhir/R4/valueset-appointmentstatus.html
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Answer, Json } from '../http/client.ts';
import {
  bundle,
  done,
  later,
  minutes,
  openClinic,
  params,
  put,
  schedule,
  service,
  taking,
  times,
  visit,
  type Clinic,
} from './clinic.ts';

const OWN = 'https://kairos.example/fhir/StructureDefinition';
const STATUSES = [
  'proposed',
  'pending',
  'booked',
  'arrived',
  'checked-in',
  'fulfilled',
  'cancelled',
  'noshow',
  'entered-in-error',
  'waitlist',
] as const;
type Status = (typeof STATUSES)[number];
/** A hold is a pending appointment with an end; one that has run out is cancelled, by the clock. */
const FROM = ['new', ...STATUSES, 'hold', 'expired'] as const;
type From = (typeof FROM)[number];

// As the specification has it. p: patients as well, u: a step back, within 24 hours; d: that on the same day; b: once the visit has begun; f: no front desk; w: patients in their window.
const SPECIFIED: Readonly<Record<From, string>> = {
  new: 'proposed:p pending:p booked:p waitlist:p arrived',
  proposed: 'pending:p booked:p waitlist cancelled:p',
  waitlist: 'proposed pending booked cancelled:p',
  pending: 'booked cancelled:p waitlist',
  hold: 'booked:p cancelled:p waitlist',
  booked: 'arrived checked-in checked-in:w noshow:b cancelled:p fulfilled:f',
  arrived: 'checked-in fulfilled cancelled booked:u noshow:b',
  'checked-in': 'fulfilled arrived:u cancelled',
  fulfilled: 'entered-in-error checked-in:u',
  noshow: 'booked:d arrived:d entered-in-error',
  cancelled: 'entered-in-error booked:u',
  expired: 'entered-in-error booked:u',
  'entered-in-error': '',
};
/** What is over is written about by staff only. */
const OVER: ReadonlySet<From> = new Set<From>(['fulfilled', 'cancelled', 'expired', 'noshow', 'entered-in-error']);

type Who = 'ann' | 'staff';
interface Circumstances {
  readonly noFrontDesk?: boolean;
  /** It is the day of the visit, and the time at which patients check in. */
  readonly onTheDay?: boolean;
  /** It is the time of the visit. */
  readonly begun?: boolean;
  /** More than a day has gone by. */
  readonly late?: boolean;
}

/** Where somebody may go, by the specification. */
function legal(from: From, who: Who, { noFrontDesk, onTheDay, begun, late }: Circumstances): readonly string[] {
  const found = SPECIFIED[from].split(' ').filter((step) => {
    const mark = step.split(':')[1];
    if (step === '') return false;
    if (mark === 'w') return who === 'ann' && onTheDay === true;
    if (who === 'ann') return mark === 'p';
    if (mark === 'u') return late !== true;
    if (mark === 'b') return begun === true;
    if (mark === 'd') return late !== true && (onTheDay ?? begun) === true;
    return mark !== 'f' || noFrontDesk === true;
  });
  return [...new Set(found.map((step) => step.split(':')[0] ?? ''))].sort();
}

let clinic: Clinic;
beforeAll(async () => {
  clinic = await openClinic();
  const far = { url: 'horizon', extension: [{ url: 'days', valuePositiveInt: 300 }] };
  for (const [id, ...more] of [
    ['visit'],
    ['asked', { url: 'mode', valueCode: 'pending' }],
    ['open', { url: 'noFrontDesk', valueBoolean: true }, { url: 'selfCheckIn', ...minutes(30) }],
  ] as const)
    await put(clinic.system, service(id, far, ...more));
  const actor = [
    'Practitioner/grey',
    'Location/site',
    'HealthcareService/visit',
    'HealthcareService/asked',
    'HealthcareService/open',
  ].map((reference) => ({ reference }));
  await put(clinic.system, schedule('grey', 'grey', { actor }));
});
afterAll(() => clinic.close());
afterEach(() => void (clinic.clock.ahead = 0));
const next = times(7);

function body(from: From, service: string, start: string): object {
  const isHold = from === 'hold' || from === 'expired';
  const status = from === 'hold' ? 'pending' : from === 'expired' ? 'cancelled' : from;
  const extension = [
    { url: `${OWN}/hold-expires`, valueInstant: later(new Date(clinic.clock.now()).toISOString(), 5) },
    ...(from === 'expired' ? [{ url: `${OWN}/hold-expired`, valueBoolean: true }] : []),
  ];
  return visit({ start, service }, { status, ...(isHold ? { extension } : {}) });
}
/** An appointment that has come to a status elsewhere. */
const bring = async (from: From, service = 'visit', start = next()): Promise<Json> =>
  done(await clinic.system('POST', 'Appointment', body(from, service, start))).body;

/** The resource with another status, and without what goes with the old one. */
function as({ body: now }: Answer, to: Status): object {
  const {
    extension,
    cancelationReason: _,
    ...rest
  } = now as unknown as { extension?: { url: string }[]; cancelationReason?: object };
  const kept = (extension ?? []).filter((e) => !/hold-|awaiting/.test(e.url));
  const isEnd = to === 'cancelled' || to === 'entered-in-error' || to === (now as unknown as { status: Status }).status;
  const left = isEnd ? extension : kept;
  return { ...rest, status: to, ...(left && left.length > 0 ? { extension: left } : {}) };
}

type Door = (who: Who, id: string, to: Status) => Promise<Answer>;
const get = (id: string): Promise<Answer> => clinic.staff('GET', `Appointment/${id}`);
const DOORS: Readonly<Record<string, Door>> = {
  PUT: async (who, id, to) => clinic[who]('PUT', `Appointment/${id}`, as(await get(id), to)),
  PATCH: async (who, id, to) => {
    const now = as(await get(id), to) as { extension?: object };
    const { extension } = (await get(id)).body;
    const ends = now.extension === undefined && extension !== undefined ? [{ op: 'remove', path: '/extension' }] : [];
    return clinic[who]('PATCH', `Appointment/${id}`, [{ op: 'replace', path: '/status', value: to }, ...ends]);
  },
  transaction: async (who, id, to) => {
    const entry = { request: { method: 'PUT', url: `Appointment/${id}` }, resource: as(await get(id), to) };
    return clinic[who]('POST', '', bundle('transaction', entry));
  },
};

/** A refusal names the ways that there are: those, and no others. */
function expectRefused(answer: Answer, ways: readonly string[], what: string): void {
  const [issue] = answer.body['issue'] as unknown as { code: string; diagnostics: string }[];
  expect([answer.status, issue?.code], `${what}: ${answer.text}`).toEqual([422, 'business-rule']);
  const said =
    /it may become ([^.]*)\./
      .exec(issue?.diagnostics ?? '')?.[1]
      ?.split(', ')
      .sort() ?? [];
  expect(said, `${what}: ${issue?.diagnostics ?? ''}`).toEqual(ways);
}

/** Of a service that has it so: patients ask for it where they may only ask. */
const serviceFor = (who: Who, to: Status): string => (who === 'ann' && to === 'pending' ? 'asked' : 'visit');

const beginning = (start: string): void => void (clinic.clock.ahead = Date.parse(start) - Date.now());

/** Patients hold two times at most. */
async function letGo(id: string): Promise<void> {
  if (((await get(id)).body['status'] as unknown) === 'pending')
    done(await clinic.staff('POST', `Appointment/${id}/$cancel`));
}

async function walk(
  from: Exclude<From, 'new'>,
  who: Who,
  door: string,
  facts: Circumstances,
  service?: string,
): Promise<number> {
  const ways = legal(from, who, facts);
  const self = from === 'hold' ? 'pending' : from === 'expired' ? 'cancelled' : from;
  const stands = new Map<string, Json>();
  let ok = 0;
  for (const to of STATUSES) {
    const of = service ?? serviceFor(who, to);
    const isThen = facts.onTheDay ?? facts.begun ?? false;
    const known = isThen ? undefined : stands.get(of);
    const start = known ? '' : next();
    if (facts.onTheDay) clinic.clock.ahead = Date.parse(start) - 10 * 60_000 - Date.now();
    if (facts.begun) beginning(start);
    const before = known ?? (await bring(from, of, start));
    stands.set(of, before);
    const id = String(before['id']);
    if (facts.late) clinic.clock.ahead = 25 * 3_600_000;
    const answer = await DOORS[door]?.(who, id, to);
    clinic.clock.ahead = 0;
    if (!answer) throw new Error(door);
    const what = `${who} takes ${from} to ${to} by ${door}`;
    const mayWrite = to === self && (who === 'staff' || !OVER.has(from));
    // Held or expired, patients win it again; staff take it back.
    const isWon = from === 'expired' && (to === 'booked' || to === 'pending') && who === 'ann';
    if (!ways.includes(to) && !mayWrite && !isWon) {
      expectRefused(answer, ways, what);
      expect((await get(id)).body).toEqual(before);
      continue;
    }
    expect(answer.status, `${what}: ${answer.text}`).toBe(200);
    expect((await get(id)).body['status'], what).toBe(to);
    stands.delete(of);
    await letGo(id);
    ok++;
  }
  for (const { id } of stands.values()) await letGo(String(id));
  return ok;
}

describe.each(['ann', 'staff'] as const)('%s', (who) => {
  test.each(Object.keys(DOORS))('every pair by %s', async (door) => {
    let ok = 0;
    for (const from of FROM) if (from !== 'new') ok += await walk(from, who, door, {});
    expect(ok).toBeGreaterThan(who === 'staff' ? 30 : 10);
  });

  test('what is new', async () => {
    for (const to of STATUSES) {
      const start = next();
      const participant = [
        taking('Patient/ann'),
        taking('Practitioner/grey', to === 'pending' || to === 'proposed' ? 'needs-action' : 'accepted'),
        taking(`HealthcareService/${serviceFor(who, to)}`, 'accepted', 'information-only'),
      ];
      const answer = await clinic[who]('POST', 'Appointment', { ...body(to, 'visit', start), participant });
      const ways = legal('new', who, {});
      if (ways.includes(to)) expect([to, answer.status], answer.text).toEqual([to, 201]);
      else expectRefused(answer, ways, `${who}: a new one that is ${to}`);
    }
  });

  test('on the day, at the time to check in, without a front desk', async () => {
    for (const from of ['booked', 'noshow', 'arrived'] as const)
      await walk(from, who, 'PUT', { onTheDay: true, noFrontDesk: true }, 'open');
  });

  test('once the visit has begun', async () => {
    if (who === 'staff')
      for (const from of ['booked', 'arrived'] as const) await walk(from, who, 'PUT', { begun: true });
  });

  test('more than a day later', async () => {
    for (const from of ['arrived', 'checked-in', 'fulfilled', 'noshow', 'cancelled'] as const)
      await walk(from, who, 'PATCH', { late: true });
  });
});

// What becomes of an appointment by each operation: nothing where it is not named. =: it stays as it is.
const OPERATIONS: Readonly<Record<string, Readonly<Record<Who, Partial<Record<From, Status | '='>>>>>> = {
  $book: {
    staff: {
      proposed: 'booked',
      pending: 'booked',
      hold: 'booked',
      waitlist: 'booked',
      booked: '=',
      cancelled: 'booked',
      expired: 'booked',
    },
    ann: { proposed: 'booked', hold: 'booked', booked: '=', expired: 'booked' },
  },
  $hold: { staff: { hold: 'pending' }, ann: { hold: 'pending' } },
  $release: { staff: { hold: 'cancelled', expired: '=' }, ann: { hold: 'cancelled', expired: '=' } },
  $confirm: {
    staff: {
      proposed: 'booked',
      pending: 'booked',
      hold: 'booked',
      waitlist: 'booked',
      booked: 'booked',
      arrived: 'arrived',
      'checked-in': 'checked-in',
    },
    ann: {
      proposed: 'proposed',
      pending: 'pending',
      hold: 'booked',
      waitlist: 'waitlist',
      booked: 'booked',
      arrived: 'arrived',
      'checked-in': 'checked-in',
    },
  },
  $cancel: {
    staff: {
      proposed: 'cancelled',
      pending: 'cancelled',
      hold: 'cancelled',
      waitlist: 'cancelled',
      booked: 'cancelled',
      arrived: 'cancelled',
      'checked-in': 'cancelled',
      cancelled: '=',
      expired: '=',
    },
    ann: {
      proposed: 'cancelled',
      pending: 'cancelled',
      hold: 'cancelled',
      waitlist: 'cancelled',
      booked: 'cancelled',
      cancelled: '=',
      expired: '=',
    },
  },
  '$check-in': {
    staff: { booked: 'checked-in', arrived: 'checked-in', 'checked-in': '=', fulfilled: 'checked-in' },
    ann: { 'checked-in': '=' },
  },
  '$no-show': { staff: { booked: 'noshow', arrived: 'noshow', noshow: '=' }, ann: { noshow: '=' } },
  $complete: { staff: { arrived: 'fulfilled', 'checked-in': 'fulfilled', fulfilled: '=' }, ann: { fulfilled: '=' } },
  $reschedule: {
    staff: {
      proposed: 'proposed',
      pending: 'pending',
      hold: 'pending',
      waitlist: 'waitlist',
      booked: 'booked',
      arrived: 'arrived',
      'checked-in': 'checked-in',
    },
    ann: { proposed: 'proposed', pending: 'pending', hold: 'pending', waitlist: 'waitlist', booked: 'booked' },
  },
};
/** Where these lead, the table of the statuses alone decides. */
const STEPS: Readonly<Record<string, Status>> = {
  $cancel: 'cancelled',
  '$check-in': 'checked-in',
  '$no-show': 'noshow',
  $complete: 'fulfilled',
};

test.each(Object.keys(OPERATIONS))('%s', async (name) => {
  for (const who of ['ann', 'staff'] as const)
    for (const from of FROM) {
      if (from === 'new' || (from === 'entered-in-error' && name === '$confirm')) continue;
      // What is over has nothing to confirm; staff may write about it.
      if (name === '$confirm' && who === 'staff' && OVER.has(from)) continue;
      const start = next();
      const facts = { begun: name === '$no-show' };
      if (facts.begun) beginning(start);
      const before = await bring(from, from === 'pending' && name === '$reschedule' ? 'asked' : 'visit', start);
      const id = String(before['id']);
      const moment = name === '$reschedule' ? [{ name: 'start', valueDateTime: next() }] : [];
      const answer = await clinic[who]('POST', `Appointment/${id}/${name}`, params(...moment));
      const to = OPERATIONS[name]?.[who][from];
      const what = `${who}: ${name} of ${from}`;
      const after = (await get(id)).body;
      if (to === undefined) {
        if (STEPS[name]) expectRefused(answer, legal(from, who, facts), what);
        else
          expect([answer.status, answer.body['issue']?.[0]?.['code']], `${what}: ${answer.text}`).toEqual([
            422,
            'business-rule',
          ]);
        expect(after, what).toEqual(before);
      } else {
        expect(answer.status, `${what}: ${answer.text}`).toBe(200);
        if (to === '=') expect(after, what).toEqual(before);
        else expect([what, after['status']]).toEqual([what, to]);
      }
      clinic.clock.ahead = 0;
      await letGo(id);
    }
});
