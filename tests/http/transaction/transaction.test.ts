/** https://hl7.org/fhir/R4/http.html#transaction, #trules */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../../support/server.ts';
import { client, createdId, issuesOf, patient, type Answer, type Json, type Send } from '../client.ts';

let server: TestServer;
let send: Send;
beforeAll(async () => {
  server = await createTestServer();
  send = client(server);
});
afterAll(() => server.close());

interface Entry {
  readonly resource?: Json;
  readonly response: { readonly status: string; readonly location?: string; readonly etag?: string };
}
const transact = (entry: unknown[], headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  send('POST', '', { resourceType: 'Bundle', type: 'transaction', entry }, headers);
const entries = (answer: Answer): Entry[] => (answer.body['entry'] ?? []) as unknown as Entry[];
const status = (answer: Answer): string[] => entries(answer).map((e) => e.response.status);
const address = (answer: Answer, index: number): string =>
  /R4\/(.+)\/_history/.exec(entries(answer)[index]?.response.location ?? '')?.[1] ?? '';
const post = (resource: object, more: object = {}, request: object = {}): object => ({
  ...more,
  resource,
  request: { method: 'POST', url: (resource as { resourceType: string }).resourceType, ...request },
});
const SYSTEM = 'http://example.org/mrn';
const named = (value: string, more: object = {}): object =>
  patient({ identifier: [{ system: SYSTEM, value }], ...more });
const total = async (value: string): Promise<unknown> =>
  (await send('GET', `Patient?identifier=${SYSTEM}|${value}`)).body['total'];
const A = 'urn:uuid:5b1f7a1e-0c5c-4b8e-9a55-000000000001';
const B = 'urn:uuid:5b1f7a1e-0c5c-4b8e-9a55-000000000002';

describe('transaction (3.1.0.11.2)', () => {
  test('creates, in the order sent, with links between them resolved: urn:uuid, urn:oid, addresses, uris, narrative', async () => {
    const answer = await transact([
      post(
        {
          resourceType: 'Schedule',
          actor: [{ reference: A }, { reference: 'urn:oid:1.2.3' }, { reference: 'PractitionerRole/mine' }],
        },
        { fullUrl: B },
      ),
      post({ resourceType: 'Practitioner', name: [{ family: 'X' }] }, { fullUrl: A }),
      post(
        {
          resourceType: 'Location',
          name: 'here',
          text: { status: 'generated', div: `<div xmlns="http://www.w3.org/1999/xhtml"><a href="${A}">x</a></div>` },
          identifier: [{ value: A }],
        },
        { fullUrl: 'urn:oid:1.2.3' },
      ),
      post(
        { resourceType: 'PractitionerRole', practitioner: { reference: `${A}` } },
        { fullUrl: 'http://elsewhere.example/PractitionerRole/mine' },
      ),
      post({
        resourceType: 'Basic',
        code: { text: 'x' },
        extension: [{ url: 'http://example.org/link', valueUri: B }],
      }),
    ]);
    expect(status(answer)).toEqual(Array.from({ length: 5 }, () => '201 Created'));
    const [schedule, practitioner, location, role, basic] = [0, 1, 2, 3, 4].map((i) => address(answer, i));
    const read = async (path = ''): Promise<Json> => (await send('GET', path)).body;
    expect((await read(schedule))['actor']).toEqual([
      { reference: practitioner },
      { reference: location },
      { reference: role },
    ]);
    expect((await read(role))['practitioner']).toEqual({ reference: practitioner });
    expect((await read(location))['text']?.['div']).toContain(`href="${practitioner}"`);
    expect((await read(location))['identifier']).toEqual([{ value: A }]);
    expect((await read(basic))['extension']?.[0]?.['valueUri']).toBe(schedule);
  });

  test('deletes, then creates, then updates and patches, then reads, whatever the order sent', async () => {
    const kept = await createdId(send, named('t1'));
    const gone = await createdId(send, named('t2'));
    const answer = await transact([
      { request: { method: 'GET', url: `Patient?identifier=${SYSTEM}|t1,${SYSTEM}|t2,${SYSTEM}|t3&_summary=count` } },
      { request: { method: 'GET', url: `Patient/${kept}` } },
      {
        resource: named('t1', { id: kept, active: true }),
        request: { method: 'PUT', url: `Patient/${kept}`, ifMatch: 'W/"1"' },
      },
      post(named('t3')),
      { request: { method: 'DELETE', url: `Patient/${gone}` } },
    ]);
    expect(status(answer)).toEqual(['200 OK', '200 OK', '200 OK', '201 Created', '204 No Content']);
    expect(entries(answer)[0]?.resource?.['total']).toBe(2);
    expect(entries(answer)[1]?.resource?.['active']).toBe(true);
    expect(entries(answer)[2]?.response.etag).toBe('W/"2"');
  });

  test('all or nothing: one bad entry and nothing is stored, the error names entry and element', async () => {
    const answer = await transact([
      post(named('n1')),
      post({ resourceType: 'Patient', gender: 'x' }),
      post({ resourceType: 'Slot' }),
    ]);
    expect(answer.status).toBe(422);
    const issues = issuesOf(answer);
    expect(issues).toContain('code-invalid Bundle.entry[1].resource.gender');
    expect(issues.some((i) => i.includes('Bundle.entry[2].resource'))).toBe(true);
    expect(await total('n1')).toBe(0);
  });

  test('a failing read, a stale ifMatch, a conflict while writing undo all', async () => {
    const id = await createdId(send, named('n2'));
    const cases: [object, number][] = [
      [{ request: { method: 'GET', url: 'Patient/nobody' } }, 404],
      [{ resource: named('n2', { id }), request: { method: 'PUT', url: `Patient/${id}`, ifMatch: 'W/"7"' } }, 412],
      [{ request: { method: 'DELETE', url: `Patient/${id}`, ifMatch: 'W/"7"' } }, 412],
      [{ resource: named('n2', { id: 'other' }), request: { method: 'PUT', url: `Patient/${id}` } }, 400],
      [{ request: { method: 'PUT', url: `Patient/${id}` } }, 400],
      [{ resource: { resourceType: 'AuditEvent' }, request: { method: 'POST', url: 'AuditEvent' } }, 405],
      [{ resource: patient(), request: { method: 'POST', url: 'http://elsewhere.example/Patient' } }, 400],
      [{ resource: { resourceType: 'Bundle', type: 'batch' }, request: { method: 'POST', url: '' } }, 400],
      [post(patient({ generalPractitioner: [{ reference: 'Practitioner/none' }] })), 422],
      [post(patient({ generalPractitioner: [{ reference: B }] })), 422],
    ];
    for (const [bad, expected] of cases) {
      const answer = await transact([post(named('n3')), bad]);
      expect(answer.status, answer.text).toBe(expected);
      expect(
        issuesOf(answer).every((i) => i.includes('Bundle.entry[1]')),
        answer.text,
      ).toBe(true);
    }
    expect(await total('n3')).toBe(0);
  });

  test('references within count as existing, unless the transaction deletes the target', async () => {
    const practitioner = await createdId(send, { resourceType: 'Practitioner' });
    const link = { generalPractitioner: [{ reference: `Practitioner/${practitioner}` }] };
    expect(
      (
        await transact([
          post(patient(link)),
          {
            resource: { resourceType: 'Practitioner', id: 'new-one' },
            request: { method: 'PUT', url: 'Practitioner/new-one' },
          },
          post(patient({ generalPractitioner: [{ reference: 'Practitioner/new-one' }] })),
        ])
      ).status,
    ).toBe(200);
    const answer = await transact([
      post(patient(link)),
      { request: { method: 'DELETE', url: `Practitioner/${practitioner}` } },
    ]);
    expect([answer.status, issuesOf(answer)]).toEqual([
      422,
      ['not-found Bundle.entry[0].resource.generalPractitioner[0].reference'],
    ]);
  });

  test('two entries on one resource, one fullUrl twice: 400', async () => {
    const id = await createdId(send, patient());
    const put = { resource: patient({ id }), request: { method: 'PUT', url: `Patient/${id}` } };
    expect((await transact([put, put])).status).toBe(400);
    expect((await transact([put, { request: { method: 'DELETE', url: `Patient/${id}` } }])).status).toBe(400);
    expect((await transact([post(patient(), { fullUrl: A }), post(patient(), { fullUrl: A })])).status).toBe(400);
    const byCriteria = { resource: patient(), request: { method: 'PUT', url: `Patient?_id=${id}` } };
    expect((await transact([put, byCriteria])).status).toBe(400);
  });

  test('conditional entries: ifNoneExist, PUT, PATCH and DELETE by criteria', async () => {
    const old = await createdId(send, named('k1'));
    await createdId(send, named('k2'));
    await createdId(send, named('k3'));
    await createdId(send, named('k4'));
    const data = Buffer.from('[{"op":"add","path":"/active","value":true}]').toString('base64');
    const answer = await transact([
      post(named('k1'), { fullUrl: A }, { ifNoneExist: `identifier=${SYSTEM}|k1` }),
      post(named('k9'), { fullUrl: B }, { ifNoneExist: `identifier=${SYSTEM}|k9` }),
      { resource: named('k2', { active: true }), request: { method: 'PUT', url: `Patient?identifier=${SYSTEM}|k2` } },
      {
        resource: { resourceType: 'Binary', contentType: 'application/json-patch+json', data },
        request: { method: 'PATCH', url: `Patient?identifier=${SYSTEM}|k3` },
      },
      { request: { method: 'DELETE', url: `Patient?identifier=${SYSTEM}|k4` } },
      post({ resourceType: 'Account', status: 'active', subject: [{ reference: A }, { reference: B }] }),
    ]);
    expect(status(answer)).toEqual(['200 OK', '201 Created', '200 OK', '200 OK', '204 No Content', '201 Created']);
    expect(address(answer, 0)).toBe(`Patient/${old}`);
    const account = (await send('GET', address(answer, 5))).body;
    expect(account['subject']).toEqual([{ reference: `Patient/${old}` }, { reference: address(answer, 1) }]);
    expect([await total('k1'), await total('k9'), await total('k4')]).toEqual([1, 1, 0]);
    const several = await transact([post(named('k5')), { request: { method: 'DELETE', url: 'Patient?name=Okafor' } }]);
    expect([several.status, await total('k5')]).toEqual([412, 0]);
  });

  test('conditional references: to what is stored, and to what the transaction makes; none or several fail all', async () => {
    const id = await createdId(send, named('r1'));
    const account = (reference: string): object =>
      post({ resourceType: 'Account', status: 'active', subject: [{ reference }] });
    const answer = await transact([
      account(`Patient?identifier=${SYSTEM}|r1`),
      account(`Patient?identifier=${SYSTEM}|r2`),
      post(named('r2')),
    ]);
    expect(answer.status, answer.text).toBe(200);
    expect((await send('GET', address(answer, 0))).body['subject']).toEqual([{ reference: `Patient/${id}` }]);
    expect((await send('GET', address(answer, 1))).body['subject']).toEqual([{ reference: address(answer, 2) }]);
    for (const [reference, status] of [
      [`Patient?identifier=${SYSTEM}|nobody`, 422],
      ['Patient?name=Okafor', 412],
      ['Observation?code=1', 422],
    ] as const) {
      const refused = await transact([post(named('r3')), account(reference)]);
      expect(refused.status, reference).toBe(status);
      expect(issuesOf(refused)[0], reference).toMatch(/ Bundle\.entry\[1\]\.resource\.subject\[0\]\.reference$/);
    }
    expect(await total('r3')).toBe(0);
  });

  test('ten alike at once, each creating the same by ifNoneExist: one is made', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => transact([post(named('p1'), {}, { ifNoneExist: `identifier=${SYSTEM}|p1` })])),
    );
    expect(answers.filter((a) => a.status !== 200 && a.status !== 503)).toEqual([]);
    expect(await total('p1')).toBe(1);
  });

  test('Prefer: return=representation; the default is minimal', async () => {
    expect(entries(await transact([post(patient())]))[0]?.resource).toBeUndefined();
    expect(
      entries(await transact([post(patient())], { Prefer: 'return=representation' }))[0]?.resource?.['resourceType'],
    ).toBe('Patient');
  });

  test('1,000 creates that refer to each other', async () => {
    const urn = (i: number): string => `urn:uuid:5b1f7a1e-0c5c-4b8e-9a55-${String(i).padStart(12, '0')}`;
    const answer = await transact(
      Array.from({ length: 1000 }, (_, i) =>
        post(patient({ link: [{ other: { reference: urn((i + 1) % 1000) }, type: 'seealso' }] }), { fullUrl: urn(i) }),
      ),
    );
    expect(answer.status).toBe(200);
    expect((await send('GET', address(answer, 999))).body['link']?.[0]?.['other']).toEqual({
      reference: address(answer, 0),
    });
  });

  test('an operation inside sees what the transaction wrote', async () => {
    const made = await transact([
      { resource: named('o1', { id: 'o1' }), request: { method: 'PUT', url: 'Patient/o1' } },
      { request: { method: 'GET', url: 'Patient/o1/$everything' } },
    ]);
    expect(made.status, made.text).toBe(200);
    expect(entries(made)[1]?.resource?.['resourceType']).toBe('Bundle');
  });

  test('two entries with the same criteria are refused, whichever interactions they are for', async () => {
    const criteria = `identifier=${SYSTEM}|alike`;
    const url = `Patient?${criteria}`;
    const put = { resource: named('alike'), request: { method: 'PUT', url } };
    const none = post(named('alike'), {}, { ifNoneExist: `${criteria}&_format=json` });
    const gone = { request: { method: 'DELETE', url } };
    for (const pair of [
      [put, put],
      [none, put],
      [gone, gone],
      [gone, put],
    ]) {
      const answer = await transact(pair);
      expect([answer.status, ...issuesOf(answer)]).toEqual([400, expect.stringMatching(/^duplicate Bundle\.entry/)]);
    }
    expect(await total('alike')).toBe(0);
  });

  test('a version-specific reference to a fullUrl is matched without its version (bundle.html#references)', async () => {
    const fullUrl = 'http://ex.example/fhir/Organization/99';
    const answer = await transact([
      post({ resourceType: 'Organization', name: 'x' }, { fullUrl }),
      post(patient({ managingOrganization: { reference: `${fullUrl}/_history/1` } })),
    ]);
    expect(answer.status, answer.text).toBe(200);
    expect((await send('GET', address(answer, 1))).body['managingOrganization']).toEqual({
      reference: address(answer, 0),
    });
  });

  test('a urn:uuid is matched without case, and with a version or fragment behind it', async () => {
    const answer = await transact([
      post({ resourceType: 'Organization', name: 'x' }, { fullUrl: A }),
      post({
        resourceType: 'Basic',
        code: { text: 'x' },
        subject: { reference: A.toUpperCase().replace('URN:UUID', 'urn:uuid') },
        extension: [
          { url: 'http://example.org/c', valueCanonical: `${A}|2` },
          { url: 'http://example.org/u', valueUrl: `${A}#x` },
        ],
      }),
    ]);
    expect(answer.status, answer.text).toBe(200);
    const [organization, basic] = [address(answer, 0), (await send('GET', address(answer, 1))).body];
    expect(basic['subject']).toEqual({ reference: organization });
    expect([basic['extension']?.[0]?.['valueCanonical'], basic['extension']?.[1]?.['valueUrl']]).toEqual([
      `${organization}|2`,
      `${organization}#x`,
    ]);
  });

  test('what is invalid and what leads nowhere is told at once; links within the Bundle lead somewhere', async () => {
    const id = await createdId(send, patient());
    const data = Buffer.from(
      JSON.stringify([
        { op: 'add', path: '/gender', value: 'x' },
        { op: 'add', path: '/managingOrganization', value: { reference: 'Organization/nope' } },
      ]),
    ).toString('base64');
    const change = {
      resource: { resourceType: 'Binary', contentType: 'application/json-patch+json', data },
      request: { method: 'PATCH', url: `Patient/${id}` },
    };
    const planned = await transact([
      post(patient({ gender: 'x', managingOrganization: { reference: A } })),
      post({ resourceType: 'Organization', name: 'x' }, { fullUrl: A }),
      post(patient({ generalPractitioner: [{ reference: 'Practitioner/nope' }, { reference: B }] })),
    ]);
    expect([planned.status, ...issuesOf(planned)]).toEqual([
      422,
      'code-invalid Bundle.entry[0].resource.gender',
      'not-found Bundle.entry[2].resource.generalPractitioner[1].reference',
      'not-found Bundle.entry[2].resource.generalPractitioner[0].reference',
    ]);
    const patched = await transact([change, post(patient({ managingOrganization: { reference: 'Organization/no' } }))]);
    expect([patched.status, ...issuesOf(patched).sort()]).toEqual([
      422,
      'code-invalid Bundle.entry[0].resource.gender',
      'not-found Bundle.entry[0].resource.managingOrganization.reference',
      'not-found Bundle.entry[1].resource.managingOrganization.reference',
    ]);
  });

  test('an id that no URL can name is refused', async () => {
    for (const id of ['.', '..']) {
      const answer = await transact([{ resource: patient({ id }), request: { method: 'PUT', url: `Patient/${id}` } }]);
      expect([400, 404], answer.text).toContain(answer.status);
      const claimed = await transact([
        { resource: patient({ id }), request: { method: 'PUT', url: 'Patient?identifier=nobody' } },
      ]);
      expect([claimed.status, ...issuesOf(claimed)]).toEqual([400, 'value Bundle.entry[0].resource.id']);
    }
  });
});
