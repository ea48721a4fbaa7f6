/**
 * The first pass over the input: validates each resource by itself, and notes which there are and who refers to whom.
 */
import type { Resource } from '@medplum/fhirtypes';
import type { Engine } from '../fhir/engine.ts';
import { demandValid } from '../fhir/interaction/write.ts';
import { errorIssue, FhirError, type Issue } from '../fhir/outcome.ts';
import { relativeToBase } from '../fhir/own-base.ts';
import { isResourceId, RESOURCE_ID_HINT } from '../fhir/resource-id.ts';
import { collectReferences } from '../fhir/validation/references.ts';
import { fingerprint, idOf, isUrn, keyOf, withResolved } from './identity.ts';
import type { Ledger } from './ledger.ts';
import type { Item, Place } from './source.ts';

const LOCAL = /^([A-Z][A-Za-z]{1,63})\/([A-Za-z0-9.-]{1,64})(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/;
const CONDITIONAL = /^[A-Z][A-Za-z]+\?/;
/** Marks a conditional reference in the ledger: never the name of anything. */
export const CONDITIONAL_MARK = 'urn:uuid:conditional:';

/** What becomes of an item in the second pass: it is left out, or it is the resource of this number. */
export type Verdict = 'left out' | { readonly number: number; readonly named: boolean };

export interface FirstPass {
  readonly engine: Engine;
  readonly ledger: Ledger;
  refuse(place: Place, type: string, key: string | undefined, issues: readonly Issue[]): void;
}

/** Why resources of this type or id cannot come in at all. */
function closed(engine: Engine, type: string, id: string): Issue | undefined {
  const declaration = engine.resources.get(type);
  if (!declaration) {
    return errorIssue(
      'not-supported',
      type === '' ? 'resourceType is missing.' : `${type} is not served here.`,
      'resourceType',
    );
  }
  if (!declaration.interactions.includes('create')) {
    return errorIssue('not-supported', `${type} is read-only here: the server alone writes it.`, 'resourceType');
  }
  return isResourceId(id) ? undefined : errorIssue('value', `The id must be ${RESOURCE_ID_HINT}.`, `${type}.id`);
}

/**
 * The resource with its id, and with the `urn:` references that name entries replaced by `Type/id`: those of the same Bundle first.
 * @param named whether it has such references
 * @param elsewhere the resource that bears a name outside the Bundle
 */
export function settled(
  item: Item,
  id: string,
  named: boolean,
  elsewhere: (urn: string) => string | undefined,
): unknown {
  const resolve = (urn: string): string | undefined => {
    const sibling = item.siblings?.get(urn);
    return sibling ? keyOf(sibling) : elsewhere(urn);
  };
  const tree = named ? withResolved(item.tree, resolve) : item.tree;
  return 'id' in item.tree ? tree : Object.assign({ resourceType: undefined, id }, tree);
}

/** Notes what the resource refers to, as far as it must be there. */
function link({ engine, ledger }: FirstPass, key: string, resource: Resource): void {
  for (const { reference, expression } of collectReferences(resource)) {
    const relative = relativeToBase(reference, engine.baseUrl);
    const match = LOCAL.exec(relative);
    const target = match
      ? `${match[1]}/${match[2]}`
      : CONDITIONAL.test(relative)
        ? CONDITIONAL_MARK + relative
        : relative;
    const checked = match ? engine.resources.has(match[1] ?? '') : isUrn(target);
    // What refers to itself has its target as soon as it is there.
    if (checked && target !== key) ledger.link(key, target, expression);
  }
}

/** Checks one resource and enters it into the ledger. */
export function firstPass(pass: FirstPass, item: Item): Verdict {
  const { engine, ledger } = pass;
  const type = typeof item.tree['resourceType'] === 'string' ? item.tree['resourceType'] : '';
  const id = idOf(item);
  const key = `${type}/${id}`;
  const refuse = (issues: readonly Issue[]): Verdict => {
    pass.refuse(item.place, type, key, issues);
    return 'left out';
  };
  const shut = closed(engine, type, id);
  if (shut) {
    ledger.refuse(key);
    return refuse([shut]);
  }
  const named = collectReferences(item.tree).some((r) => isUrn(r.reference));
  let resource: Resource;
  try {
    resource = demandValid(
      engine,
      type,
      settled(item, id, named, () => undefined),
    );
  } catch (error) {
    if (!(error instanceof FhirError)) throw error;
    ledger.refuse(key);
    return refuse(error.issues);
  }
  const added = ledger.add(key, fingerprint(item.tree));
  if (added === 'again') return 'left out';
  if (added === 'taken') {
    const message = `Another resource of the input has the id ${id} and other content: give one of them another id.`;
    return refuse([errorIssue('duplicate', message, `${type}.id`)]);
  }
  if (item.fullUrl !== undefined && isUrn(item.fullUrl)) ledger.name(item.fullUrl, key);
  if (engine.validateReferences) link(pass, key, resource);
  return { number: added, named };
}
