/** $expand, $validate-code, $lookup. @see https://hl7.org/fhir/R4/terminology-service.html */
import type { OperationOutcome, Parameters, ValueSet } from '@medplum/fhirtypes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../support/server.ts';
import { get, parameters, post, value } from './request.ts';

let server: TestServer;
beforeAll(async () => {
  server = await createTestServer();
});
afterAll(() => server.close());

const VS = 'http://hl7.org/fhir/ValueSet/';
const ROLE = 'http://terminology.hl7.org/CodeSystem/v3-RoleCode';
const expand = (query: string) => get<ValueSet>(server, `ValueSet/$expand?${query}`);
const codes = (valueSet: ValueSet): (string | undefined)[] => (valueSet.expansion?.contains ?? []).map((c) => c.code);

describe('ValueSet/$expand (valueset-operation-expand.html)', () => {
  test('by url, by GET and POST, and on the instance: the same codes', async () => {
    const byUrl = await expand(`url=${VS}appointmentstatus`);
    const posted = await post<ValueSet>(
      server,
      'ValueSet/$expand',
      parameters({ name: 'url', valueUri: `${VS}appointmentstatus` }),
    );
    const instance = await get<ValueSet>(server, 'ValueSet/appointmentstatus/$expand');
    expect(byUrl.status).toBe(200);
    expect(codes(byUrl.body)).toContain('booked');
    expect(byUrl.body).toMatchObject({
      resourceType: 'ValueSet',
      url: `${VS}appointmentstatus`,
      name: 'AppointmentStatus',
    });
    expect(byUrl.body.expansion).toMatchObject({
      total: 10,
      identifier: expect.stringMatching(/^urn:uuid:/) as string,
    });
    expect(codes(posted.body)).toEqual(codes(byUrl.body));
    expect(codes(instance.body)).toEqual(codes(byUrl.body));
  });

  test('filter: words begin words of code or display', async () => {
    const { body } = await expand(`url=${VS}c80-practice-codes&filter=PEDIA surg`);
    expect(body.expansion?.contains?.length).toBeGreaterThan(0);
    for (const c of body.expansion?.contains ?? []) expect(c.display).toMatch(/pedia.*surg|surg.*pedia/i);
    expect(body.expansion?.parameter).toContainEqual({ name: 'filter', valueString: 'PEDIA surg' });
  });

  test('offset and count page through all codes once; count 0 tells the total', async () => {
    const whole = codes((await expand(`url=${VS}appointmentstatus`)).body);
    const pages = await Promise.all(
      [0, 4, 8].map((offset) => expand(`url=${VS}appointmentstatus&offset=${offset}&count=4`)),
    );
    expect(pages.flatMap((p) => codes(p.body))).toEqual(whole);
    const none = (await expand(`url=${VS}appointmentstatus&count=0`)).body.expansion;
    expect(none).toMatchObject({ total: whole.length });
    expect(none?.contains).toBeUndefined();
  });

  test('an expansion of an example code system says that there may be more', async () => {
    const { body } = await expand(`url=${VS}service-type`);
    expect(body.expansion?.extension?.[0]).toEqual({
      url: 'http://hl7.org/fhir/StructureDefinition/valueset-unclosed',
      valueBoolean: true,
    });
  });

  test('an expansion is a valid ValueSet', async () => {
    const { body } = await expand(`url=${VS}account-type&includeDefinition=true`);
    expect(body.compose).toBeDefined();
    expect(body.expansion?.contains?.some((c) => c.abstract === true)).toBe(true);
    const outcome = await post<OperationOutcome>(server, 'ValueSet/$validate', body);
    expect(outcome.body.issue.filter((i) => i.severity === 'error')).toEqual([]);
  });

  test.each([
    ['unknown', 'url=urn:none', 404, 'not-found', 'url'],
    ['unknown version', `url=${VS}appointmentstatus|9`, 404, 'not-found', 'valueSetVersion'],
    ['not enumerable', `url=${VS}body-site`, 400, 'not-supported', 'url'],
    ['all of SNOMED CT', 'url=http://snomed.info/sct?fhir_vs', 400, 'not-supported', 'url'],
    ['all units', `url=${VS}ucum-units`, 400, 'not-supported', 'url'],
    ['all languages', `url=${VS}all-languages`, 400, 'not-supported', 'url'],
    ['no url', 'filter=x', 400, 'required', 'url'],
    ['negative count', `url=${VS}appointmentstatus&count=-1`, 400, 'value', 'count'],
    ['count that is no number', `url=${VS}appointmentstatus&count=many`, 400, 'value', 'count'],
    ['count beyond 32 bits', `url=${VS}appointmentstatus&count=10000000000`, 400, 'value', 'count'],
    ['unknown parameter', `url=${VS}appointmentstatus&colour=red`, 400, 'not-supported', 'colour'],
    ['complex parameter in the query', `url=${VS}appointmentstatus&valueSet=x`, 400, 'value', 'valueSet'],
    ['filter without end', `url=${VS}appointmentstatus&filter=${'a+'.repeat(500)}`, 400, 'too-long', 'filter'],
    ['date', `url=${VS}appointmentstatus&date=2020-01-01`, 400, 'not-supported', 'date'],
  ])('%s', async (_, query, status, code, expression) => {
    const answer = await get<OperationOutcome>(server, `ValueSet/$expand?${query}`);
    expect(answer.status).toBe(status);
    expect(answer.body.issue[0]).toMatchObject({ severity: 'error', code, expression: [expression] });
  });

  test('unknown instance: 404', async () => {
    expect((await get(server, 'ValueSet/none/$expand')).status).toBe(404);
  });
});

