/** Which refusals hold for a repeated request, and which let it try again: docs/rest.md, Idempotency-Key. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { RequestContext } from '../../../src/fhir/context.ts';
import type { Engine } from '../../../src/fhir/engine.ts';
import { create } from '../../../src/fhir/interaction/create.ts';
import { errorIssue, FhirError } from '../../../src/fhir/outcome.ts';
import { createdId, patient, type Answer } from '../client.ts';
import { creating, newKey, openKeyedServer, replayed, told, type KeyedServer } from './keyed.ts';
import { contentsOf } from '../../support/contents.ts';

let keyed: KeyedServer;
beforeAll(async () => void (keyed = await openKeyedServer()));
afterAll(() => keyed.close());
beforeEach(() => void (keyed.exchanges.length = 0));

/** Makes a Basic, and tells of it. */
const effect = (engine: Engine, ctx: RequestContext, text: string): Promise<unknown> =>
  create(engine, ctx, creating({ resourceType: 'Basic', code: { text } }));

const effects = async (text: string): Promise<number> =>
  (await contentsOf(keyed.server.kairos, 'Basic')).filter((found) => found.text.includes(`"${text}"`)).length;

const refusal = (status: number, headers: Readonly<Record<string, string>> = {}): FhirError =>
  new FhirError(status, [errorIssue('conflict', `no: ${status}`)], headers);

/** Calls `$work` twice under one key. */
async function twice(): Promise<readonly [Answer, Answer]> {
  const key = newKey();
  const call = (): Promise<Answer> => keyed.send('POST', '$work', { resourceType: 'Parameters' }, key);
  return [await call(), await call()];
}

describe('because of how things stood: kept, and given again when they stand otherwise', () => {
  test('412: the version has come since', async () => {
    const id = await createdId(keyed.send, patient());
    const key = newKey();
    const put = (more: Readonly<Record<string, string>>): Promise<Answer> =>
      keyed.send('PUT', `Patient/${id}`, patient({ id }), { 'If-Match': 'W/"2"', ...more });
    const first = await put(key);
    expect(first.status).toBe(412);
    await keyed.send('PUT', `Patient/${id}`, patient({ id }));
    const second = await put(key);
    expect([told(second), replayed(second)]).toEqual([told(first), true]);
    expect((await put(newKey())).status).toBe(200);
  });

  test('422: what is referred to has come since', async () => {
    const key = newKey();
    const link = (id: string): object => patient({ managingOrganization: { reference: `Organization/${id}` } });
    const first = await keyed.send('POST', 'Patient', link('late-one'), key);
    expect(first.status).toBe(422);
    await keyed.send('PUT', 'Organization/late-one', { resourceType: 'Organization', id: 'late-one', name: 'x' });
    const second = await keyed.send('POST', 'Patient', link('late-one'), key);
    expect([told(second), replayed(second)]).toEqual([told(first), true]);
    expect((await keyed.send('POST', 'Patient', link('late-one'), newKey())).status).toBe(201);
  });

  test.each([409, 412, 422])('%i: what was done before it is undone', async (status) => {
    let runs = 0;
    keyed.work(async (engine, ctx) => {
      runs++;
      await effect(engine, ctx, `kept-${status}`);
      throw refusal(status);
    });
    const [first, second] = await twice();
    expect([first.status, told(second), replayed(second), runs]).toEqual([status, told(first), true, 1]);
    expect(await effects(`kept-${status}`)).toBe(0);
    expect(keyed.exchanges.map((e) => e.events)).toEqual([
      [{ interaction: 'operation', outcome: 'failure' }],
      [{ interaction: 'operation', operation: 'work', resources: [], outcome: 'failure', replayed: true }],
    ]);
  });

  test('an operation that answers 409 itself has done what it wanted to', async () => {
    keyed.work(async (engine, ctx) => {
      await effect(engine, ctx, 'answered');
      return { status: 409, body: { resourceType: 'OperationOutcome', issue: [] } };
    });
    const [first, second] = await twice();
    expect([first.status, told(second), await effects('answered')]).toEqual([409, told(first), 1]);
  });
});

describe('everything else: nothing is done or kept, and the request runs again', () => {
  test.each([400, 401, 403, 404, 410, 413, 429, 500, 503])('%i', async (status) => {
    let runs = 0;
    keyed.work(async (engine, ctx) => {
      await effect(engine, ctx, `undone-${status}`);
      if (++runs === 1) throw refusal(status);
      return { status: 200, body: { resourceType: 'Basic', code: {} } };
    });
    const [first, second] = await twice();
    expect([first.status, second.status, replayed(second), runs]).toEqual([status, 200, false, 2]);
    expect(await effects(`undone-${status}`)).toBe(1);
  });

  test('409 with Retry-After: it is meant to be sent again', async () => {
    let runs = 0;
    keyed.work(async (engine, ctx) => {
      await effect(engine, ctx, 'later');
      if (++runs === 1) throw refusal(409, { 'Retry-After': '1' });
      return { status: 200, body: { resourceType: 'Basic', code: {} } };
    });
    const [first, second] = await twice();
    expect([first.status, second.status, await effects('later')]).toEqual([409, 200, 1]);
  });

  test('an error that nobody foresaw, and an answer that is none to keep', async () => {
    let runs = 0;
    keyed.work(async (engine, ctx) => {
      await effect(engine, ctx, 'unforeseen');
      if (++runs === 1) throw new Error('unforeseen');
      return { status: 404, body: { resourceType: 'OperationOutcome', issue: [] } };
    });
    const [first, second] = await twice();
    expect([first.status, second.status, runs, await effects('unforeseen')]).toEqual([500, 404, 2, 0]);
    expect(keyed.exchanges.map((e) => e.events)).toEqual([
      [{ interaction: 'operation', outcome: 'failure' }],
      [{ interaction: 'operation', outcome: 'failure' }],
    ]);
  });

  test('a key that came with what is malformed is free for what is not', async () => {
    const key = newKey();
    expect((await keyed.send('POST', 'Patient', '{', key)).status).toBe(400);
    expect((await keyed.send('POST', 'Patient', patient(), key)).status).toBe(201);
  });

  test('a body beyond its limit: 413, as without a key', async () => {
    const large = JSON.stringify(patient({ active: true })).padEnd(keyed.server.engine.limits.resourceBytes + 1);
    expect((await keyed.send('POST', 'Patient', large, newKey())).status).toBe(413);
    const raw = { 'Content-Type': 'text/plain', ...newKey() };
    expect((await keyed.send('POST', 'Binary', 'x'.repeat(800_000), raw)).status).toBe(413);
  });
});
