/**
 * Errors and OperationOutcomes: thrown once as FhirError, rendered once at the edge.
 * @see https://hl7.org/fhir/R4/operationoutcome.html
 */
import type { OperationOutcome, Resource } from '@medplum/fhirtypes';

/** Codes of http://hl7.org/fhir/issue-type that the server uses. */
export type IssueCode =
  | 'invalid'
  | 'structure'
  | 'required'
  | 'value'
  | 'invariant'
  | 'security'
  | 'login'
  | 'unknown'
  | 'expired'
  | 'forbidden'
  | 'processing'
  | 'not-supported'
  | 'duplicate'
  | 'multiple-matches'
  | 'not-found'
  | 'deleted'
  | 'too-long'
  | 'code-invalid'
  | 'extension'
  | 'too-costly'
  | 'business-rule'
  | 'conflict'
  | 'transient'
  | 'lock-error'
  | 'no-store'
  | 'exception'
  | 'timeout'
  | 'incomplete'
  | 'throttled'
  | 'informational';

export interface Issue {
  readonly severity: 'fatal' | 'error' | 'warning' | 'information';
  readonly code: IssueCode;
  /** For a person: what is wrong, and the fix. Never a stack, SQL or personal data. */
  readonly diagnostics: string;
  /** FHIRPath of the element, `Appointment.participant[0].status`, or `http.<header>` / the query parameter's name. */
  readonly expression?: readonly string[];
}

export const errorIssue = (code: IssueCode, diagnostics: string, expression?: string): Issue => ({
  severity: 'error',
  code,
  diagnostics,
  ...(expression === undefined ? {} : { expression: [expression] }),
});

/** The only error that reaches a client as such. */
export class FhirError extends Error {
  readonly status: number;
  readonly issues: readonly Issue[];
  /** Headers for the reply, such as Retry-After or Allow. */
  readonly headers: Readonly<Record<string, string>>;
  /** Resources that help to mend it, such as other times; each has an id of its own. */
  readonly contained: readonly Resource[];

  constructor(
    status: number,
    issues: readonly Issue[],
    headers: Readonly<Record<string, string>> = {},
    contained: readonly Resource[] = [],
  ) {
    super(issues[0]?.diagnostics ?? `HTTP ${status}`);
    this.status = status;
    this.issues = issues;
    this.headers = headers;
    this.contained = contained;
  }

  /** What it takes to tell it in full, once the work that failed is over. */
  complete(): Promise<FhirError> {
    return Promise.resolve(this);
  }
}

export const badRequest = (code: IssueCode, diagnostics: string, expression?: string): FhirError =>
  new FhirError(400, [errorIssue(code, diagnostics, expression)]);

export const notFound = (type: string, id: string): FhirError =>
  new FhirError(404, [errorIssue('not-found', `${type}/${id} is not known here.`)]);

export function toOutcome(issues: readonly Issue[], contained: readonly Resource[] = []): OperationOutcome {
  return {
    resourceType: 'OperationOutcome',
    ...(contained.length > 0 ? { contained: [...contained] } : {}),
    issue: issues.map((i) => ({
      severity: i.severity,
      code: i.code,
      diagnostics: i.diagnostics,
      ...(i.expression ? { expression: [...i.expression] } : {}),
    })),
  };
}
