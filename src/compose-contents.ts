/** Contents straight from the database, for tools that look at what is there while no server answers for it. */
import type { ClientConfig } from 'pg';
import { runForKeys } from './compose-keys.ts';
import { plainContent } from './fhir/store/content.ts';
import { createSealedContent } from './fhir/store/sealed-content.ts';
import { createDataKeys } from './platform/data-keys.ts';
import type { RootKeys } from './platform/root-keys.ts';

/** As a query for `id, version::text, content` returns it; a deletion has no content. */
export type ContentRow = readonly [id: string, version: string, content: string | null];

export interface Contents {
  /** @returns their texts @throws UnreadableContent when one cannot be opened */
  decode(type: string, rows: readonly ContentRow[]): Promise<readonly (string | undefined)[]>;
  close(): Promise<void>;
}

const STATEMENT_TIMEOUT_MS = 60_000;

/** @param types whose content is sealed, unless the whole database is plain */
export async function openContents(app: ClientConfig, roots: RootKeys, types: readonly string[]): Promise<Contents> {
  const { run, close } = runForKeys(app, STATEMENT_TIMEOUT_MS);
  const keys = createDataKeys(run, roots);
  const { rows } = await run(`select value from installation where name = 'content'`, []);
  const codec =
    rows[0]?.[0] === 'plain'
      ? plainContent
      : createSealedContent(
          types.map((type) => ({ type, sealed: { plain: [] }, storage: 'ordinary' })),
          keys,
          () => undefined,
        );
  return {
    async decode(type, found) {
      await codec.ready(found);
      return found.map(([id, version, content]) =>
        content === null ? undefined : codec.decode(type, id, Number(version), content),
      );
    },
    async close() {
      keys.close();
      await close();
    },
  };
}