describe('ValueSet/$validate-code (valueset-operation-validate-code.html)', () => {
  const check = (query: string) => get<Parameters>(server, `ValueSet/$validate-code?${query}`);

  test('a code, its display in reply', async () => {
    const { body } = await check(`url=${VS}appointmentstatus&code=booked&system=http://hl7.org/fhir/appointmentstatus`);
    expect(value(body, 'result')).toBe(true);
    expect(value(body, 'display')).toBe('Booked');
  });

  test('not in the value set', async () => {
    const { status, body } = await check(`url=${VS}appointmentstatus&code=no-show`);
    expect(status).toBe(200);
    expect(value(body, 'result')).toBe(false);
    expect(value(body, 'message')).toContain('no-show');
  });

  test('a wrong display is not valid', async () => {
    expect(value((await check(`url=${VS}appointmentstatus&code=booked&display=Taken`)).body, 'result')).toBe(false);
    expect(value((await check(`url=${VS}appointmentstatus&code=booked&display=BOOKED`)).body, 'result')).toBe(true);
  });

  test('codeableConcept: one valid coding is enough', async () => {
    const codeableConcept = {
      coding: [
        { system: 'urn:other', code: 'x' },
        { system: 'http://hl7.org/fhir/appointmentstatus', code: 'noshow' },
      ],
    };
    const body = parameters(
      { name: 'url', valueUri: `${VS}appointmentstatus` },
      { name: 'codeableConcept', valueCodeableConcept: codeableConcept },
    );
    expect(value((await post<Parameters>(server, 'ValueSet/$validate-code', body)).body, 'result')).toBe(true);
  });

  test('codings without number: 400', async () => {
    const coding = Array.from({ length: 5_000 }, () => ({
      system: 'http://hl7.org/fhir/appointmentstatus',
      code: 'booked',
      display: 'x',
    }));
    const body = parameters(
      { name: 'url', valueUri: `${VS}appointmentstatus` },
      { name: 'codeableConcept', valueCodeableConcept: { coding } },
    );
    expect((await post(server, 'ValueSet/$validate-code', body)).status).toBe(400);
  });

  test('a badly shaped coding is refused with its place', async () => {
    const body = {
      resourceType: 'Parameters',
      parameter: [
        { name: 'url', valueUri: `${VS}appointmentstatus` },
        { name: 'coding', valueCoding: { code: 5 } },
      ],
    };
    expect((await post(server, 'ValueSet/$validate-code', body)).status).toBe(400);
  });

  test.each([
    ['nothing to check', `url=${VS}appointmentstatus`, 400, 'code'],
    ['system that cannot be enumerated', `url=${VS}body-site&system=http://snomed.info/sct&code=1`, 400, 'code'],
    ['system left out where there are several', `url=${VS}security-labels&code=R`, 400, 'system'],
    ['unknown value set', 'url=urn:none&code=x', 404, 'url'],
  ])('%s', async (_, query, status, expression) => {
    const answer = await get<OperationOutcome>(server, `ValueSet/$validate-code?${query}`);
    expect(answer.status).toBe(status);
    expect(answer.body.issue[0]?.expression).toEqual([expression]);
  });
});

describe('CodeSystem/$lookup and $validate-code (codesystem-operation-lookup.html)', () => {
  test('name, display, parents and children', async () => {
    const { status, body } = await get<Parameters>(server, `CodeSystem/$lookup?system=${ROLE}&code=TWIN`);
    expect(status).toBe(200);
    expect(value(body, 'display')).toBe('twin');
    expect(value(body, 'name')).toBeTruthy();
    const properties = (body.parameter ?? [])
      .filter((p) => p.name === 'property')
      .map((p) => p.part?.map((q) => q.valueCode));
    expect(properties).toContainEqual(['parent', 'NSIB']);
    expect(properties).toContainEqual(['child', 'FTWIN']);
  });

  test('coding by POST', async () => {
    const body = parameters({ name: 'coding', valueCoding: { system: 'urn:iso:std:iso:4217', code: 'EUR' } });
    expect(value((await post<Parameters>(server, 'CodeSystem/$lookup', body)).body, 'display')).toBe('Euro');
  });

  test.each([
    ['not enumerable', 'system=http://snomed.info/sct&code=1', 400, 'not-supported', 'system'],
    ['unknown system', 'system=urn:none&code=1', 404, 'not-found', 'system'],
    ['unknown code', `system=${ROLE}&code=none`, 404, 'not-found', 'code'],
    ['unknown version', `system=${ROLE}&code=TWIN&version=0`, 404, 'not-found', 'version'],
    ['no system', 'code=TWIN', 400, 'required', 'system'],
    ['no code', `system=${ROLE}`, 400, 'required', 'code'],
  ])('%s', async (_, query, status, code, expression) => {
    const answer = await get<OperationOutcome>(server, `CodeSystem/$lookup?${query}`);
    expect(answer.status).toBe(status);
    expect(answer.body.issue[0]).toMatchObject({ code, expression: [expression] });
  });

  test('$validate-code in a code system', async () => {
    const yes = await get<Parameters>(server, `CodeSystem/$validate-code?url=${ROLE}&code=TWIN`);
    const no = await get<Parameters>(server, `CodeSystem/v3-RoleCode/$validate-code?code=none`);
    expect(value(yes.body, 'result')).toBe(true);
    expect(value(no.body, 'result')).toBe(false);
  });
});
