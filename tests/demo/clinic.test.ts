/** The demo clinic as a pure function: the same every time, and true to its own calendar. */
import type { Appointment, HealthcareService, Resource, Schedule, ServiceRequest, Slot } from '@medplum/fhirtypes';
import { describe, expect, it } from 'vitest';
import { weekdays } from '../../src/demo/calendar.ts';
import { demoResources as clinic } from './resources.ts';

const TODAY = '2026-10-20';
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

  it('each visit has the Slot of its time, and nobody is seen while away', () => {
    const generated = new Map(slots.filter((s) => s.status === 'free').map((s) => [name(s), s]));
    const away = slots.filter((s) => s.status === 'busy-unavailable');
    expect(generated.size + away.length).toBe(slots.length);
    expect(away.length).toBeGreaterThan(5);
    for (const visit of appointments.filter((a) => a.start !== undefined)) {
      const slot = generated.get(visit.slot?.[0]?.reference ?? '');
      expect([visit.id, slot && span(slot)]).toEqual([visit.id, span(visit)]);
      const block = away.find(
        (b) => b.schedule.reference === slot?.schedule.reference && overlaps([span(b), span(visit)]),
      );
      expect([visit.id, block?.id]).toEqual([visit.id, undefined]);
    }
  });

  it('shows what the calendar can do', () => {
    const rules = JSON.stringify(
      ofType<Schedule | HealthcareService>(all, 'HealthcareService').map((s) => s.extension),
    );
    for (const rule of [
      'interval',
      'bufferAfter',
      'minimumNotice',
      'horizon',
      'cancelNotice',
      'lateCancel',
      'cap',
      'capacity',
      'channel',
      'mode',
      'noFrontDesk',
      'selfCheckIn',
      'noShowAfter',
    ])
      expect([rule, rules.includes(`"url":"${rule}"`)]).toEqual([rule, true]);
    expect(appointments.some((a) => actors(a, 'Patient').length > 2)).toBe(true);
    expect(appointments.filter((a) => a.status === 'waitlist')).toHaveLength(3);
    const due = ofType<ServiceRequest>(all, 'ServiceRequest').filter(
      (r) => r.extension && (r.occurrencePeriod?.start ?? '9') <= TODAY && TODAY <= (r.occurrencePeriod?.end ?? ''),
    );
    expect(due.length).toBeGreaterThan(2);
    const held = clinic(1, TODAY, Date.parse('2026-10-20T12:00:00Z')).filter((r) => r.id?.includes('-hold-'));
    expect(held).toHaveLength(1);
    expect(JSON.stringify(held)).toContain('2026-10-20T12:15:00.000Z');
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
    const first = (date: string): string | undefined =>
      slots
        .filter((s) => s.schedule.reference === 'Schedule/demo1-schedule-01a' && s.start.startsWith(date))
        .map((s) => s.start)
        .sort()[0];
    // From 1 November on clocks in New York are an hour back.
    expect(first('2026-10-30')).toMatch(/T0[89]:\d\d:00-04:00$/);
    expect(first('2026-11-02')).toMatch(/T0[89]:\d\d:00-05:00$/);
    expect(weekdays('2026-11-01', 2, 2).map((d) => d.date)).toEqual(['2026-10-30', '2026-11-02', '2026-11-03']);
  });
});
