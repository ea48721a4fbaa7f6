/** Extensions with the place where each stands, so that what is wrong with one can be said of it. @see https://hl7.org/fhir/R4/fhirpath.html */
import type { Extension } from '@medplum/fhirtypes';
import { errorIssue, type Issue } from '../../fhir/outcome.ts';
import type { Extended } from '../extension.ts';

export interface Placed {
  readonly e: Extension;
  /** `Schedule.extension[0].extension[2]` */
  readonly at: string;
}

/** Those of a URL. @param at of whatever bears them */
export const placed = (from: Extended, at: string, url: string): readonly Placed[] =>
  (from.extension ?? []).flatMap((e, i) => (e.url === url ? [{ e, at: `${at}.extension[${i}]` }] : []));

export const partsOf = ({ e, at }: Placed, url: string): readonly Placed[] => placed(e, at, url);

/** About the value of an extension. */
export const wrongValue = ({ at }: Placed, diagnostics: string): Issue =>
  errorIssue('value', diagnostics, `${at}.value`);

/** About an extension as a whole. */
export const wrong = ({ at }: Placed, diagnostics: string): Issue => errorIssue('business-rule', diagnostics, at);
