/** `_history` of an instance, a type and the system, newest first, paged by a signed position. @see https://hl7.org/fhir/R4/http.html#history */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Act } from '../access.ts';
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { etagOf } from '../http/preconditions.ts';
import type { FhirRequest, Handler, Reply } from '../http/request.ts';
import { strictHandling } from '../http/negotiate.ts';
import { badRequest, notFound, type FhirError } from '../outcome.ts';
import { mayOverflow } from '../search/matches.ts';
import { parseMoment } from '../search/moment.ts';
import type { HistoryQuery, StoredVersion } from '../store/repository.ts';
import { isLive } from './version.ts';

type Position = NonNullable<HistoryQuery['after']>;

const TAG_BYTES = 16;

/** Binds a position to the history that it belongs to, and to what of it the caller sees. */
const tagOf = (engine: Engine, scope: string, text: string): Buffer =>
  createHmac('sha256', engine.cursorKey).update(`history\n${scope}\n${text}`).digest().subarray(0, TAG_BYTES);

function writeCursor(engine: Engine, scope: string, last: Position): string {
  const text = [last.lastUpdated.getTime(), last.type, last.id, last.version].join('|');
  return `${Buffer.from(text).toString('base64url')}.${tagOf(engine, scope, text).toString('base64url')}`;
}

/** @throws FhirError 400 */
function readCursor(engine: Engine, scope: string, cursor: string): Position {
  const [encoded = '', signature = ''] = cursor.split('.');
  const text = Buffer.from(encoded, 'base64url').toString();
  const given = Buffer.from(signature, 'base64url');
  const [at = '', type = '', id = '', version = ''] = text.split('|');
  if (given.length !== TAG_BYTES || !timingSafeEqual(given, tagOf(engine, scope, text))) {
    throw badRequest(
      'value',
      'This page link is not one of ours, or for another history: follow the link "next" as it stands.',
      '_cursor',
    );
  }
  return { lastUpdated: new Date(Number(at)), type, id, version: Number(version) };
}

interface Asked {
  readonly query: Omit<HistoryQuery, 'type' | 'id'>;
  /** Parameters understood, for the links; without the position. */
  readonly echo: readonly (readonly [string, string])[];
}

/** Parameters that history knows and that leave its entries as they are. */
const PRESENTATION: ReadonlySet<string> = new Set(['_format', '_pretty', '_total']);

/** Parameters that would change the entries, with the values that don't: a history Bundle has no place to say that one was ignored. */
const REFUSED: ReadonlyMap<string, readonly string[]> = new Map([
  ['_summary', ['', 'false']],
  ['_elements', ['']],
  ['_sort', ['', '-_lastUpdated']],
  ['_list', ['']],
  ['_type', ['']],
]);

const notSupported = (name: string): FhirError =>
  badRequest(
    'not-supported',
    `${name.slice(0, 64)} is not supported by history: it knows _count, _since and _at.`,
    name.slice(0, 64),
  );

/** The time that a parameter names. A literal `+` arrives as a space. @throws FhirError 400 */
function momentOf(name: string, value: string): { readonly low: number; readonly high: number } {
  const moment = parseMoment(value.replace(' ', '+'));
  if (moment) return moment;
  throw badRequest(
    'value',
    `${name}=${value.slice(0, 60)} is no date or time: write 2026-11-22 or 2026-11-22T09:00:00Z.`,
    name,
  );
}

function ask(engine: Engine, request: FhirRequest, binding: string): Asked {
  const { limits } = engine;
  let count = limits.pageSize;
  let since: Date | undefined;
  let at: HistoryQuery['at'];
  let after: Position | undefined;
  const echo: (readonly [string, string])[] = [];
  for (const [name, value] of request.query) {
    if (name === '_cursor') after = readCursor(engine, binding, value);
    else if (name === '_count') {
      if (!/^\d{1,9}$/.test(value))
        throw badRequest('value', `_count=${value.slice(0, 40)} is not a whole number from 0 to 999999999.`, '_count');
      count = Math.min(Number(value), limits.maxPageSize);
      echo.push([name, String(count)]);
    } else if (name === '_since') {
      since = new Date(momentOf(name, value).low);
      echo.push([name, value.replace(' ', '+')]);
    } else if (name === '_at') {
      const { low, high } = momentOf(name, value);
      at = { from: new Date(low), to: new Date(high) };
      echo.push([name, value.replace(' ', '+')]);
    } else if (REFUSED.has(name)) {
      if (REFUSED.get(name)?.includes(value) === false) throw notSupported(name);
    } else if (!PRESENTATION.has(name) && strictHandling(request.header('prefer'))) throw notSupported(name);
  }
  return { query: { count, ...(since ? { since } : {}), ...(at ? { at } : {}), ...(after ? { after } : {}) }, echo };
}

