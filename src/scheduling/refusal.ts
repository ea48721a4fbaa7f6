/** Refusals of scheduling, as errors that clients get. @see https://hl7.org/fhir/R4/operationoutcome.html */
import type { Appointment } from '@medplum/fhirtypes';
import { errorIssue, FhirError } from '../fhir/outcome.ts';

/** A rule of the clinic or of the standard's state machine stands against it. */
export const ruleBroken = (diagnostics: string, expression?: string): FhirError =>
  new FhirError(422, [errorIssue('business-rule', diagnostics, expression)]);

/** Somebody else was there first. The alternatives are looked for once the transaction is over. */
export class TimeTaken extends FhirError {
  readonly #alternatives: () => Promise<readonly Appointment[]>;

  constructor(diagnostics: string, alternatives: () => Promise<readonly Appointment[]>) {
    super(409, [errorIssue('conflict', diagnostics, 'Appointment.start')]);
    this.#alternatives = alternatives;
  }

  override async complete(): Promise<FhirError> {
    const found = await this.#alternatives().catch(() => []);
    if (found.length === 0) return this;
    const times = found.map((a) => a.start).join(', ');
    const [issue] = this.issues;
    return new FhirError(
      409,
      [errorIssue('conflict', `${issue?.diagnostics ?? ''} The next free times are ${times}.`, 'Appointment.start')],
      {},
      found,
    );
  }
}
