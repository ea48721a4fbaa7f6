/** Why an act of a person on an account is refused. The pages say it in the person's language; nothing here tells what exists. */

const STATUS = {
  /** Address or password is wrong, or there is no such account, or it is disabled. */
  credentials: 401,
  /** The password of who is signed in is another one. */
  'wrong-password': 401,
  /** The session has ended, or lacks its second factor. */
  session: 401,
  /** Identity must be proven again. */
  'step-up': 403,
  /** Not allowed to this account. */
  forbidden: 403,
  /** Too many tries: `retryAfterSeconds`. */
  limited: 429,
  /** Too many people sign in at this moment. */
  busy: 429,
  /** The link or code is unknown, used or too old. */
  ticket: 400,
  /** The code of the second factor or the recovery code is wrong. */
  code: 400,
  /** The passkey was not accepted. */
  passkey: 400,
  email: 400,
  name: 400,
  'password-short': 400,
  'password-long': 400,
  'password-common': 400,
  /** It holds the address, the name, or the name of the product. */
  'password-personal': 400,
  /** Roles or kinds that do not go together. */
  roles: 400,
  /** The resource that the account shall speak for does not exist. */
  profile: 400,
  /** A physician without the Practitioner that they are. */
  practitioner: 400,
  /** Somebody has the address already: only where the one who asks may know. */
  taken: 409,
  /** The last administrator, the last way in. */
  last: 409,
} as const;

export type RefusalCode = keyof typeof STATUS;

export class Refusal extends Error {
  readonly code: RefusalCode;
  /** For the HTTP answer. */
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: RefusalCode, retryAfterSeconds?: number) {
    super(`Refused: ${code}`);
    this.name = 'Refusal';
    this.code = code;
    this.status = STATUS[code];
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

export const refuse = (code: RefusalCode, retryAfterSeconds?: number): Refusal => new Refusal(code, retryAfterSeconds);
