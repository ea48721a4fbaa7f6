/** What can go wrong between a remote provider or EHR and us; each has words of its own on a page, none tells more than that. */

const STATUS = {
  /** It does not answer, or not in time. */
  unreachable: 502,
  /** Its documents or answers are not what the standard asks for, or point where they must not. */
  unsafe: 502,
  /** It said no: the person cancelled, or it does not let them. */
  refused: 403,
  /** The answer belongs to no request of this browser: too old, used, or from elsewhere. */
  flow: 400,
  /** The link or address is not one of a registered EHR or provider. */
  unknown: 400,
  /** The account may not do this. */
  role: 403,
  /** The account does not exist any more, or is disabled. */
  account: 403,
  /** Somebody else's account is linked with this identity already. */
  taken: 409,
  /** The EHR named no patient, or one that it does not give us. */
  'no-patient': 422,
  /** The patient bears none of the identifiers that both sides know. */
  'no-identifier': 422,
  /** Nobody here bears the identifier, and patients are not imported. */
  'unknown-patient': 422,
  /** Several patients here bear it. */
  ambiguous: 409,
  /** The one who bears it here was born on another day. */
  different: 409,
  /** What the EHR tells of the patient is not valid. */
  invalid: 422,
  /** The patient was imported once, and deleted here since. */
  deleted: 410,
} as const;

export type FailureCode = keyof typeof STATUS;

export class FederationFailure extends Error {
  readonly code: FailureCode;
  readonly status: number;

  constructor(code: FailureCode, cause?: unknown) {
    super(`Federation: ${code}`, cause === undefined ? {} : { cause });
    this.name = 'FederationFailure';
    this.code = code;
    this.status = STATUS[code];
  }
}

export const failure = (code: FailureCode, cause?: unknown): FederationFailure => new FederationFailure(code, cause);
