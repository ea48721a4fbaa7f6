/** Times that may be booked as a searchset of proposed Appointments. @see https://profiles.ihe.net/ITI/Scheduling/ITI-115.html */
import { toOutcome, type Issue } from '../fhir/outcome.ts';
import type { Actor } from './actor.ts';
import type { FreeStart } from './find.ts';
import type { SchedulingParts } from './parts.ts';
import { proposalText } from './proposed.ts';

export interface FindPage {
  /** Those of this page. */
  readonly starts: readonly FreeStart[];
  readonly total: number;
  /** Who is to be seen; proposals say so. */
  readonly patients: readonly Actor[];
  /** `ServiceRequest/1`: the order that they are for. */
  readonly order: string | undefined;
  readonly issues: readonly Issue[];
  /** Links to this page and the next, as JSON. */
  readonly links: readonly { readonly relation: 'self' | 'next'; readonly url: string }[];
}

const patientText = ({ reference, display }: Actor): string =>
  `,${JSON.stringify({
    actor: { reference, ...(display === undefined ? {} : { display }) },
    required: 'required',
    status: 'needs-action',
  })}`;

/** Rooms or devices of which any will do are not named: one is chosen when the time is taken. */
export function findBundle(
  { engine, proposals }: SchedulingParts,
  { starts, total, patients, order, issues, links }: FindPage,
): string {
  const added = patients.map(patientText).join('');
  const basedOn = order === undefined ? '' : `,"basedOn":${JSON.stringify([{ reference: order }])}`;
  let entries = '';
  for (const { offer, start, room } of starts) {
    if (entries !== '') entries += ',';
    entries += proposalText(proposals, engine.baseUrl, offer, start, room, added, basedOn);
  }
  const outcome =
    issues.length > 0 ? `{"resource":${JSON.stringify(toOutcome(issues))},"search":{"mode":"outcome"}}` : '';
  const all = [entries, outcome].filter((text) => text !== '').join(',');
  return (
    `{"resourceType":"Bundle","type":"searchset","total":${total}` +
    (links.length > 0 ? `,"link":${JSON.stringify(links)}` : '') +
    `${all === '' ? '' : `,"entry":[${all}]`}}`
  );
}
