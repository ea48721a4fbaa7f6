/** Lists the codes of a value set. @see https://hl7.org/fhir/R4/valueset-operation-expand.html */
import type { ValueSet, ValueSetExpansionContains, ValueSetExpansionParameter } from '@medplum/fhirtypes';
import type { Concept, Engine } from '../fhir/engine.ts';
import { defineOperation, refuseParameters, type OperationInput } from '../fhir/operation-parameters.ts';
import { badRequest } from '../fhir/outcome.ts';
import { notEnumerable } from '../fhir/terminology/code-check.ts';
import { withoutVersion } from '../fhir/terminology/model.ts';
import { isOpen, readStored, targetUrl } from '../fhir/terminology/target.ts';
import { newId } from '../platform/id.ts';

const UNCLOSED = 'http://hl7.org/fhir/StructureDefinition/valueset-unclosed';

const words = (text: string): string[] =>
  text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((w) => w !== '');

/** Characters of a filter: every word of it is compared with every code. */
const MAX_FILTER = 200;

/** Every word of the filter begins a word of the code or its display. */
function matcher(filter: string): (concept: Concept) => boolean {
  if (filter.length > MAX_FILTER) {
    throw badRequest('too-long', `Parameter filter is longer than ${MAX_FILTER} characters: shorten it.`, 'filter');
  }
  const wanted = words(filter);
  return (concept) => {
    const present = words(`${concept.code} ${concept.display ?? ''}`);
    return wanted.every((w) => present.some((p) => p.startsWith(w)));
  };
}

function selected(concepts: readonly Concept[], input: OperationInput): readonly Concept[] {
  const excluded = new Set(input.texts('exclude-system').map(withoutVersion));
  const filter = input.text('filter');
  const matches = filter === undefined ? () => true : matcher(filter);
  return concepts.filter(
    (c) =>
      !excluded.has(c.system) &&
      !(c.inactive && input.boolean('activeOnly') === true) &&
      !(c.abstract && input.boolean('excludeNotForUI') === true) &&
      matches(c),
  );
}

/** A page's edge: a whole number, 0 or more. */
function notNegative(input: OperationInput, name: string): number | undefined {
  const value = input.integer(name);
  if (value !== undefined && value < 0) throw badRequest('value', `Parameter ${name} must be 0 or more.`, name);
  return value;
}

/** Everything that changed the expansion is recorded in it. */
function recorded(input: OperationInput, systems: ReadonlySet<string>, engine: Engine): ValueSetExpansionParameter[] {
  const version = (url: string): string => {
    const known = engine.terminology.codeSystem(url);
    return known !== undefined && known !== 'opaque' && known.version !== undefined ? `${url}|${known.version}` : url;
  };
  const filter = input.text('filter');
  const flags = ['activeOnly', 'excludeNotForUI'].filter((n) => input.boolean(n) !== undefined);
  const numbers = ['offset', 'count'].filter((n) => input.integer(n) !== undefined);
  return [
    ...(filter === undefined ? [] : [{ name: 'filter', valueString: filter }]),
    ...flags.map((name) => ({ name, valueBoolean: input.boolean(name) === true })),
    ...numbers.map((name) => ({ name, valueInteger: input.integer(name) ?? 0 })),
    ...input.texts('exclude-system').map((url) => ({ name: 'exclude-system', valueUri: url })),
    ...[...systems].map((url) => ({ name: 'version', valueUri: version(url) })),
  ];
}

const toContains = (c: Concept): ValueSetExpansionContains => ({
  system: c.system,
  ...(c.abstract ? { abstract: true } : {}),
  ...(c.inactive ? { inactive: true } : {}),
  code: c.code,
  ...(c.display === undefined ? {} : { display: c.display }),
});

export default defineOperation({
  code: 'expand',
  url: 'http://hl7.org/fhir/OperationDefinition/ValueSet-expand',
  system: false,
  type: true,
  instance: true,
  resourceTypes: ['ValueSet'],
  needs: ['read'],
  affectsState: false,
  async handle(engine, ctx, request, input) {
    refuseParameters(input, ['valueSet', 'context', 'contextDirection'], 'name a value set of this server by url.');
    refuseParameters(
      input,
      ['date', 'system-version', 'check-system-version', 'force-system-version'],
      'there is one version of each code system.',
    );
    const { terminology } = engine;
    const url = await targetUrl(
      engine,
      ctx,
      request,
      input,
      { url: 'url', version: 'valueSetVersion' },
      (u) => terminology.valueSet(u) ?? (isOpen(u) ? 'opaque' : undefined),
    );
    const all = terminology.expand(url);
    if (!all) throw notEnumerable(url, 'url');
    const concepts = selected(all, input);
    const offset = notNegative(input, 'offset') ?? 0;
    const count = notNegative(input, 'count');
    const page = concepts.slice(offset, count === undefined ? undefined : offset + count);
    const systems = new Set(all.map((c) => c.system));
    const unclosed = [...systems].some((s) => {
      const known = terminology.codeSystem(s);
      return known !== undefined && known !== 'opaque' && !known.complete;
    });
    const id = terminology.valueSet(url)?.id;
    const stored = id === undefined ? undefined : await readStored(engine, ctx, 'ValueSet', id);
    const definition: ValueSet =
      stored?.resourceType === 'ValueSet' ? stored : { resourceType: 'ValueSet', url, status: 'active' };
    const { text: _text, contained: _contained, compose, ...head } = definition;
    const parameter = recorded(input, systems, engine);
    const body: ValueSet = {
      ...head,
      ...(compose && input.boolean('includeDefinition') === true ? { compose } : {}),
      expansion: {
        ...(unclosed ? { extension: [{ url: UNCLOSED, valueBoolean: true }] } : {}),
        identifier: `urn:uuid:${newId(ctx.clock.now())}`,
        timestamp: new Date(ctx.clock.now()).toISOString(),
        total: concepts.length,
        ...(offset > 0 || count !== undefined ? { offset } : {}),
        ...(parameter.length > 0 ? { parameter } : {}),
        ...(page.length > 0 ? { contains: page.map(toContains) } : {}),
      },
    };
    return { status: 200, body };
  },
});
