/** The time of day that was promised: whichever door a visit came through, and what another zone of its place does to it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seedDemo } from '../../src/demo/seed.ts';
import { reviewPromises } from '../../src/scheduling/promised.ts';
import type { Appointment } from '@medplum/fhirtypes';
import type { Answer, Json } from '../http/client.ts';
import {
  appointmentOf,
  at,
  bookProposal,
  bundle,
  done,
  entries,
  find,
  found,
  idOf,
  later,
  ofMode,
  openClinic,
  params,
  put,
  schedule,
  taking,
  times,
  visit,
  workday,
  type Clinic,
} from './clinic.ts';
import { rewrite } from '../support/contents.ts';

const PROMISED_TIME = 'https://kairos.example/fhir/StructureDefinition/promised-time';
const ZONE = 'http://hl7.org/fhir/StructureDefinition/timezone';

let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());

const next = times(20);

type Parts = readonly { readonly url: string; readonly valueString?: string; readonly valueCode?: string }[];
const promise = (appointment: Json | undefined): readonly (string | undefined)[] => {
  const list = (appointment?.['extension'] ?? []) as unknown as { url: string; extension: Parts }[];
  const said = list.filter((e) => e.url === PROMISED_TIME);
  return said.flatMap((e) => e.extension.slice(0, 2).map((p) => p.valueString ?? p.valueCode));
};
const of = (start: string, zone = 'America/New_York'): string[] => [start.slice(0, 16), zone];
const stored = async (id: string): Promise<Json> => done(await clinic.staff('GET', `Appointment/${id}`)).body;
const saying = (local: string, zone = 'America/New_York'): object => ({
  url: PROMISED_TIME,
  extension: [
    { url: 'local', valueString: local },
    { url: 'timezone', valueCode: zone },
    { url: 'tzdata', valueString: '2020a' },
  ],
});
const without = ({ extension: _, ...rest }: Json): object => rest;
const impactOf = (place: string, zone: string, more = ''): Promise<Answer> =>
  clinic.staff('GET', `Location/${place}/$timezone-impact?timezone=${zone}${more}`);
const issues = (answer: Answer): string[] =>
  ofMode(answer, 'outcome').flatMap((o) =>
    (o['issue'] as unknown as { diagnostics: string }[]).map((i) => i.diagnostics),
  );
const site = (id: string, zone: string): object => ({
  resourceType: 'Location',
  id,
  name: id,
  extension: [{ url: ZONE, valueCode: zone }],
  physicalType: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/location-physical-type', code: 'si' }] },
});

describe('each door writes it', () => {
  test('POST, of a patient and of staff, also in UTC, and at a place without a Schedule', async () => {
    const [one, two] = [next(), next()];
    expect(promise(done(await clinic.ann('POST', 'Appointment', visit({ start: one }))).body)).toEqual(of(one));
    const utc = new Date(two).toISOString();
    expect(promise(done(await clinic.staff('POST', 'Appointment', visit({ start: utc }))).body)).toEqual(of(two));
    const start = next();
    const placed = {
      resourceType: 'Appointment',
      status: 'booked',
      start,
      end: later(start, 30),
      participant: [taking('Patient/bob'), taking('Location/room', 'accepted', 'information-only')],
    };
    expect(promise(done(await clinic.staff('POST', 'Appointment', placed)).body)).toEqual(of(start));
    const nowhere = { ...placed, participant: [taking('Patient/eve')] };
    expect(promise(done(await clinic.staff('POST', 'Appointment', nowhere)).body)).toEqual([]);
  });

  test('PUT and PATCH: anew with another start, else as it was; what is left out stays', async () => {
    const [one, two, three] = [next(), next(), next()];
    const booked = done(await clinic.staff('POST', 'Appointment', visit({ start: one }))).body;
    const path = `Appointment/${String(booked['id'])}`;
    const moved = done(await clinic.staff('PUT', path, { ...booked, start: two, end: later(two, 30) })).body;
    expect(promise(moved)).toEqual(of(two));
    expect(promise(done(await clinic.staff('PUT', path, without(moved))).body)).toEqual(of(two));
    const patch = [
      { op: 'replace', path: '/start', value: three },
      { op: 'replace', path: '/end', value: later(three, 30) },
    ];
    const patched = await clinic.staff('PATCH', path, patch);
    expect(promise(done(patched).body)).toEqual(of(three));
    const proposed = done(
      await clinic.staff('POST', 'Appointment', { ...visit({ start: next() }), status: 'proposed' }),
    ).body;
    expect(promise(proposed)).toEqual([]);
    const accepted = done(await clinic.staff('POST', `Appointment/${String(proposed['id'])}/$confirm`, params()));
    expect(promise(appointmentOf(accepted))).toEqual(of(String(proposed['start'])));
  });

  test('a transaction, and $book', async () => {
    const one = next();
    const sent = bundle('transaction', {
      resource: visit({ start: one }),
      request: { method: 'POST', url: 'Appointment' },
    });
    const answer = done(await clinic.staff('POST', '', sent));
    const id = /Appointment\/([^/]+)/.exec(String(entries(answer)[0]?.['response']?.['location']))?.[1] ?? '';
    expect(promise(await stored(id))).toEqual(of(one));
    const day = workday(15);
    const free = await find(clinic.bob, `start=${day}&end=${day}&practitioner=Practitioner/house`);
    const booked = done(await bookProposal(clinic.bob, String(found(free)[0]?.['id'])));
    expect(promise(appointmentOf(booked))).toEqual(of(String(appointmentOf(booked)['start'])));
  });
});

describe('patients', () => {
  test('send it back or leave it out, and make none up', async () => {
    const [one, two] = [next(), next()];
    const booked = done(await clinic.ann('POST', 'Appointment', visit({ start: one }))).body;
    const path = `Appointment/${String(booked['id'])}`;
    const same = done(await clinic.ann('PUT', path, { ...booked, comment: 'By the back door.' })).body;
    expect(promise(same)).toEqual(of(one));
    expect(promise(done(await clinic.ann('PUT', path, without(same))).body)).toEqual(of(one));
    const moved = done(await clinic.ann('PUT', path, { ...booked, start: two, end: later(two, 30) })).body;
    expect(promise(moved)).toEqual(of(two));
    const forged = [saying('2030-01-01T08:00')];
    const changed = await clinic.ann('PUT', path, { ...moved, extension: forged });
    expect([changed.status, changed.text.includes('Appointment.extension')], changed.text).toEqual([422, true]);
    const made = await clinic.ann('POST', 'Appointment', visit({ start: next() }, { extension: forged }));
    expect([made.status, made.text.includes('Appointment.extension')], made.text).toEqual([422, true]);
  });

  test('an older visit, without it, is theirs to change as before', async () => {
    const start = next();
    const booked = done(await clinic.ann('POST', 'Appointment', visit({ start }))).body;
    await strip(String(booked['id']));
    const answer = await clinic.ann('PUT', `Appointment/${String(booked['id'])}`, { ...without(booked), comment: 'x' });
    expect(promise(done(answer).body)).toEqual(of(start));
  });
});

/** As rows are that were stored before promises were written. */
async function strip(id: string): Promise<void> {
  await rewrite(clinic.server.kairos, 'Appointment', id, (resource) => {
    const { extension: _, ...rest } = resource as Appointment;
    return rest;
  });
}

