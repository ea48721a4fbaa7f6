/**
 * The floor to measure against, a process of its own: bare Hono routes with one prepared statement each for the rows that the server answers with,
 * and the server's inserts as a plain SQL script. Told by its parent which database to use.
 */
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { Pool, type ClientConfig, type CustomTypesConfig } from 'pg';
import type { Measured } from './client.ts';
import { runScript, type ScriptJob } from './script.ts';

export interface FloorStart {
  readonly kind: 'start';
  readonly connection: ClientConfig;
}

/** What the route `/occupancy/<key>` answers with. */
export interface FloorAnswer {
  readonly kind: 'answer';
  readonly key: string;
  readonly body: string;
}

const POOL = 10;
const JSON_TYPE = { 'content-type': 'application/fhir+json; charset=utf-8' };
const TEXT_VALUES: CustomTypesConfig = { getTypeParser: () => (value: string) => value };

const SLOTS = `select content from slot where schedule = $1 and status = 'free' and start >= $2 and start < $3 order by start, id limit 20`;
const NAMES = `select content from patient where name @> string_to_array($1, ',')::int[] order by id limit 20`;
const APPOINTMENTS = `
  with a as (select content, patient from appointment
              where actor @> array[$1] and date >= $2 and date < $3 order by date, id limit 20)
  select content from a
  union all
  select p.content from patient p where p.id in (select substr(r, 9) from a, unnest(a.patient) r)`;

const OCCUPANCY = `
  select o.actor, lower(o.during), upper(o.during), o.lane, o.capacity
    from unnest(string_to_array($1, ',')::uuid[]) a join occupancy o on o.actor = a and not o.override
   where o.during && tstzrange($2::timestamptz, $3::timestamptz)`;

const answers = new Map<string, string>();

function routes(pool: Pool): Hono {
  const rows = async (name: string, text: string, values: readonly string[]): Promise<string[]> => {
    const { rows: found } = await pool.query<[string]>({ name, text, values: [...values], rowMode: 'array' });
    return found.map(([content]) => content);
  };
  const bundle = (contents: readonly string[]): string =>
    `{"resourceType":"Bundle","type":"searchset","entry":[${contents.map((c) => `{"resource":${c}}`).join(',')}]}`;
  const app = new Hono();
  app.get('/read/:id', async (c) => {
    const [content] = await rows('read', 'select content from bench.patient where id = $1', [c.req.param('id')]);
    return content === undefined ? c.body(null, 404) : c.body(content, 200, JSON_TYPE);
  });
  app.get('/slots/:schedule/:from/:to', async (c) => {
    const { schedule, from, to } = c.req.param();
    return c.body(bundle(await rows('slots', SLOTS, [`Schedule/${schedule}`, from, to])), 200, JSON_TYPE);
  });
  app.get('/names/:tags', async (c) =>
    c.body(bundle(await rows('names', NAMES, [c.req.param('tags')])), 200, JSON_TYPE),
  );
  app.get('/appointments/:practitioner/:from/:to', async (c) => {
    const { practitioner, from, to } = c.req.param();
    return c.body(
      bundle(await rows('appointments', APPOINTMENTS, [`Practitioner/${practitioner}`, from, to])),
      200,
      JSON_TYPE,
    );
  });
  app.get('/occupancy/:key/:actors/:from/:to', async (c) => {
    const { key, actors, from, to } = c.req.param();
    await rows('occupancy', OCCUPANCY, [actors, from, to]);
    return c.body(answers.get(key) ?? '', 200, JSON_TYPE);
  });
  return app;
}

let connection: ClientConfig = {};
process.on('message', (message: FloorStart | FloorAnswer | ScriptJob) => {
  if (message.kind === 'answer') {
    answers.set(message.key, message.body);
    return;
  }
  if (message.kind === 'script') {
    runScript(connection, message).then(
      (measured) => process.send?.(measured),
      (error: unknown) =>
        process.send?.({
          perSecond: 0,
          p50Ms: Number.NaN,
          p99Ms: Number.NaN,
          failures: 1,
          firstFailure: String(error),
        } satisfies Measured),
    );
    return;
  }
  connection = message.connection;
  const pool = new Pool({ ...connection, max: POOL, types: TEXT_VALUES });
  // The database is stopped while it is idle.
  pool.on('error', () => undefined);
  const server = serve({ fetch: routes(pool).fetch, port: 0, hostname: '127.0.0.1' }, (address) =>
    process.send?.({ port: address.port }),
  );
  process.once('disconnect', () => {
    server.close();
    void pool.end();
  });
});
