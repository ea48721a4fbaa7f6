/** A reason not to start (or not to go on) that the operator can mend: printed as one sentence, without a stack. */
export class StartError extends Error {}

/** The sentence for a person, whatever was thrown. */
export const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error));
