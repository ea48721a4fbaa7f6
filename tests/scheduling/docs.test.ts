/** docs/booking-api.md does what it says: its examples are sent in order. https://profiles.ihe.net/ITI/Scheduling/volume-2.html */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Json } from '../http/client.ts';
import { openClinic, workday, type Clinic } from './clinic.ts';

let clinic: Clinic;
beforeAll(async () => void (clinic = await openClinic()));
afterAll(() => clinic.close());

const page = readFileSync(new URL('../../docs/booking-api.md', import.meta.url), 'utf8');
const blocks = [...page.matchAll(/```http(?: (staff))?\n([\s\S]*?)```/g)].map((m) => ({
  who: m[1],
  block: m[2] ?? '',
}));

/** `entry[0].resource.id` */
const at = (value: Json, path: string): unknown =>
  path
    .split(/[.[\]]+/)
    .filter((p) => p !== '')
    .reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);

test('the examples, one after the other', async () => {
  expect(blocks.length).toBeGreaterThan(6);
  const known = new Map([['day', workday(9)]]);
  for (const { who, block } of blocks) {
    const filled = block.replaceAll(/\{(\w+)\}/g, (_, name: string) => known.get(name) ?? `{${name}}`);
    const [request = '', reply = ''] = filled.split('\n\n');
    const [line = '', ...body] = request.split('\n');
    const [method = '', path = ''] = line.split(' ');
    const send = who === 'staff' ? clinic.staff : clinic.ann;
    const answer = await send(method, path, body.length > 0 ? body.join('\n') : undefined);
    const [, status = '', type = '', ...named] = reply.trim().split(' ');
    expect([answer.status, answer.body['resourceType']], `${line}: ${answer.text}`).toEqual([Number(status), type]);
    for (const pair of named) {
      const [name = '', where = ''] = pair.split('=');
      const value = at(answer.body, where);
      expect(typeof value, `${line}: ${where}`).toBe('string');
      known.set(name, String(value));
    }
  }
});
