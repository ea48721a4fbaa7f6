/** Refusals of scheduling, as errors that clients get. @see https://hl7.org/fhir/R4/operationoutcome.html */
import type { Appointment } from '@medplum/fhirtypes';
import { errorIssue, FhirError, type Issue } from '../fhir/outcome.ts';

/** A rule of the clinic or of the standard's state machine stands against it. */
export const ruleBroken = (diagnostics: string, expression?: string): FhirError =>
  new FhirError(422, [errorIssue('business-rule', diagnostics, expression)]);

/** Somebody else was there first. The alternatives are looked for once the transaction is over. */
export class TimeTaken extends FhirError {
  readonly #alternatives: () => Promise<readonly Appointment[]>;

  /** @param more other issues than the first */
  constructor(
    diagnostics: string,
    alternatives: () => Promise<readonly Appointment[]>,
    expression = 'Appointment.start',
    more: readonly Issue[] = [],
  ) {
    super(409, [errorIssue('conflict', diagnostics, expression), ...more]);
    this.#alternatives = alternatives;
  }

  /** The same where a time should have been held: IHE has words of its own for it. @see https://profiles.ihe.net/ITI/Scheduling/ITI-116.html */
  ofHold(): TimeTaken {
    const [first] = this.issues;
    return new TimeTaken(first?.diagnostics ?? '', this.#alternatives, first?.expression?.[0], [
      {
        severity: 'fatal',
        code: 'not-found',
        diagnostics: 'The appointment is not available any more: nothing is held.',
      },
    ]);
  }

  override async complete(): Promise<FhirError> {
    const found = await this.#alternatives().catch(() => []);
    if (found.length === 0) return this;
    const times = found.map((a) => a.start).join(', ');
    const [first, ...more] = this.issues;
    const diagnostics = `${first?.diagnostics ?? ''} The next free times are ${times}.`;
    return new FhirError(409, [errorIssue('conflict', diagnostics, first?.expression?.[0]), ...more], {}, found);
  }
}
