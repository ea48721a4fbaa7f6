/** An authenticator of our own for tests: ES256, written from the standard. @see https://www.w3.org/TR/webauthn-3/#sctn-attested-credential-data */
import { createHash, createSign, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';

const head = (major: number, n: number): Buffer =>
  n < 24
    ? Buffer.from([(major << 5) | n])
    : n < 256
      ? Buffer.from([(major << 5) | 24, n])
      : Buffer.from([(major << 5) | 25, n >> 8, n & 255]);

/** The part of CBOR that is needed. */
function cbor(value: unknown): Buffer {
  if (typeof value === 'number') return value >= 0 ? head(0, value) : head(1, -1 - value);
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value]);
  if (value instanceof Map)
    return Buffer.concat([head(5, value.size), ...[...value].flatMap(([k, v]) => [cbor(k), cbor(v)])]);
  throw new Error('not needed');
}

const sha256 = (data: string | Uint8Array): Buffer => createHash('sha256').update(data).digest();
const base64url = (data: Uint8Array): string => Buffer.from(data).toString('base64url');

export interface Ways {
  readonly origin?: string;
  readonly rpId?: string;
  /** The finger was shown, or the PIN typed. */
  readonly verified?: boolean;
  readonly present?: boolean;
  readonly challenge?: string;
  readonly counter?: number;
  readonly userHandle?: string | undefined;
  readonly type?: string;
}

export class Authenticator {
  readonly id = randomBytes(32);
  readonly #key: KeyObject;
  readonly #cose: Buffer;
  /** 0 for ever: as synced passkeys do. */
  counter: number;
  userHandle: string | undefined;
  readonly #origin: string;

  constructor(origin: string, counter = 1) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#key = privateKey;
    const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
    this.#cose = cbor(
      new Map<number, unknown>([
        [1, 2],
        [3, -7],
        [-1, 1],
        [-2, Buffer.from(x, 'base64url')],
        [-3, Buffer.from(y, 'base64url')],
      ]),
    );
    this.#origin = origin;
    this.counter = counter;
  }

  #data(ways: Ways, attested: Buffer): Buffer {
    const flags =
      (ways.present === false ? 0 : 0x01) | (ways.verified === false ? 0 : 0x04) | (attested.length > 0 ? 0x40 : 0);
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(ways.counter ?? this.counter);
    return Buffer.concat([
      sha256(ways.rpId ?? new URL(this.#origin).hostname),
      Buffer.from([flags]),
      counter,
      attested,
    ]);
  }

  #client(type: string, challenge: string, ways: Ways): Buffer {
    return Buffer.from(
      JSON.stringify({
        type: ways.type ?? type,
        challenge: ways.challenge ?? challenge,
        origin: ways.origin ?? this.#origin,
      }),
    );
  }

  /** Answers `navigator.credentials.create`. */
  create(options: { readonly challenge: string; readonly user: { readonly id: string } }, ways: Ways = {}): string {
    this.userHandle = options.user.id;
    const attested = Buffer.concat([Buffer.alloc(16), Buffer.from([0, this.id.length]), this.id, this.#cose]);
    const attestation = cbor(
      new Map<string, unknown>([
        ['fmt', 'none'],
        ['attStmt', new Map()],
        ['authData', this.#data(ways, attested)],
      ]),
    );
    return JSON.stringify({
      id: base64url(this.id),
      rawId: base64url(this.id),
      type: 'public-key',
      clientExtensionResults: {},
      response: {
        clientDataJSON: base64url(this.#client('webauthn.create', options.challenge, ways)),
        attestationObject: base64url(attestation),
        transports: ['internal', 'hybrid'],
      },
    });
  }

  /** Answers `navigator.credentials.get`. */
  get(options: { readonly challenge: string }, ways: Ways = {}): string {
    if (this.counter > 0 && ways.counter === undefined) this.counter++;
    const data = this.#data(ways, Buffer.alloc(0));
    const client = this.#client('webauthn.get', options.challenge, ways);
    const signature = createSign('sha256')
      .update(Buffer.concat([data, sha256(client)]))
      .sign(this.#key);
    return JSON.stringify({
      id: base64url(this.id),
      rawId: base64url(this.id),
      type: 'public-key',
      clientExtensionResults: {},
      response: {
        clientDataJSON: base64url(client),
        authenticatorData: base64url(data),
        signature: base64url(signature),
        userHandle: 'userHandle' in ways ? ways.userHandle : this.userHandle,
      },
    });
  }
}