describe('another zone of a place', () => {
  const day = workday(40);
  beforeAll(async () => {
    await put(clinic.system, site('away', 'America/New_York'));
    await put(clinic.system, { ...site('wing', ''), extension: undefined, partOf: { reference: 'Location/away' } });
    await put(clinic.system, { ...site('annex', 'America/New_York'), partOf: { reference: 'Location/away' } });
    for (const [id, place] of [
      ['far', 'away'],
      ['inner', 'wing'],
      ['apart', 'annex'],
    ] as const) {
      await put(clinic.system, { resourceType: 'Practitioner', id, name: [{ family: id }] });
      const actor = [`Practitioner/${id}`, `Location/${place}`, 'HealthcareService/visit'];
      await put(clinic.system, schedule(id, id, { actor: actor.map((reference) => ({ reference })) }));
    }
    await clinic.server.kairos.scheduling.parts.directory.renewed('');
  });

  test('whom it hits: with a promise or without, here or in a part of the place, in pages and with both times', async () => {
    const book = async (practitioner: string, start: string): Promise<string> =>
      idOf(done(await clinic.staff('POST', 'Appointment', visit({ start, practitioner }))));
    const nine = await book('far', at(day, '09:00'));
    const older = await book('far', at(day, '10:00'));
    const utc = await book('inner', new Date(at(day, '11:00')).toISOString());
    const inner = await book('inner', at(day, '15:00'));
    const apart = await book('apart', at(day, '14:00'));
    await strip(older);
    await strip(utc);
    await strip(inner);
    const hit = await impactOf('away', 'America/Chicago');
    expect(found(hit).map((a) => a['id'])).toEqual([nine, older, utc, inner]);
    expect(hit.body['total']).toBe(4);
    const both = `Appointment/${nine} was promised for ${day}T09:00 (America/New_York): it would be at ${day}T08:00 (America/Chicago).`;
    expect(issues(hit)[0]).toBe(both);
    expect(found(await impactOf('away', 'America/Toronto'))).toEqual([]);
    expect(found(await impactOf('annex', 'America/Chicago')).map((a) => a['id'])).toEqual([apart]);

    const first = await impactOf('away', 'America/Chicago', '&_count=2');
    expect([first.body['total'], found(first).length]).toEqual([4, 2]);
    expect(issues(first)[0]).toContain('2 more of 4 visits are not in this answer');
    const [link] = first.body['link'] as unknown as { relation: string; url: string }[];
    const rest = await clinic.staff('GET', String(link?.url.slice(String(link.url).indexOf('Location/'))));
    expect([rest.body['total'], found(rest).map((a) => a['id']), rest.body['link']]).toEqual([
      4,
      [utc, inner],
      undefined,
    ]);
    expect((await impactOf('away', 'America/Chicago', '&_count=0')).status).toBe(400);

    await put(clinic.system, site('away', 'America/Chicago'));
    // The first visit that is written after it has the promise of the new zone.
    const start = at(day, '13:30', 'America/Chicago');
    const after = done(await clinic.staff('POST', 'Appointment', visit({ start, practitioner: 'far' }))).body;
    expect(promise(after)).toEqual(of(start, 'America/Chicago'));

    // Who edits an older one promises nothing anew.
    const edit = [{ op: 'add', path: '/comment', value: 'by bus' }];
    expect(promise(done(await clinic.staff('PATCH', `Appointment/${older}`, edit)).body)).toEqual([]);

    // What was written with the offset of the zone before is known to have been promised by it.
    const { parts } = clinic.server.kairos.scheduling;
    const { signal } = new AbortController();
    expect(await reviewPromises(parts, signal)).toBe(3);
    expect(await reviewPromises(parts, signal)).toBe(0);
    const tasks = entries(await clinic.staff('GET', 'Task?status=requested')).map((e) => e['resource']);
    expect(tasks.map((t) => String(t?.['focus']?.['reference'])).sort()).toEqual(
      [nine, older, inner].map((id) => `Appointment/${id}`).sort(),
    );
    const words = `promised for ${day}T09:00 (America/New_York), and is at ${day}T08:00 (America/Chicago) now`;
    expect(tasks.some((t) => String(t?.['description']).includes(words))).toBe(true);
    expect(found(await impactOf('away', 'America/Chicago')).map((a) => a['id'])).toEqual([nine, older, inner]);
  });
});

test('the demo clinic: every visit to come at a place is hit', async () => {
  await seedDemo(clinic.server.engine);
  await clinic.server.kairos.scheduling.parts.directory.renewed('');
  const rows = await clinic.sql(
    `select p as place, count(*)::int as n from appointment a, unnest(a.actor) p
     where a.status in ('pending', 'booked') and a.date > now() and p like 'Location/demo1-site-%' group by 1`,
  );
  expect(rows.length).toBe(3);
  for (const { place, n } of rows) {
    const hit = await impactOf(String(place).slice('Location/'.length), 'Pacific/Honolulu', '&_count=1');
    expect([hit.body['total'], found(hit).length, issues(hit).length]).toEqual([n, 1, 2]);
    expect(issues(hit)[0]).toContain(`${Number(n) - 1} more of ${String(n)} visits`);
  }
});
