/** An identity that was proven elsewhere and opens no account yet: it waits for somebody who signs in here and says that it is theirs. */
import { giveBack } from '../ehr/connection.ts';
import type { Launched } from '../ehr/launch.ts';
import type { AuthParts } from '../parts.ts';
import type { Proven } from './code-flow.ts';
import { failure } from './failure.ts';
import { lookAtFlow, saveFlow, takeFlow } from './flow.ts';
import type { Identity } from './link.ts';

export interface Waiting {
  readonly identity: Identity;
  readonly proven: Proven;
  /** Name of the provider or EHR. */
  readonly provider: string;
  readonly next:
    | { readonly kind: 'signin'; readonly to: string }
    /** Nobody has an account yet: the invitation makes one. */
    | { readonly kind: 'invitation'; readonly ticket: string }
    /** `tokens`: id by which they are claimed; else they are given back when this flow is over. */
    | { readonly kind: 'launch'; readonly launched: Omit<Launched, 'tokens'>; readonly tokens: string };
}

/** Longer than a flow lives. */
const CLAIM_SECONDS = 900;

/** Tokens of a launch that waits for its account; given back if nobody comes. */
export const keepTokens = (parts: AuthParts, { ehr, tokens }: Launched): Promise<string> =>
  giveBack(parts, ehr, tokens, CLAIM_SECONDS);

const isWaiting = (value: unknown): value is Waiting =>
  typeof value === 'object' && value !== null && 'identity' in value && 'next' in value;

const PARAMETER = 'flow';

/** @returns the page of our own on which it goes on, and the cookies for it */
export async function letWait(
  parts: AuthParts,
  waiting: Waiting,
  cookieHeader: string | undefined,
): Promise<{ readonly path: string; readonly cookies: readonly string[] }> {
  const { state, cookies } = await saveFlow(parts, 'link', waiting, cookieHeader);
  return { path: waitingPath(state), cookies };
}

export const waitingPath = (state: string): string => `/signin/link?${PARAMETER}=${state}`;

/** @throws FederationFailure `flow` */
export async function lookAtWaiting(
  parts: AuthParts,
  state: string,
  cookieHeader: string | undefined,
): Promise<Waiting> {
  const found = await lookAtFlow(parts, 'link', state, cookieHeader);
  if (!isWaiting(found)) throw failure('flow');
  return found;
}

/** Once. @throws FederationFailure `flow` */
export async function takeWaiting(parts: AuthParts, state: string, cookieHeader: string | undefined): Promise<Waiting> {
  const found = await takeFlow(parts, 'link', state, cookieHeader);
  if (!isWaiting(found)) throw failure('flow');
  return found;
}
