/** Without a token: the directory, and nothing else; every route there is says so. */
import type { CapabilityStatement } from '@medplum/fhirtypes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { anonymousAccess } from '../../src/auth/access/anonymous.ts';
import { buildApp } from '../../src/app.ts';
import { silentLog } from '../../src/platform/log.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { client, type Answer, type Send } from '../http/client.ts';
import { DIRECTORY_TYPES, openWorld, type World } from './access-world.ts';

let world: World;
let send: Send;
beforeAll(async () => {
  world = await openWorld();
  world.as(anonymousAccess(world.server.engine));
  send = client(world.server);
});
afterAll(() => world.close());

const challenge = ({ status, headers }: Answer): unknown => [status, headers.get('www-authenticate')];
const REFUSED = [401, 'Bearer realm="Kairos"'];

test('every interaction of every type: read and search of the directory are open, all else is 401', async () => {
  const wrong: string[] = [];
  for (const { type, interactions } of world.server.engine.resources.values()) {
    const calls: readonly (readonly [string, () => Promise<Answer>])[] = [
      ['read', () => send('GET', `${type}/x`)],
      ['vread', () => send('GET', `${type}/x/_history/1`)],
      ['history-instance', () => send('GET', `${type}/x/_history`)],
      ['history-type', () => send('GET', `${type}/_history`)],
      ['search-type', () => send('GET', `${type}?_count=1`)],
      [
        'search-type',
        () => send('POST', `${type}/_search`, '_count=1', { 'Content-Type': 'application/x-www-form-urlencoded' }),
      ],
      ['create', () => send('POST', type, '{')],
      ['update', () => send('PUT', `${type}/x`, '{')],
      ['update', () => send('PUT', `${type}?_id=x`, '{')],
      ['patch', () => send('PATCH', `${type}/x`, '{')],
      ['patch', () => send('PATCH', `${type}?_id=x`, '{')],
      ['delete', () => send('DELETE', `${type}/x`)],
      ['delete', () => send('DELETE', `${type}?_id=x`)],
    ];
    for (const [interaction, call] of calls) {
      if (!interactions.includes(interaction as 'read')) continue;
      const answer = await call();
      const open = DIRECTORY_TYPES.has(type) && (interaction === 'read' || interaction === 'search-type');
      const right = open
        ? answer.status === (interaction === 'read' ? 404 : 200)
        : String(challenge(answer)) === String(REFUSED);
      if (!right) wrong.push(`${interaction} ${type}: ${String(challenge(answer))}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('operations, Bundles and the system are 401', async () => {
  const { engine } = world.server;
  const open = engine.operations.filter((o) => o.open).map((o) => o.code);
  expect(open.sort()).toEqual(['explain', 'find']);
  const paths = engine.operations.flatMap((o) =>
    o.open
      ? []
      : [
          ...(o.system ? [`$${o.code}`] : []),
          ...[...(o.resourceTypes ?? engine.resources.keys())].flatMap((t) => [
            ...(o.type ? [`${t}/$${o.code}`] : []),
            ...(o.instance ? [`${t}/x/$${o.code}`] : []),
          ]),
        ],
  );
  expect(paths.length).toBeGreaterThan(50);
  for (const path of paths)
    expect(challenge(await send('POST', path, { resourceType: 'Parameters' })), path).toEqual(REFUSED);
  for (const path of ['', '_history', '?_type=Slot', '?_type=Patient', 'Patient/a/*', 'Patient/a/Appointment'])
    expect(challenge(await send('GET', path)), path).toEqual(REFUSED);
  for (const body of ['{', { resourceType: 'Bundle', type: 'batch' }])
    expect(challenge(await send('POST', '', body))).toEqual(REFUSED);
});

describe('the directory', () => {
  test('free slots are seen, others are as if they were not there', async () => {
    expect((await send('GET', 'Slot/free')).status).toBe(200);
    expect((await send('GET', 'Slot/busy')).status).toBe(404);
    const found = await send('GET', 'Slot?_total=accurate&schedule=Schedule/shared');
    expect([found.body['total'], found.text.includes('Slot/busy')]).toEqual([1, false]);
    expect((await send('GET', 'Slot?status=busy&_total=accurate')).body['total']).toBe(0);
  });

  test('schedules of patients and their relatives are not part of it', async () => {
    const { body, text } = await send('GET', 'Schedule?_total=accurate');
    expect([body['total'], text.includes('Patient/'), text.includes('RelatedPerson/')]).toEqual([1, false, false]);
    expect((await send('GET', 'Schedule/by-actor-a')).status).toBe(404);
  });

  test('nothing personal comes with it', async () => {
    for (const type of DIRECTORY_TYPES) {
      const { status, text } = await send('GET', `${type}?_include=*&_revinclude=*&_count=50`);
      expect([status, /"reference":"(?:Patient|RelatedPerson|Appointment)\//.test(text)], type).toEqual([200, false]);
    }
    for (const query of [
      'Location?_has:Appointment:location:_id=visit-b',
      'Practitioner?_has:Patient:general-practitioner:_id=a',
    ])
      expect((await send('GET', `${query}&_total=accurate`)).body['total'], query).toBe(0);
  });
});

test('metadata says where tokens are had', async () => {
  const { status, body } = await send('GET', 'metadata');
  const security = (body as unknown as CapabilityStatement).rest?.[0]?.security;
  expect([status, security?.service?.[0]?.coding?.[0]?.code]).toEqual([200, 'SMART-on-FHIR']);
  const uris = Object.fromEntries((security?.extension?.[0]?.extension ?? []).map((e) => [e.url, e.valueUri]));
  expect(uris).toMatchObject({
    authorize: 'http://localhost:8080/oauth/authorize',
    token: 'http://localhost:8080/oauth/token',
    introspect: 'http://localhost:8080/oauth/introspect',
    revoke: 'http://localhost:8080/oauth/revoke',
  });
});

test('an application that was told nothing knows nobody', async () => {
  const app = buildApp(world.server.engine, { log: silentLog, metrics: createMetrics(), ready: () => true });
  expect((await app.request('http://localhost/fhir/R4/Patient/a')).status).toBe(401);
  expect((await app.request('http://localhost/fhir/R4/Practitioner/shared')).status).toBe(200);
});
