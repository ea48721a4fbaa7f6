/**
 * History under an access that does not cover every row: old versions have no columns, so they are read in portions and judged one by one
 * by their content. Bounded, as a search is that re-checks its candidates.
 * @see https://hl7.org/fhir/R4/http.html#history
 */
import type { Rows } from '../access.ts';
import { breather } from '../breathe.ts';
import { badRequest } from '../outcome.ts';
import type { HistoryQuery, StoredVersion } from './repository.ts';
import { versionVisible } from './visible.ts';

/** One portion, newest first. */
export type FetchVersions = (query: HistoryQuery) => Promise<readonly StoredVersion[]>;

const PORTION = 500;
const PORTION_BYTES = 8 * 1024 * 1024;
/** Versions that one request may look at. */
const MOST = 20_000;

const tooCostly = (): Error =>
  badRequest(
    'too-costly',
    `More than ${MOST} versions would have to be looked at one by one: ask for the history of one resource, or narrow it by _since.`,
  );

/** Visits visible versions until told to stop. */
async function eachVisible(
  fetch: FetchVersions,
  query: Omit<HistoryQuery, 'count' | 'bytes'>,
  portion: number,
  access: Rows,
  visit: (version: StoredVersion) => boolean,
): Promise<void> {
  const breathe = breather();
  let seen = 0;
  let after = query.after;
  for (;;) {
    const found = await fetch({ ...query, count: portion, bytes: PORTION_BYTES, ...(after ? { after } : {}) });
    seen += found.length;
    for (const version of found) {
      if (versionVisible(version, access) && !visit(version)) return;
      const pause = breathe();
      if (pause) await pause;
    }
    after = found.at(-1);
    if (!after) return;
    if (seen > MOST) throw tooCostly();
  }
}

/** As many visible versions as are asked for; fewer, but at least one, when they are larger than a reply. */
export async function visiblePage(fetch: FetchVersions, query: HistoryQuery, access: Rows): Promise<StoredVersion[]> {
  const { count, bytes = Infinity, ...rest } = query;
  const page: StoredVersion[] = [];
  let size = 0;
  await eachVisible(fetch, rest, Math.min(Math.max(count, 20), PORTION), access, (version) => {
    page.push(version);
    size += version.content === undefined ? 0 : Buffer.byteLength(version.content);
    return page.length < count && size < bytes;
  });
  return page;
}

/** Number of visible versions. */
export async function countVisible(
  fetch: FetchVersions,
  query: Omit<HistoryQuery, 'count' | 'after'>,
  access: Rows,
): Promise<number> {
  const { bytes: _, ...rest } = query;
  let number = 0;
  await eachVisible(fetch, rest, PORTION, access, () => ++number > 0);
  return number;
}