function entryOf(engine: Engine, version: StoredVersion): string {
  const { type, id, method } = version;
  const live = isLive(version);
  const url = method === 'POST' ? type : `${type}/${id}`;
  const status = !live ? '204 No Content' : version.version === 1 ? '201 Created' : '200 OK';
  return `{"fullUrl":${JSON.stringify(`${engine.baseUrl}/${type}/${id}`)},${live ? `"resource":${version.content},` : ''}"request":{"method":"${method}","url":${JSON.stringify(url)}},"response":{"status":"${status}","etag":${JSON.stringify(etagOf(version.version))},"lastModified":"${version.lastUpdated.toISOString()}"}}`;
}

const urlOf = (engine: Engine, scope: string, parameters: readonly (readonly [string, string])[]): string => {
  const query = parameters.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  return `${engine.baseUrl}/${scope === '' ? '' : `${scope}/`}_history${query === '' ? '' : `?${query}`}`;
};

/** As many versions as a reply holds, at least one. */
function cutPage(
  found: readonly StoredVersion[],
  count: number,
  bytes: number,
): { readonly page: readonly StoredVersion[]; readonly hasMore: boolean } {
  let size = 0;
  for (const [i, { content }] of found.entries()) {
    if (i === count) break;
    size += content === undefined ? 0 : Buffer.byteLength(content);
    // The store stops at the version that reaches the limit: then nobody knows whether it was the last.
    if (size >= bytes) return { page: found.slice(0, Math.max(i, 1)), hasMore: true };
  }
  return { page: found.slice(0, count), hasMore: found.length > count };
}

async function show(
  engine: Engine,
  ctx: RequestContext,
  request: FhirRequest,
  target: Pick<HistoryQuery, 'type' | 'id'>,
  act: Act,
): Promise<Reply> {
  const access = ctx.access.to(act);
  const scope = [target.type, target.id].filter((part) => part !== undefined).join('/');
  const binding = `${scope}\n${ctx.access.key}`;
  const { query, echo } = ask(engine, request, binding);
  const { count } = query;
  const bytes = engine.limits.replyBytes;
  const found =
    count === 0
      ? []
      : await engine.repository.history(
          { ...target, ...query, count: count + 1, ...(mayOverflow(engine, count) ? { bytes } : {}) },
          access,
        );
  const { page, hasMore } = cutPage(found, count, bytes);
  if (target.type !== undefined && target.id !== undefined && page.length === 0) {
    // A filter may leave nothing of a history; without one there is no such resource.
    if ((await engine.repository.read(target.type, target.id, access)) === undefined)
      throw notFound(target.type, target.id);
  }
  // Counting an instance's versions is cheap; those of a type or the system are counted when asked for.
  const counted =
    target.id !== undefined || count === 0 || request.query.some(([n, v]) => n === '_total' && v === 'accurate');
  const { count: _, after: __, ...filter } = query;
  const total = counted ? `"total":${await engine.repository.historyTotal({ ...target, ...filter }, access)},` : '';
  const self = urlOf(
    engine,
    scope,
    query.after ? [...echo, ['_cursor', writeCursor(engine, binding, query.after)]] : echo,
  );
  const last = page.at(-1);
  const links = [{ relation: 'self', url: self }];
  if (hasMore && last) {
    links.push({
      relation: 'next',
      url: urlOf(engine, scope, [...echo, ['_cursor', writeCursor(engine, binding, last)]]),
    });
  }
  ctx.emit({
    interaction:
      target.id !== undefined ? 'history-instance' : target.type !== undefined ? 'history-type' : 'history-system',
    ...(target.type === undefined ? {} : { type: target.type }),
    resources: page.map((v) => `${v.type}/${v.id}/_history/${v.version}`),
    shown: page,
    outcome: 'success',
  });
  const entries = page.length === 0 ? '' : `,"entry":[${page.map((v) => entryOf(engine, v)).join(',')}]`;
  return {
    status: 200,
    body: `{"resourceType":"Bundle","type":"history",${total}"link":${JSON.stringify(links)}${entries}}`,
  };
}

export const historyInstance: Handler = async (engine, ctx, request) => {
  const type = request.type ?? '';
  ctx.access.demand('history-instance', type);
  return show(engine, ctx, request, { type, id: request.id ?? '' }, 'read');
};

export const historyType: Handler = async (engine, ctx, request) => {
  const type = request.type ?? '';
  ctx.access.demand('history-type', type);
  return show(engine, ctx, request, { type }, 'search');
};

export const historySystem: Handler = async (engine, ctx, request) => {
  ctx.access.demand('history-system');
  return show(engine, ctx, request, {}, 'search');
};
