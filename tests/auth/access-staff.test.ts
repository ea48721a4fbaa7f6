/** What those see who work here: elements of people, physicians' own, and what accounts make of it. */
import type { Bundle } from '@medplum/fhirtypes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { policyRoles, rightsOf } from '../../src/auth/access/acts-for.ts';
import { person } from '../../src/auth/access/person.ts';
import { POLICY, type PolicyRole } from '../../src/auth/access/policy.ts';
import { client, type Answer, type Send } from '../http/client.ts';
import { everything } from '../support/everything.ts';
import { openWorld, token, type World } from './access-world.ts';

let world: World;
let send: Send;
const SECRET = 'canary-hidden';
beforeAll(async () => {
  world = await openWorld();
  send = client(world.server);
  world.as(everything);
  const patient = {
    resourceType: 'Patient',
    id: 'whole',
    identifier: [{ system: 'urn:test', value: '1' }],
    name: [{ family: 'Whole' }],
    birthDate: '1970-01-01',
    maritalStatus: { text: SECRET },
    communication: [{ language: { coding: [{ system: 'urn:ietf:bcp:47', code: 'xh' }], text: SECRET } }],
    generalPractitioner: [{ reference: 'Practitioner/shared', display: SECRET }],
    text: { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${SECRET}</div>` },
  };
  const { status, text } = await send('PUT', 'Patient/whole', patient);
  if (status !== 201) throw new Error(text);
});
afterAll(() => world.close());

const ids = (answer: Answer): string[] =>
  ((answer.body as unknown as Bundle).entry ?? []).flatMap(({ resource }) =>
    resource && resource.resourceType !== 'OperationOutcome' ? [`${resource.resourceType}/${resource.id}`] : [],
  );
const as = (...roles: PolicyRole[]): void =>
  world.as(token(world, 'user/*.cruds', { rights: person(roles), patient: undefined }));

describe.each(['billing', 'privacy-officer'] as const)(
  '%s sees of people the elements that the policy names',
  (role) => {
    const elements = POLICY.find((r) => r.who === role && r.elements)?.elements ?? [];

    test('by every way', async () => {
      for (const path of [
        'Patient/whole',
        'Patient/whole/_history/1',
        'Patient/whole/_history',
        'Patient?_id=whole',
        'Patient?name=whole',
        'Patient/_history',
        '?_type=Patient',
      ]) {
        world.as(everything);
        expect((await send('GET', path)).text, path).toContain(SECRET);
        as(role);
        const answer = await send('GET', path);
        expect([answer.status, answer.text.includes(SECRET), answer.text.includes('Whole')], path).toEqual([
          200,
          false,
          true,
        ]);
      }
      const { body } = await send('GET', 'Patient/whole');
      expect(Object.keys(body).filter((name) => !['resourceType', 'id', 'meta', ...elements].includes(name))).toEqual(
        [],
      );
    });

    test('and finds nobody by the others', async () => {
      as(role);
      for (const query of [
        'language=xh',
        'general-practitioner=Practitioner/shared',
        'general-practitioner.name=gamma',
        'general-practitioner:missing=false',
      ]) {
        world.as(everything);
        expect(ids(await send('GET', `Patient?_id=whole&${query}`)), query).toEqual(['Patient/whole']);
        as(role);
        expect(ids(await send('GET', `Patient?_id=whole&${query}`)), query).toEqual([]);
      }
      expect(ids(await send('GET', 'Patient?_id=whole&general-practitioner:missing=true'))).toEqual(['Patient/whole']);
      expect(ids(await send('GET', 'Patient?_id=whole&birthdate=1970-01-01'))).toEqual(['Patient/whole']);
      for (const path of [
        'Practitioner?_has:Patient:general-practitioner:_id=whole',
        'Practitioner?_id=shared&_revinclude=Patient:general-practitioner',
      ])
        expect(
          ids(await send('GET', path)).filter((n) => n !== 'Practitioner/shared' || path.includes('_has')),
          path,
        ).toEqual([]);
      expect(ids(await send('GET', 'Patient?_id=whole&_include=Patient:general-practitioner'))).toEqual([
        'Patient/whole',
      ]);
      expect((await send('GET', 'Patient?_sort=language')).status).toBe(400);
    });
  },
);

test('several roles show as much as the best of them', async () => {
  as('billing', 'front-desk');
  expect((await send('GET', 'Patient/whole')).text).toContain(SECRET);
  // As a patient one sees oneself whole, as billing others in part.
  world.as(token(world, 'user/*.rs', { rights: person(['billing', 'patient'], { patients: ['whole'] }) }));
  expect((await send('GET', 'Patient/whole')).text).toContain(SECRET);
  world.as(token(world, 'user/*.rs', { rights: person(['billing', 'patient'], { patients: ['a'] }) }));
  expect((await send('GET', 'Patient/whole')).text).not.toContain(SECRET);
});

describe('a physician', () => {
  const physician = async (): Promise<void> => {
    const { rights } = await rightsOf(world.server.engine, {
      roles: ['physician'],
      staffKinds: [],
      profiles: ['Practitioner/own'],
    });
    world.as(token(world, 'user/*.cruds', { rights, patient: undefined }));
  };
  const visit = (patient: string, practitioner: string): object => ({
    resourceType: 'Appointment',
    status: 'booked',
    start: '2030-07-01T09:00:00Z',
    end: '2030-07-01T09:30:00Z',
    participant: [`Patient/${patient}`, `Practitioner/${practitioner}`].map((reference) => ({
      actor: { reference },
      status: 'accepted',
    })),
  });

  test('reads the record from the moment of the appointment, and no longer than that; opens none to themselves', async () => {
    world.as(everything);
    await send('PUT', 'Practitioner/own', { resourceType: 'Practitioner', id: 'own' });
    await physician();
    expect((await send('GET', 'Patient/b')).status).toBe(404);
    expect((await send('POST', 'Appointment', visit('b', 'own'))).status).toBe(422);
    world.as(everything);
    const made = await send('POST', 'Appointment', visit('b', 'own'));
    const id = String(made.body['id']);
    await physician();
    expect((await send('GET', 'Patient/b')).status).toBe(200);
    expect((await send('GET', 'Patient/b/_history')).status).toBe(200);
    expect(ids(await send('GET', 'Coverage?beneficiary=Patient/b')).length).toBeGreaterThan(0);
    expect((await send('GET', 'Patient/a')).status).toBe(404);
    // What they take part in they may change, with patients whom they know.
    const { body } = await send('GET', `Appointment/${id}`);
    expect((await send('PUT', `Appointment/${id}`, { ...body, comment: 'x' })).status).toBe(200);
    expect(
      (
        await send('PUT', `Appointment/${id}`, {
          ...body,
          participant: (visit('a', 'own') as { participant: object[] }).participant,
        })
      ).status,
    ).toBe(422);
    const away = { ...body, participant: (visit('b', 'shared') as { participant: object[] }).participant };
    expect((await send('PUT', `Appointment/${id}`, away)).status).toBe(403);
    world.as(everything);
    expect(
      (await send('PATCH', `Appointment/${id}`, [{ op: 'replace', path: '/status', value: 'cancelled' }])).status,
    ).toBe(200);
    await physician();
    expect((await send('GET', 'Patient/b')).status).toBe(404);
    expect(ids(await send('GET', 'Coverage?beneficiary=Patient/b'))).toEqual([]);
    expect(ids(await send('GET', 'Patient?_count=100'))).toEqual([]);
  });

  test('the chart that an EHR has opened for them', async () => {
    const account = { roles: ['physician' as const], staffKinds: [], profiles: [] };
    for (const [charts, status] of [
      [[], 404],
      [['b'], 200],
    ] as const) {
      const { rights } = await rightsOf(world.server.engine, account, charts);
      world.as(token(world, 'user/*.rs', { rights, patient: undefined }));
      expect((await send('GET', 'Patient/b')).status).toBe(status);
      expect((await send('GET', 'Patient/a')).status).toBe(404);
    }
  });
});

test('a RelatedPerson acts for the patient while active and within the period', async () => {
  const { engine } = world.server;
  const day = (offset: number): string => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);
  for (const [id, more, patients] of [
    ['now', {}, ['a']],
    ['inactive', { active: false }, []],
    ['over', { period: { end: day(-2) } }, []],
    ['not-yet', { period: { start: day(2) } }, []],
    ['within', { period: { start: day(-2), end: day(2) } }, ['a']],
  ] as const) {
    world.as(everything);
    await send('PUT', `RelatedPerson/${id}`, {
      resourceType: 'RelatedPerson',
      id,
      patient: { reference: 'Patient/a' },
      ...more,
    });
    const { rights } = await rightsOf(engine, {
      roles: ['patient'],
      staffKinds: [],
      profiles: [`RelatedPerson/${id}`],
    });
    expect(rights.patients, id).toEqual(patients);
  }
});

test('accounts: staff of no kind sits at the front desk, the kinds are roles of their own', () => {
  expect(policyRoles({ roles: ['staff'], staffKinds: [] })).toEqual(['front-desk']);
  expect(policyRoles({ roles: ['staff', 'patient'], staffKinds: ['billing'] })).toEqual(['patient', 'billing']);
  expect(policyRoles({ roles: ['physician', 'admin', 'privacy-officer'], staffKinds: ['billing'] })).toEqual([
    'physician',
    'admin',
    'privacy-officer',
  ]);
});

test('an app for one patient sees no Group of theirs, which names all its members, though whoever holds it does', async () => {
  world.as(everything);
  const group = {
    resourceType: 'Group',
    id: 'circle',
    type: 'person',
    actual: true,
    name: SECRET,
    member: [{ entity: { reference: 'Patient/whole' } }],
  };
  expect((await send('PUT', 'Group/circle', group)).status).toBe(201);
  const rights = person(['front-desk']);
  const paths = ['Group/circle', 'Group', 'Group?member=Patient/whole', 'Patient?_id=whole&_revinclude=Group:member'];
  world.as(token(world, 'user/*.rs', { rights, patient: undefined }));
  for (const path of paths) expect((await send('GET', path)).text, path).toContain('circle');
  world.as(token(world, 'patient/*.rs', { rights, patient: 'whole' }));
  expect((await send('GET', 'Patient/whole')).status).toBe(200);
  for (const path of paths)
    expect((await send('GET', path)).text.replaceAll(/"url":"[^"]*"|Group\/circle is/g, ''), path).not.toContain(
      'circle',
    );
  expect((await send('GET', 'Group/circle')).status).toBe((await send('GET', 'Group/none')).status);
});
