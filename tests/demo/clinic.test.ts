/** The demo clinic as a pure function: the same every time, and true to its own calendar. */
import type { Appointment, Resource, Schedule, Slot } from '@medplum/fhirtypes';
import { describe, expect, it } from 'vitest';
import { timesOf, weekdays } from '../../src/demo/calendar.ts';
import { demoClinic } from '../../src/demo/clinic.ts';

const TODAY = '2026-10-20';
const clinic = (seed: number, today: string): Resource[] => [...demoClinic(seed, today)];
const name = (r: Resource): string => `${r.resourceType}/${r.id}`;
const ofType = <T extends Resource>(all: readonly Resource[], type: T['resourceType']): T[] =>
  all.filter((r): r is T => r.resourceType === type);
const actors = (a: Appointment, type: string): string[] =>
  a.participant.map((p) => p.actor?.reference ?? '').filter((r) => r.startsWith(`${type}/`));
const overlaps = (all: readonly { start: number; end: number }[]): boolean => {
  const sorted = [...all].sort((a, b) => a.start - b.start);
  return sorted.some((x, i) => i > 0 && x.start < (sorted[i - 1]?.end ?? 0));
};
const span = (r: Slot | Appointment): { start: number; end: number } => ({
  start: Date.parse(r.start ?? ''),
  end: Date.parse(r.end ?? ''),
});
const holdsTime = (a: Appointment): boolean => !['cancelled', 'noshow', 'waitlist'].includes(a.status ?? '');

describe('demo clinic', () => {
  const all = clinic(1, TODAY);
  const appointments = ofType<Appointment>(all, 'Appointment');
  const slots = ofType<Slot>(all, 'Slot');

  it('same seed and day give the same bytes; another seed gives another clinic', () => {
    expect(JSON.stringify(clinic(1, TODAY))).toBe(JSON.stringify(all));
    const other = new Set(clinic(2, TODAY).map(name));
    expect(all.some((r) => other.has(name(r)))).toBe(false);
  });

  it('holds what the README promises', () => {
    const count = (type: string): number => all.filter((r) => r.resourceType === type).length;
    expect([count('Practitioner'), count('Patient'), count('Coverage')]).toEqual([12, 300, 300]);
    const zones = all.flatMap((r) =>
      r.resourceType === 'Location' && r.physicalType?.coding?.[0]?.code === 'si' ? [r.extension?.[0]?.valueCode] : [],
    );
    expect(zones).toEqual(['America/New_York', 'America/New_York', 'America/Chicago']);
    for (const type of [
      'PractitionerRole',
      'HealthcareService',
      'Schedule',
      'RelatedPerson',
      'Encounter',
      'Invoice',
      'ServiceRequest',
      'Account',
      'Endpoint',
    ]) {
      expect([type, count(type) > 0]).toEqual([type, true]);
    }
    expect(new Set(appointments.map((a) => a.status))).toEqual(
      new Set(['booked', 'pending', 'cancelled', 'noshow', 'fulfilled', 'waitlist']),
    );
  });

  it('names each resource once, and refers only to what came before', () => {
    const seen = new Set<string>();
    const dangling: string[] = [];
    for (const resource of all) {
      for (const [, target = ''] of JSON.stringify(resource).matchAll(/"reference":"([^"]+)"/g))
        if (!seen.has(target)) dangling.push(`${name(resource)} → ${target}`);
      seen.add(name(resource));
    }
    expect(dangling).toEqual([]);
    expect(seen.size).toBe(all.length);
  });

  it('no practitioner, room or patient is in two places at one time', () => {
    for (const type of ['Practitioner', 'Patient']) {
      const times = new Map<string, { start: number; end: number }[]>();
      for (const a of appointments.filter(holdsTime)) {
        for (const actor of actors(a, type)) times.set(actor, [...(times.get(actor) ?? []), span(a)]);
      }
      expect([...times].filter(([, t]) => overlaps(t)).map(([who]) => who)).toEqual([]);
    }
  });

  it('visits lie on offered starts, and never in an afternoon off', () => {
    const off = slots.filter((s) => s.status === 'busy-unavailable');
    expect(off.length).toBeGreaterThan(3);
    expect(slots.length).toBe(off.length);
    const byRoom = new Map<string, { start: number; end: number }[]>();
    for (const a of appointments.filter((x) => holdsTime(x) && x.start !== undefined))
      for (const room of actors(a, 'Location')) byRoom.set(room, [...(byRoom.get(room) ?? []), span(a)]);
    const schedules = new Map(ofType<Schedule>(all, 'Schedule').map((s) => [`Schedule/${s.id}`, s]));
    for (const slot of off) {
      const rooms = (schedules.get(slot.schedule.reference ?? '')?.actor ?? [])
        .map((x) => x.reference ?? '')
        .filter((r) => r.includes('-room-'));
      expect(rooms).toHaveLength(1);
      expect(overlaps([span(slot), ...(byRoom.get(rooms[0] ?? '') ?? [])])).toBe(false);
    }
  });

  it('a later day keeps the visits of the days that both have', () => {
    const patients = (list: readonly Resource[]): Map<string, string> =>
      new Map(ofType<Appointment>(list, 'Appointment').map((a) => [name(a), actors(a, 'Patient').join()]));
    const later = patients(clinic(1, '2026-10-27'));
    const shared = [...patients(all)].filter(([id]) => later.has(id));
    expect(shared.length).toBeGreaterThan(appointments.length / 2);
    expect(shared.filter(([id, who]) => later.get(id) !== who)).toEqual([]);
  });

  it('wall-clock hours stay the same when clocks change', () => {
    const hours = { from: '09:00', lunchFrom: '12:00', lunchTo: '13:00', to: '17:00' };
    const first = (date: string): string | undefined => timesOf(date, 'America/New_York', hours, 30)[0]?.start;
    expect(first('2026-10-30')).toBe('2026-10-30T09:00:00-04:00');
    expect(first('2026-11-02')).toBe('2026-11-02T09:00:00-05:00');
    // On the day itself the night is an hour longer, and thirty minutes stay thirty minutes.
    const night = { from: '00:00', lunchFrom: '05:30', lunchTo: '06:00', to: '06:00' };
    expect(timesOf('2026-11-01', 'America/New_York', night, 30)).toHaveLength(13);
    expect(timesOf('2026-03-08', 'America/New_York', night, 30)).toHaveLength(9);
    expect(weekdays('2026-11-01', 2, 2).map((d) => d.date)).toEqual(['2026-10-30', '2026-11-02', '2026-11-03']);
  });
});
