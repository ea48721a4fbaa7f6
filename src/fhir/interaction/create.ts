/** `POST [base]/[type]`, and with If-None-Exist. @see https://hl7.org/fhir/R4/http.html#create */
import { newId } from '../../platform/id.ts';
import { readJson } from '../http/body.ts';
import type { Handler } from '../http/request.ts';
import { decodePart, parseQuery } from '../http/url.ts';
import type { Query } from '../search/contract.ts';
import { onlyMatch } from './criteria.ts';
import { completed, demandStorable, replyToWrite, settle } from './write.ts';

/** Criteria of an If-None-Exist header: a query string, perhaps after `Type?` or `?`. */
export function noneExistCriteria(header: string): Query {
  const query = header.slice(header.indexOf('?') + 1).trim();
  decodePart(query, 'http.If-None-Exist');
  return parseQuery(query);
}

export const create: Handler = async (engine, ctx, request) => {
  const type = request.type ?? '';
  ctx.access.demand('create', type);
  const { repository } = engine;
  const sent = await demandStorable(engine, ctx.access, repository, type, await readJson(engine, request));
  const resource = await completed(engine, ctx.access, repository, sent);
  const ifNoneExist = request.header('if-none-exist');
  const now = ctx.clock.now();
  const write = settle(engine, resource, { id: newId(now), version: 1, lastUpdated: new Date(now), method: 'POST' });
  if (ifNoneExist === undefined) {
    await engine.repository.create(write, ctx.access.to('create'));
  } else {
    const criteria = noneExistCriteria(ifNoneExist);
    const existing = await engine.repository.transaction('serializable', async (tx) => {
      const match = await onlyMatch(engine, ctx, tx, type, criteria, 'create');
      if (!match) await tx.insert([write], ctx.access.to('create'));
      return match;
    });
    if (existing) {
      ctx.emit({ interaction: 'create', type, resources: [`${type}/${existing.id}`], outcome: 'success' });
      return replyToWrite(engine, ctx.access, request, 200, existing);
    }
  }
  ctx.emit({ interaction: 'create', type, resources: [`${type}/${write.id}`], outcome: 'success' });
  return replyToWrite(engine, ctx.access, request, 201, write);
};
