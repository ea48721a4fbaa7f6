/** The order that a visit is for, as `$find`, `$hold` and `$book` are told of it. @see https://hl7.org/fhir/R4/servicerequest.html */
import type { Reference, ServiceRequest } from '@medplum/fhirtypes';
import type { RequestContext } from '../../fhir/context.ts';
import type { OperationInput } from '../../fhir/operation-parameters.ts';
import { badRequest } from '../../fhir/outcome.ts';
import { localReference } from '../../fhir/search/type/reference.ts';
import type { SchedulingParts } from '../parts.ts';
import { resolved } from './target.ts';

export interface Order {
  /** `ServiceRequest/1` */
  readonly reference: string;
  /** `Patient/1` */
  readonly patient: string | undefined;
  /** `HealthcareService/1` */
  readonly services: readonly string[];
  /** Who shall see the patient: `Practitioner/1`. */
  readonly performers: readonly string[];
  /** When the visit should take place. */
  readonly due: { readonly start?: string; readonly end?: string } | undefined;
}

/** Asked for by reference or, in the words of ITI-115, by the identifier of the referral. */
function askedFor(input: OperationInput): readonly [Reference, string] | undefined {
  const reference = input.names.has('based-on') ? input.reference('based-on') : undefined;
  if (reference) return [reference, 'based-on'];
  const identifier = input.names.has('referral-identifier') ? input.identifier('referral-identifier') : undefined;
  return identifier && [{ identifier }, 'referral-identifier'];
}

/** The referral of somebody else need not be known here. @throws FhirError 400 for an order that whoever asks may not read */
export async function orderFrom(
  parts: SchedulingParts,
  ctx: RequestContext,
  input: OperationInput,
): Promise<Order | undefined> {
  const asked = askedFor(input);
  if (!asked) return undefined;
  const { repository, baseUrl } = parts.engine;
  const [named, parameter] = asked;
  const mayRead = ctx.access.to('read').reach('ServiceRequest') !== 'none';
  const reference = mayRead ? await resolved(parts, ctx, named, 'ServiceRequest') : undefined;
  const id = reference?.startsWith('ServiceRequest/') === true ? reference.slice('ServiceRequest/'.length) : undefined;
  const stored = id === undefined ? undefined : await repository.read('ServiceRequest', id, ctx.access.to('read'));
  if (reference === undefined || stored?.content === undefined) {
    if (parameter === 'referral-identifier') return undefined;
    throw badRequest('not-found', 'The ServiceRequest is not known here: name one that you may read.', parameter);
  }
  const order = JSON.parse(stored.content) as ServiceRequest;
  const of = (list: readonly Reference[] | undefined, types: RegExp): string[] =>
    (list ?? []).map((r) => localReference(r.reference ?? '', baseUrl)).filter((r) => types.test(r));
  const [patient] = of([order.subject], /^Patient\//);
  const at = order.occurrenceDateTime;
  return {
    reference,
    patient,
    services: of(order.supportingInfo, /^HealthcareService\//),
    performers: of(order.performer, /^Practitioner(?:Role)?\//),
    due: order.occurrencePeriod ?? (at === undefined ? undefined : { start: at, end: at }),
  };
}
