/**
 * Search of a type, a compartment and the whole system, by GET and POST.
 * @see https://hl7.org/fhir/R4/http.html#search
 */
import type { RequestContext } from '../context.ts';
import type { Engine } from '../engine.ts';
import { readForm } from '../http/body.ts';
import { demandNoToken } from '../http/challenge.ts';
import { demandJson, demandSummary, strictHandling, wantsPretty } from '../http/negotiate.ts';
import { prettyBody } from '../http/pretty.ts';
import type { FhirRequest, Handler, Reply } from '../http/request.ts';
import type { Query, SearchTarget } from '../search/contract.ts';
import { search } from '../search/search.ts';

/** For the record: the search as one query string. */
const written = (query: Query): string =>
  query.map(([n, v]) => `${encodeURIComponent(n)}=${encodeURIComponent(v)}`).join('&');

async function run(engine: Engine, ctx: RequestContext, request: FhirRequest, target: SearchTarget): Promise<Reply> {
  const sent = request.method === 'POST' && request.body.kind === 'stream';
  const form = sent ? await readForm(engine, request) : [];
  const query = form.length === 0 ? request.query : [...request.query, ...form];
  if (sent) {
    demandNoToken(form);
    demandJson(request.header('accept'), query);
    demandSummary(query);
  }
  // What the address asks for is done at the edge.
  const pretty = sent && wantsPretty(query) && !wantsPretty(request.query);
  const found = await search(engine, ctx, target, query, { strict: strictHandling(request.header('prefer')) });
  ctx.emit({
    interaction: target.type === undefined ? 'search-system' : 'search-type',
    ...(target.type === undefined ? {} : { type: target.type }),
    resources: found.resources,
    shown: found.shown,
    query: written(query),
    outcome: 'success',
  });
  return { status: 200, body: pretty ? await prettyBody(found.body) : found.body };
}

export const searchType: Handler = async (engine, ctx, request) => {
  const type = request.type ?? '';
  ctx.access.demand('search-type', type);
  return run(engine, ctx, request, { type });
};

export const searchCompartment: Handler = async (engine, ctx, request) => {
  const compartment = { code: request.type ?? '', id: request.id ?? '' };
  const type = request.compartmentType === '*' ? undefined : request.compartmentType;
  ctx.access.demand(type === undefined ? 'search-system' : 'search-type', type);
  return run(engine, ctx, request, { compartment, ...(type === undefined ? {} : { type }) });
};

export const searchSystem: Handler = async (engine, ctx, request) => {
  ctx.access.demand('search-system');
  return run(engine, ctx, request, {});
};
