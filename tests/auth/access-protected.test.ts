/** security.md A1.10: what the server says of a resource is never taken from a body: id, version, time, whose it is, and what it costs. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { person } from '../../src/auth/access/person.ts';
import { client, type Answer, type Json, type Send } from '../http/client.ts';
import { everything } from '../support/everything.ts';
import { randomFrom, randomValue } from '../support/random-resource.ts';
import { openWorld, token, type World } from './access-world.ts';

let world: World;
let send: Send;
beforeAll(async () => {
  world = await openWorld();
  send = client(world.server);
});
afterAll(() => world.close());

const FORGED = { id: 'forged', meta: { versionId: '77', lastUpdated: '2001-01-01T00:00:00Z' } };
const writable = (): string[] =>
  [...world.server.engine.resources.values()]
    .filter((r) => r.interactions.includes('create') && r.storage === 'ordinary')
    .map((r) => r.type);

/** What chance seldom meets. */
const LIKELY: Readonly<Record<string, readonly unknown[]>> = {
  status: ['active', 'booked', 'completed', 'draft', 'proposed', 'planned', 'requested', 'free', 'off', 'issued'],
  intent: ['order', 'proposal'],
  participantStatus: ['accepted'],
  language: ['en'],
  reference: [
    'Patient/a',
    'Practitioner/shared',
    'Organization/shared',
    'Schedule/shared',
    'Appointment/visit-a',
    'Location/shared',
  ],
  currency: ['EUR'],
};

/** A resource of the type that is stored as it is, from the definitions. */
async function stored(type: string): Promise<Json | undefined> {
  for (let seed = 1; seed < 60; seed++) {
    const random = randomFrom(seed);
    const value = randomValue(world.server.engine.definitions, type, { random, density: 0, depth: 2 });
    const text = JSON.stringify(value, (name, inner: unknown) => {
      const likely = LIKELY[name];
      return likely && typeof inner === 'string' ? likely[Math.floor(random() * likely.length)] : inner;
    });
    const sent = { ...(JSON.parse(text) as object), resourceType: type, ...FORGED };
    const answer = await send('POST', type, sent);
    if (answer.status === 201) return answer.body;
  }
  return undefined;
}

const settled = (answer: Answer, id: string, version: string): void => {
  const { meta } = answer.body as unknown as { meta: { versionId: string; lastUpdated: string } };
  expect([answer.body['id'], meta.versionId], answer.text).toEqual([id, version]);
  expect(Math.abs(Date.now() - Date.parse(meta.lastUpdated))).toBeLessThan(60_000);
  expect(answer.headers.get('etag')).toBe(`W/"${version}"`);
};

test('id, version and time are the server’s, for every type and by every door', async () => {
  world.as(everything);
  const reached: string[] = [];
  for (const type of writable()) {
    const made = await stored(type);
    if (!made) continue;
    reached.push(type);
    const id = String(made['id']);
    expect(id).not.toBe('forged');
    expect((await send('GET', `${type}/forged`)).status, type).toBe(404);
    settled(await send('GET', `${type}/${id}`, undefined, { Accept: 'application/fhir+json' }), id, '1');
    const sent = { ...made, meta: FORGED.meta, language: 'de' };
    expect((await send('PUT', `${type}/${id}`, { ...sent, id: 'forged' })).status, type).toBe(400);
    const put = await send('PUT', `${type}/${id}`, sent);
    if (put.status !== 200) continue;
    settled(put, id, '2');
    const forge = (path: string, value: unknown): object => ({ op: 'replace', path, value });
    expect((await send('PATCH', `${type}/${id}`, [forge('/id', 'forged')])).status, type).toBeGreaterThanOrEqual(400);
    const patched = await send('PATCH', `${type}/${id}`, [
      forge('/meta/versionId', '77'),
      forge('/meta/lastUpdated', FORGED.meta.lastUpdated),
      forge('/language', 'fr'),
    ]);
    if (patched.status === 200) settled(patched, id, '3');
    const entry = [{ request: { method: 'PUT', url: `${type}/${id}` }, resource: { ...sent, language: 'it' } }];
    for (const kind of ['batch', 'transaction']) {
      const answer = await send('POST', '', { resourceType: 'Bundle', type: kind, entry });
      expect(answer.text, type).not.toContain('"versionId":"77"');
      expect(answer.text, type).not.toContain('2001-01-01');
    }
    expect((await send('GET', `${type}/${id}/_history`)).text, type).not.toContain('2001-01-01T00:00:00Z"}');
  }
  // The others have invariants that chance does not meet.
  expect(reached.length, reached.join()).toBeGreaterThanOrEqual(14);
}, 120_000);

test('whose it is: what patients write is theirs alone, whatever the body says', async () => {
  const owners: Readonly<Record<string, (patient: string) => object>> = {
    Communication: (p) => ({ status: 'completed', subject: { reference: `Patient/${p}` } }),
    CommunicationRequest: (p) => ({ status: 'active', subject: { reference: `Patient/${p}` } }),
    Coverage: (p) => ({
      status: 'active',
      beneficiary: { reference: `Patient/${p}` },
      payor: [{ reference: 'Organization/shared' }],
    }),
    Appointment: (p) => ({
      status: 'proposed',
      participant: [{ actor: { reference: `Patient/${p}` }, status: 'accepted' }],
    }),
    Consent: (p) => ({
      status: 'active',
      scope: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/consentscope', code: 'patient-privacy' }] },
      category: [{ coding: [{ system: 'http://loinc.org', code: '59284-0' }] }],
      patient: { reference: `Patient/${p}` },
      policyRule: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'OPTIN' }] },
    }),
  };
  for (const [type, body] of Object.entries(owners)) {
    world.as(token(world, 'patient/*.cruds'));
    const made = await send('POST', type, { resourceType: type, ...body('a') });
    expect(made.status, made.text).toBe(201);
    const id = String(made.body['id']);
    for (const answer of [
      await send('POST', type, { resourceType: type, ...body('b') }),
      await send('PUT', `${type}/${id}`, { resourceType: type, id, ...body('b') }),
    ])
      expect([403, 422], `${type} ${answer.text}`).toContain(answer.status);
    world.as(everything);
    expect((await send('GET', `${type}/${id}`)).text, type).toContain('"Patient/a"');
  }
});

test('what it costs: patients write no money, and physicians, admins and officers neither', async () => {
  for (const rights of [
    person(['patient'], { patients: ['a'] }),
    person(['physician'], { practitioners: ['Practitioner/shared'], seen: new Set(['Patient/a']) }),
    person(['admin']),
    person(['privacy-officer']),
  ]) {
    world.as(token(world, 'user/*.cruds', { rights, patient: undefined }));
    for (const type of ['Account', 'ChargeItem', 'Invoice', 'PaymentNotice', 'PaymentReconciliation'])
      expect((await send('POST', type, { resourceType: type, status: 'active' })).status, type).toBe(403);
  }
});
