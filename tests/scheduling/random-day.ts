/** A practitioner of a random clinic: hours, rules, rooms, blocks, openings and visits of one day, drawn by chance that repeats itself. */
import type { Answer } from '../http/client.ts';
import { seeded, type Random } from '../../src/demo/random.ts';
import {
  at,
  availability,
  done,
  minutes,
  params,
  parameters,
  put,
  referring,
  schedule,
  taking,
  weekly,
  workday,
  type Clinic,
} from './clinic.ts';

export interface RandomDay {
  readonly random: Random;
  readonly day: string;
  /** Of the practitioner, and of the room where there is one. */
  readonly query: string;
}

const clock = (minute: number): string =>
  `${String(Math.floor(minute / 60) % 24).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;

function ofService(random: Random): object[] {
  const duration = random.pick([15, 20, 30, 45, 60]);
  const interval = random.pick([10, 15, 30, duration]);
  const cap = (of: string): object => ({
    url: 'cap',
    extension: [
      { url: 'of', valueCode: of },
      { url: 'per', valueCode: random.pick(['day', 'week']) },
      { url: 'limit', valuePositiveInt: random.int(1, 6) },
    ],
  });
  const notice = (channel: string): object => ({
    url: 'minimumNotice',
    extension: [
      { url: 'channel', valueCode: channel },
      {
        url: 'notice',
        valueDuration: random.pick([
          { value: 0, system: 'http://unitsofmeasure.org', code: 'min' },
          { value: random.int(1, 90), system: 'http://unitsofmeasure.org', code: 'h' },
          { value: random.int(1, 4), system: 'http://unitsofmeasure.org', code: 'd' },
        ]),
      },
    ],
  });
  const some = (chance: number, ...parts: readonly object[]): readonly object[] => (random.chance(chance) ? parts : []);
  return [
    { url: 'duration', ...minutes(duration) },
    { url: 'interval', ...minutes(interval) },
    ...some(0.3, { url: 'offset', ...minutes(random.pick([5, 7])) }),
    ...some(0.4, { url: 'bufferBefore', ...minutes(random.pick([5, 15])) }),
    ...some(0.4, { url: 'bufferAfter', ...minutes(random.pick([5, 20])) }),
    ...some(0.4, { url: 'strictBuffers', valueBoolean: true }),
    ...some(0.4, { url: 'bufferIntoBreak', valueBoolean: false }),
    ...some(0.4, { url: 'capacity', valuePositiveInt: random.int(2, 3) }),
    ...some(0.3, { url: 'channel', valueCode: random.pick(['patient', 'staff']) }),
    ...some(0.3, notice('patient')),
    ...some(0.2, notice('staff')),
    ...some(0.2, { url: 'horizon', extension: [{ url: 'days', valuePositiveInt: random.int(5, 9) }] }),
    ...some(0.25, cap(random.pick(['provider', 'service', 'patient']))),
    ...some(0.4, { url: 'resource', valueReference: { reference: 'Location/room' } }),
    ...some(0.4, { url: 'resource', valueReference: { reference: 'Location/room-2' } }),
  ];
}

function hoursOf(random: Random, day: string, service: string): object {
  const span = (): [string, string] => {
    const from = random.int(0, 140) * 5 + 300;
    return [clock(from), clock(from + random.int(4, 40) * 5)];
  };
  const hours = (): object => {
    const [from, to] = [random.int(14, 22) * 30, random.int(26, 40) * 30];
    const rest = { url: 'break', extension: [] as object[] };
    const start = from + random.int(12, 30) * 5;
    rest.extension.push(
      { url: 'start', valueTime: `${clock(start)}:00` },
      { url: 'end', valueTime: `${clock(Math.min(start + 45, to))}:00` },
    );
    const more = [
      ...(start + 5 < to && random.chance(0.6) ? [rest] : []),
      ...(random.chance(0.2) ? [{ url: 'capacity', valuePositiveInt: random.int(1, 3) }] : []),
      ...(random.chance(0.2)
        ? [{ url: 'service', valueReference: { reference: `HealthcareService/${service}` } }]
        : []),
    ];
    return weekly(`${clock(from)}:00`, `${clock(to)}:00`, more, `w${random.int(0, 1_000_000)}`);
  };
  const off = (): object => {
    const [from, to] = span();
    return {
      url: 'notAvailableTime',
      extension: [
        { url: 'description', valueString: 'Secret surgery' },
        { url: 'during', valuePeriod: { start: at(day, from), end: at(day, to) } },
        ...(random.chance(0.3) ? [{ url: 'service', valueReference: { reference: 'HealthcareService/visit' } }] : []),
      ],
    };
  };
  const override = {
    url: 'dateOverride',
    extension: [{ url: 'date', valueDate: day }, ...(random.chance(0.5) ? [] : [dayHours(random)])],
  };
  return availability(
    hours(),
    ...(random.chance(0.3) ? [hours()] : []),
    ...(random.chance(0.4) ? [off()] : []),
    ...(random.chance(0.2) ? [override] : []),
    ...(random.chance(0.2)
      ? [{ url: 'period', valuePeriod: { start: random.chance(0.5) ? '2027-08-01' : '2026-01-01' } }]
      : []),
  );
}

const dayHours = (random: Random): object => {
  const from = random.int(14, 22) * 30;
  return {
    url: 'availableTime',
    extension: [
      { url: 'availableStartTime', valueTime: `${clock(from)}:00` },
      { url: 'availableEndTime', valueTime: `${clock(from + random.int(2, 10) * 30)}:00` },
    ],
  };
};

/** What stands in the calendar that day: others' visits, with rooms and over one another, blocks and openings. */
async function fill(clinic: Clinic, random: Random, day: string, name: string): Promise<void> {
  const attempt = async (act: () => Promise<Answer>): Promise<void> => {
    const { status, text } = await act();
    if (status >= 400 && status !== 409 && status !== 422) throw new Error(`${status} ${text}`);
  };
  const span = (): { start: string; end: string } => {
    const from = random.int(72, 230) * 5;
    return { start: at(day, clock(from)), end: at(day, clock(from + random.int(3, 24) * 5)) };
  };
  const slot = (status: string): Promise<Answer> =>
    clinic.staff('POST', 'Slot', {
      resourceType: 'Slot',
      schedule: { reference: `Schedule/${name}` },
      status,
      ...span(),
    });
  for (let n = random.int(0, 7); n > 0; n--) {
    const participant = [
      taking(`Patient/${random.pick(['ann', 'bob', 'eve'])}`),
      taking(`Practitioner/${random.chance(0.8) ? name : 'house'}`),
      ...(random.chance(0.6) ? [taking(`Location/${random.pick(['room', 'room-2'])}`)] : []),
      taking(`HealthcareService/${name}`, 'accepted', 'information-only'),
    ];
    const override = {
      url: 'https://kairos.example/fhir/StructureDefinition/override',
      extension: [{ url: 'reason', valueString: 'urgent' }],
    };
    await attempt(() =>
      clinic.staff('POST', 'Appointment', {
        resourceType: 'Appointment',
        status: 'booked',
        ...span(),
        participant,
        ...(random.chance(0.3) ? { extension: [override] } : {}),
      }),
    );
  }
  for (let n = random.int(0, 2); n > 0; n--) await attempt(() => slot('free'));
  for (let n = random.int(0, 1); n > 0; n--) await attempt(() => slot('busy'));
  for (let n = random.int(0, 2); n > 0; n--) {
    const { start, end } = span();
    const services = random.chance(0.4) ? [referring('service', `HealthcareService/${name}`)] : [];
    await attempt(() =>
      clinic.staff(
        'POST',
        `Schedule/${name}/$block`,
        params({ name: 'start', valueDateTime: start }, { name: 'end', valueDateTime: end }, ...services),
      ),
    );
  }
}

/** @param name of its practitioner, its Schedule and its service */
export async function randomDay(clinic: Clinic, name: string): Promise<RandomDay> {
  const random = seeded('clinic', name);
  const day = workday(random.int(1, 9));
  const { system } = clinic;
  await put(system, { resourceType: 'Practitioner', id: name, name: [{ family: name }] });
  await put(system, {
    resourceType: 'HealthcareService',
    id: name,
    active: true,
    name,
    extension: [parameters(...ofService(random))],
  });
  await put(
    system,
    schedule(name, name, {
      actor: [
        { reference: `Practitioner/${name}` },
        { reference: 'Location/site' },
        { reference: `HealthcareService/${name}` },
      ],
      extension: [hoursOf(random, day, name)],
    }),
  );
  await fill(clinic, random, day, name);
  const room = random.chance(0.25) ? `&location-reference=Location/${random.pick(['room', 'room-2'])}` : '';
  done(await clinic.staff('GET', `Schedule/${name}`));
  return { random, day, query: `schedule=Schedule/${name}${room}` };
}
