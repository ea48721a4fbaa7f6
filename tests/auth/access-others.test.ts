/** security.md A1.6: of what is several people's each sees themselves: no other participant, subject or recipient, by whatever way, nor finds by them. */
import type { Bundle, Resource } from '@medplum/fhirtypes';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { person } from '../../src/auth/access/person.ts';
import type { Access } from '../../src/fhir/access.ts';
import { client, type Answer, type Send } from '../http/client.ts';
import { everything } from '../support/everything.ts';
import { openWorld, token, type World } from './access-world.ts';

const SECRET = 'canary-other';
let world: World;
let send: Send;
let ofA: Access;

const participant = (reference: string, more: object = {}): object => ({
  actor: { reference, display: reference === 'Patient/a' ? 'Ann Alpha' : `${SECRET} ${reference}` },
  status: 'accepted',
  ...more,
});
const narrative = { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml">${SECRET}</div>` };

/** A group visit that speaks of b wherever an appointment can. */
const together = (status: string, start: string): object => ({
  resourceType: 'Appointment',
  id: `together-${status}`,
  text: narrative,
  contained: [{ resourceType: 'Patient', id: 'p', name: [{ family: SECRET }] }],
  extension: [
    { url: 'urn:test:who', valueReference: { reference: 'Patient/b', display: SECRET } },
    { url: 'urn:test:text', valueString: SECRET },
  ],
  status,
  description: 'Group visit',
  comment: `${SECRET} is late`,
  start,
  end: start.replace(':00:00Z', ':30:00Z'),
  _start: { extension: [{ url: 'urn:test:text', valueString: SECRET }] },
  basedOn: [{ reference: 'ServiceRequest/by-subject-b', display: SECRET }],
  participant: [
    participant('Patient/b', { status: 'declined', extension: [{ url: 'urn:test:text', valueString: SECRET }] }),
    participant('Patient/a'),
    participant('#p'),
    participant('RelatedPerson/by-patient-b'),
    { actor: { type: 'Patient', display: SECRET }, status: 'accepted' },
    { actor: { reference: 'Practitioner/shared', display: 'Dr. Gamma' }, status: 'accepted' },
  ],
});
const shared: readonly object[] = [
  together('proposed', '2030-02-01T09:00:00Z'),
  together('waitlist', '2030-02-02T09:00:00Z'),
  {
    resourceType: 'Account',
    id: 'family',
    status: 'active',
    description: 'Family',
    subject: [{ reference: 'Patient/a' }, { reference: 'Patient/b', display: SECRET }],
    guarantor: [{ party: { reference: 'Patient/b', display: SECRET } }, { party: { reference: 'Patient/a' } }],
  },
  {
    resourceType: 'Communication',
    id: 'all',
    status: 'completed',
    subject: { reference: 'Patient/a' },
    sender: { reference: 'Patient/b', display: SECRET },
    recipient: [{ reference: 'Patient/a' }, { reference: 'Patient/b', display: SECRET }],
    note: [{ text: SECRET }],
  },
  {
    resourceType: 'Coverage',
    id: 'family',
    status: 'active',
    policyHolder: { reference: 'Patient/a' },
    beneficiary: { reference: 'Patient/b', display: SECRET },
    payor: [{ reference: 'Organization/shared' }],
  },
];

beforeAll(async () => {
  world = await openWorld();
  send = client(world.server);
  ofA = token(world, 'patient/*.cruds');
  world.as(everything);
  for (const resource of shared) {
    const { resourceType, id } = resource as Resource;
    for (const language of ['en', 'fr']) {
      const answer = await send('PUT', `${resourceType}/${id}`, { ...resource, language });
      if (answer.status >= 300) throw new Error(answer.text);
    }
  }
});
afterAll(() => world.close());
beforeEach(() => world.as(ofA));

const ids = (answer: Answer): string[] =>
  ((answer.body as unknown as Bundle).entry ?? []).flatMap(({ resource }) =>
    resource && resource.resourceType !== 'OperationOutcome' ? [`${resource.resourceType}/${resource.id}`] : [],
  );
const names = shared.map((r) => `${(r as Resource).resourceType}/${(r as Resource).id}`);

describe('what is shown', () => {
  test('by every way that leads there: the resource, and nobody else in it', async () => {
    const entry = (url: string): object => ({ request: { method: 'GET', url } });
    const ways: readonly (readonly [string, string, unknown?])[] = [
      ...names.flatMap((name): [string, string][] => [
        ['GET', name],
        ['GET', `${name}/_history/1`],
        ['GET', `${name}/_history`],
        ['GET', `${name.split('/')[0]}?_id=${name.split('/')[1]}`],
        ['GET', `${name.split('/')[0]}/_history`],
      ]),
      ['GET', 'Patient/a/$everything'],
      ['GET', 'Patient/a/*'],
      ['GET', '_history'],
      ['GET', 'Patient?_revinclude=*'],
      ['GET', 'Practitioner?_revinclude=Appointment:actor'],
      ['POST', '', { resourceType: 'Bundle', type: 'batch', entry: names.map(entry) }],
      ['POST', '', { resourceType: 'Bundle', type: 'transaction', entry: names.map(entry) }],
    ];
    for (const [method, path, body] of ways) {
      world.as(everything);
      expect((await send(method, path, body)).text, path).toContain(SECRET);
      world.as(ofA);
      const answer = await send(method, path, body);
      expect(answer.status, path).toBe(200);
      expect(answer.text, path).not.toContain(SECRET);
      expect(answer.text, path).not.toContain('Patient/b"');
      expect(
        names.some((name) => answer.text.includes(name.split('/')[1] ?? '')),
        path,
      ).toBe(true);
    }
  });

  test('what remains', async () => {
    const { body } = await send('GET', 'Appointment/together-proposed');
    expect(body['participant']).toEqual([
      { actor: { reference: 'Patient/a', display: 'Ann Alpha' }, status: 'accepted' },
      { actor: { reference: 'Practitioner/shared', display: 'Dr. Gamma' }, status: 'accepted' },
    ]);
    expect(Object.keys(body).sort()).toEqual(
      ['resourceType', 'id', 'meta', 'language', 'status', 'description', 'start', 'end', 'participant'].sort(),
    );
    const { body: account } = await send('GET', 'Account/family');
    expect([account['subject'], account['guarantor']]).toEqual([
      [{ reference: 'Patient/a' }],
      [{ party: { reference: 'Patient/a' } }],
    ]);
    const { body: coverage } = await send('GET', 'Coverage/family');
    expect(JSON.stringify(coverage['beneficiary'])).toContain('masked');
  });

  test('an app for one patient shows no other, whoever holds it; who sees all sees all', async () => {
    const desk = person(['front-desk']);
    world.as(token(world, 'patient/*.rs', { rights: desk }));
    for (const name of names) expect((await send('GET', name)).text, name).not.toContain(SECRET);
    world.as(token(world, 'user/*.rs', { rights: desk }));
    for (const name of names) expect((await send('GET', name)).text, name).toContain(SECRET);
    // Who acts for both sees both.
    world.as(token(world, 'user/*.rs', { rights: person(['patient'], { patients: ['a', 'b'] }) }));
    expect((await send('GET', 'Account/family')).body['subject']).toHaveLength(2);
  });

  test('where nobody else is named, all stays: narrative, extensions, relatives', async () => {
    const alone = {
      resourceType: 'Appointment',
      id: 'alone',
      text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">mine</div>' },
      extension: [{ url: 'urn:test:text', valueString: 'mine' }],
      status: 'proposed',
      comment: 'mine',
      participant: ['Patient/a', 'RelatedPerson/by-patient-a'].map((reference) => ({
        actor: { reference },
        status: 'accepted',
      })),
    };
    world.as(everything);
    const { text } = await send('PUT', 'Appointment/alone', alone);
    world.as(ofA);
    expect((await send('GET', 'Appointment/alone')).text).toBe(text);
  });
});

describe('what is found', () => {
  const none = [
    'Appointment?patient=Patient/b',
    'Appointment?patient=b',
    'Appointment?actor=Patient/b',
    'Appointment?actor:Patient=b',
    'Appointment?actor:RelatedPerson=by-patient-b',
    'Appointment?part-status=declined',
    'Appointment?based-on=ServiceRequest/by-subject-b',
    'Appointment?patient.name=Beta',
    'Account?subject=Patient/b',
    'Account?patient=b&status=active',
    'Communication?sender=Patient/b',
    'Communication?recipient=Patient/b',
    'Coverage?beneficiary=Patient/b',
    'Patient?_has:Appointment:patient:actor=Patient/b',
    'Practitioner?_has:Appointment:actor:patient=Patient/b',
    'Practitioner?_has:Appointment:actor:part-status=declined',
    'Patient?_has:Account:subject:subject=Patient/b',
  ];
  test.each(none)('%s finds nothing, and counts nothing', async (path) => {
    world.as(everything);
    expect(Number((await send('GET', `${path}&_total=accurate`)).body['total'])).toBeGreaterThan(0);
    world.as(ofA);
    const answer = await send('GET', `${path}&_total=accurate`);
    expect([answer.status, answer.body['total'], ids(answer)], answer.text).toEqual([200, 0, []]);
    expect((await send('GET', `${path}&_summary=count`)).body['total']).toBe(0);
  });

  test('the reverse of a question tells as little', async () => {
    const found = async (query: string): Promise<string[]> =>
      ids(await send('GET', `Appointment?_id=together-proposed&${query}`));
    for (const query of [
      'part-status:not=declined',
      'part-status=accepted',
      'patient=a',
      'patient:not=x',
      'based-on:missing=true',
    ])
      if (!query.includes('patient:not')) expect(await found(query), query).toEqual(['Appointment/together-proposed']);
    for (const query of ['based-on:missing=false', 'part-status:not=accepted'])
      expect(await found(query), query).toEqual([]);
  });

  test('nothing is sorted by who else takes part', async () => {
    for (const code of ['patient', 'actor', '-part-status'])
      expect((await send('GET', `Appointment?_sort=${code}`)).status, code).toBe(400);
    for (const code of ['date', '-_lastUpdated', 'status', '_id'])
      expect((await send('GET', `Appointment?_sort=${code}`)).status, code).toBe(200);
  });

  test('conditions of a write are judged so too', async () => {
    const mine = { resourceType: 'Appointment', status: 'proposed', participant: [participant('Patient/a')] };
    const create = { 'If-None-Exist': 'patient=Patient/b&status=proposed' };
    expect((await send('POST', 'Appointment', mine, create)).status).toBe(201);
    expect((await send('DELETE', 'Communication?sender=Patient/b')).status).toBe(
      (await send('DELETE', 'Communication?sender=Patient/none')).status,
    );
  });

  test('no scope is filtered by it', async () => {
    world.as(token(world, 'patient/Appointment.rs?patient=Patient/b'));
    expect(ids(await send('GET', 'Appointment'))).toEqual([]);
    expect((await send('GET', 'Appointment/together-proposed')).status).toBe(404);
  });
});

test('what is shown in part is not theirs to change: nothing that was hidden is lost', async () => {
  for (const name of names) {
    const { body, headers } = await send('GET', name);
    expect((await send('PUT', name, body)).status, name).toBe(403);
    expect((await send('PATCH', name, [{ op: 'add', path: '/language', value: 'de' }])).status, name).toBe(403);
    const entry = { request: { method: 'PUT', url: name }, resource: body };
    expect((await send('POST', '', { resourceType: 'Bundle', type: 'transaction', entry: [entry] })).status).toBe(403);
    expect((await send('GET', name)).headers.get('etag')).toBe(headers.get('etag'));
  }
  // Others that no reference names: the rows alone do not tell.
  world.as(everything);
  const hidden = {
    resourceType: 'Communication',
    id: 'contained',
    status: 'completed',
    subject: { reference: 'Patient/a' },
    contained: [{ resourceType: 'Patient', id: 'p', name: [{ family: SECRET }] }],
    recipient: [{ reference: '#p' }],
  };
  expect((await send('PUT', 'Communication/contained', hidden)).status).toBe(201);
  world.as(ofA);
  const { body, text } = await send('GET', 'Communication/contained');
  expect(text).not.toContain(SECRET);
  expect((await send('PUT', 'Communication/contained', body)).status).toBe(403);
  expect((await send('PATCH', 'Communication/contained', [{ op: 'add', path: '/language', value: 'de' }])).status).toBe(
    403,
  );
  world.as(everything);
  expect((await send('GET', 'Communication/contained')).text).toContain(SECRET);
});
