/** What scheduling finds and codes its Appointments by. @see https://hl7.org/fhir/R4/appointment.html#search */
import type { Appointment, Bundle } from '@medplum/fhirtypes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { terminology, validator } from '../support/definitions.ts';
import { create, get } from '../operations/request.ts';
import { createTestServer, type TestServer } from '../support/server.ts';

describe('reasons of cancellation', () => {
  const SYSTEM = 'http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason';
  const under: Readonly<Record<string, string>> = {
    pat: 'crs cpp dec fb lt mt mv preg swl ucp',
    prov: 'pers dch edu hosp labs mri onc',
    oth: 'cms err fin iv int mu room oerr swie weath',
  };
  const codes = [
    'pat',
    'prov',
    'maint',
    'meds-inc',
    'other',
    ...Object.entries(under).flatMap(([above, names]) => names.split(' ').map((name) => `${above}-${name}`)),
  ];

  test('all of R4 are known, and no others', () => {
    const expanded = terminology.expand('http://hl7.org/fhir/ValueSet/appointment-cancellation-reason') ?? [];
    expect(expanded.map((c) => c.code).toSorted()).toEqual(codes.toSorted());
    for (const code of codes) expect(terminology.lookup(SYSTEM, code)?.display, code).toBeTruthy();
    expect(terminology.lookup(SYSTEM, 'pat-cpq')).toBeUndefined();
  });

  test('those in oth- lie under other', () => {
    expect(terminology.subsumed(SYSTEM, 'other', 'below')).toContain('oth-weath');
    expect(terminology.subsumed(SYSTEM, 'pat', 'below')).toContain('pat-swl');
  });

  test.each([
    ['cancelled', 0],
    ['noshow', 0],
    ['booked', 1],
  ])('on a visit that is %s', (status, faults) => {
    const visit = {
      resourceType: 'Appointment',
      status,
      cancelationReason: { coding: [{ system: SYSTEM, code: 'pat-crs' }] },
      start: '2026-11-27T09:00:00Z',
      end: '2026-11-27T09:30:00Z',
      participant: [{ actor: { reference: 'Patient/1' }, status: 'accepted' }],
    };
    expect(validator.validate(visit)).toHaveLength(faults);
  });
});

describe('the waitlist', () => {
  let server: TestServer;
  let patient: string;
  const entry = (comment: string, rest: Partial<Appointment> = {}): Appointment => ({
    resourceType: 'Appointment',
    status: 'waitlist',
    comment,
    requestedPeriod: [{ start: '2026-12-01', end: '2026-12-31' }],
    participant: [{ actor: { reference: patient }, status: 'accepted' }],
    ...rest,
  });
  const found = async (query: string): Promise<readonly (string | undefined)[]> => {
    const { status, body } = await get<Bundle<Appointment>>(server, `Appointment?${query}`);
    expect(status).toBe(200);
    return (body.entry ?? []).map((e) => e.resource?.comment);
  };

  beforeAll(async () => {
    server = await createTestServer();
    patient = `Patient/${(await create(server, { resourceType: 'Patient' })).id}`;
    const other = `Patient/${(await create(server, { resourceType: 'Patient' })).id}`;
    await create(server, entry('first'));
    await create(server, entry('second', { serviceType: [{ coding: [{ system: 'urn:s', code: 'checkup' }] }] }));
    await create(server, entry('other', { participant: [{ actor: { reference: other }, status: 'accepted' }] }));
    await create(server, entry('proposed', { status: 'proposed' }));
  });
  afterAll(() => server.close());

  test('entries need no time, and are found by status, patient and service', async () => {
    expect((await found('status=waitlist')).toSorted()).toEqual(['first', 'other', 'second']);
    expect((await found(`status=waitlist&patient=${patient}`)).toSorted()).toEqual(['first', 'second']);
    expect(await found('status=waitlist&service-type=urn:s|checkup')).toEqual(['second']);
    expect((await found('status=waitlist,proposed')).toSorted()).toEqual(['first', 'other', 'proposed', 'second']);
  });

  test('none is lost where they have no date to be sorted by, a page at a time', async () => {
    const seen: (string | undefined)[] = [];
    let next: string | undefined = 'Appointment?status=waitlist&_count=1';
    while (next !== undefined && seen.length < 9) {
      const { body }: { body: Bundle<Appointment> } = await get<Bundle<Appointment>>(server, next);
      expect(body.total).toBe(3);
      seen.push(...(body.entry ?? []).map((e) => e.resource?.comment));
      next = body.link?.find((l) => l.relation === 'next')?.url?.replace(/^.*\/fhir\/R4\//, '');
    }
    expect(seen.toSorted()).toEqual(['first', 'other', 'second']);
  });
});
