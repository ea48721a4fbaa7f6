/**
 * The authorization code flow as its client: begun with PKCE, state and nonce that are kept here, ended with what the id_token proves.
 * @see https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth
 */
import * as oidc from 'openid-client';
import type { AuthParts } from '../parts.ts';
import { failure } from './failure.ts';
import { saveFlow, takeFlow, type FlowKind } from './flow.ts';
import { toFailure } from './remote.ts';

/** Who the remote side says that this is. */
export interface Proven {
  /** Of the id_token. */
  readonly issuer: string;
  readonly subject: string;
  /** Name or user name there: shown to the person before linking, never stored. */
  readonly called: string | undefined;
  /** Whether it vouches for a second factor. */
  readonly mfa: boolean;
  /** When the person last proved who they are there, in seconds since the epoch. */
  readonly authTime: number | undefined;
}

interface Saved {
  readonly verifier: string;
  readonly nonce: string;
  readonly state: string;
  readonly own: unknown;
}

const isSaved = (value: unknown): value is Omit<Saved, 'state'> => {
  const saved = value as Partial<Saved> | undefined;
  return typeof saved?.verifier === 'string' && typeof saved.nonce === 'string';
};

export interface Begin {
  readonly kind: FlowKind;
  readonly configuration: oidc.Configuration;
  readonly redirectUri: string;
  readonly scope: string;
  /** Further parameters: `aud` and `launch`, `max_age`. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Comes back from `finishCode`. */
  readonly own: unknown;
  readonly cookieHeader: string | undefined;
}

/** @returns where the browser goes, and the cookies that it takes along */
export async function beginCode(
  parts: AuthParts,
  begin: Begin,
): Promise<{ readonly url: string; readonly cookies: readonly string[] }> {
  const verifier = oidc.randomPKCECodeVerifier();
  const nonce = oidc.randomNonce();
  const flow = await saveFlow(parts, begin.kind, { verifier, nonce, own: begin.own }, begin.cookieHeader);
  const url = oidc.buildAuthorizationUrl(begin.configuration, {
    ...begin.parameters,
    redirect_uri: begin.redirectUri,
    scope: begin.scope,
    state: flow.state,
    nonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  return { url: url.href, cookies: flow.cookies };
}

export interface Returned {
  readonly state: string;
  readonly verifier: string;
  readonly nonce: string;
  /** As it was given to `beginCode`. */
  readonly own: unknown;
}

/**
 * What this browser has begun; from now on nobody can end it again. Taken before anything is fetched, so that an answer with a foreign
 * state costs nothing.
 * @throws FederationFailure `flow`
 */
export async function takeCodeFlow(
  parts: AuthParts,
  kind: FlowKind,
  answer: URL,
  cookieHeader: string | undefined,
): Promise<Returned> {
  const states = answer.searchParams.getAll('state');
  const saved = states.length === 1 ? await takeFlow(parts, kind, states[0], cookieHeader) : undefined;
  if (!isSaved(saved)) throw failure('flow');
  return { ...saved, state: states[0] ?? '' };
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

function provenBy(claims: oidc.IDToken, mfaAcr: readonly string[]): Proven {
  const amr: readonly unknown[] = Array.isArray(claims.amr) ? claims.amr : [];
  if (claims.sub === '' || claims.sub.length > 255) throw failure('unsafe');
  return {
    issuer: claims.iss,
    subject: claims.sub,
    called: (text(claims['name']) ?? text(claims['preferred_username']))?.slice(0, 100),
    mfa: amr.includes('mfa') || (typeof claims.acr === 'string' && mfaAcr.includes(claims.acr)),
    authTime: claims.auth_time,
  };
}

export interface Finished {
  readonly proven: Proven;
  readonly tokens: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers;
}

/**
 * Redeems the code, and checks state, `iss`, nonce, signature and audience.
 * @param answer the address that the browser came back to, below `redirectUri`
 * @throws FederationFailure `refused`, `unsafe`, `unreachable`
 */
export async function finishCode(
  configuration: oidc.Configuration,
  returned: Returned,
  finish: {
    readonly redirectUri: string;
    readonly answer: URL;
    readonly mfaAcr: readonly string[];
    readonly maxAge?: number;
  },
): Promise<Finished> {
  // The address that was sent, whatever host the request came to.
  const url = new URL(finish.redirectUri);
  url.search = finish.answer.search;
  try {
    const tokens = await oidc.authorizationCodeGrant(configuration, url, {
      expectedState: returned.state,
      expectedNonce: returned.nonce,
      pkceCodeVerifier: returned.verifier,
      idTokenExpected: true,
      ...(finish.maxAge === undefined ? {} : { maxAge: finish.maxAge }),
    });
    const claims = tokens.claims();
    if (!claims) throw failure('unsafe');
    return { proven: provenBy(claims, finish.mfaAcr), tokens };
  } catch (error) {
    throw toFailure(error);
  }
}
