/** Patients as a server without encryption has them, for the floor of reads: it sends what stands in a row, and must not have more to send. */
import { Client } from 'pg';
import type { ContentCodec } from '../fhir/store/content.ts';
import type { EmbeddedPostgres } from '../platform/embedded-postgres.ts';
import { copyInto, copyRow } from './copy.ts';

const PAGE = 2000;

/** Fills `bench.patient` from `patient`. */
export async function makePlainCopy({ owner, app }: EmbeddedPostgres, codec: ContentCodec): Promise<void> {
  const client = new Client(owner);
  await client.connect();
  try {
    await client.query(`create schema if not exists bench;
      drop table if exists bench.patient;
      create table bench.patient (id text collate "C" primary key, content text not null);
      set search_path = bench, public`);
    await client.query(`grant usage on schema bench to ${client.escapeIdentifier(app.user ?? '')}`);
    await client.query(`grant select on bench.patient to ${client.escapeIdentifier(app.user ?? '')}`);
    for (let after = ''; ;) {
      const { rows } = await client.query<[string, number, string]>({
        text: `select id, version, content from public.patient where id > $1 order by id limit ${PAGE}`,
        values: [after],
        rowMode: 'array',
      });
      const last = rows.at(-1);
      if (!last) break;
      await codec.ready(rows.map(([, , content]) => [content]));
      const chunk = rows.map(([id, version, content]) => copyRow([id, codec.decode('Patient', id, version, content)]));
      await copyInto(client, 'patient', ['id', 'content'], [chunk.join('')]);
      after = last[0];
    }
    await client.query('vacuum (analyze) bench.patient');
  } finally {
    await client.end();
  }
}
