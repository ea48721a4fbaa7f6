/** What registering and showing a passkey have in common. @see https://www.w3.org/TR/webauthn-3/ */
import { poolNamed } from '../../platform/database/pool.ts';
import type { AuthParts } from '../parts.ts';
import { refuse } from '../refusal.ts';
import { takeFlow, type FlowPayload } from '../session/flow.ts';

/** How long a challenge is good. */
export const SECONDS = 5 * 60;

export const relyingParty = ({ publicUrl }: AuthParts) => ({
  id: new URL(publicUrl).hostname,
  origin: new URL(publicUrl).origin,
});

/** What a page hands to the browser, and what brings the challenge back. */
export interface Ceremony<Options> {
  readonly flow: string;
  readonly options: Options;
}

/** Any object: the library checks what is in it. @throws Refusal `passkey` */
export function parseCredential(json: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = json.length > 65_536 ? undefined : JSON.parse(json);
    if (typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string')
      return value as Readonly<Record<string, unknown>>;
  } catch {
    // Refused below.
  }
  throw refuse('passkey');
}

export async function keysOf(
  { pool }: AuthParts,
  accountId: string,
): Promise<readonly { id: string; transports: string[] }[]> {
  const { rows } = await poolNamed(pool, `select id, to_json(transports) from auth_passkey where account_id = $1`, [
    accountId,
  ]);
  return rows.map(([id, transports]) => ({ id: id ?? '', transports: JSON.parse(transports ?? '[]') as string[] }));
}

/** Takes the challenge back: it is good for one answer. @throws Refusal `ticket` */
export async function takeChallenge(parts: AuthParts, kind: string, flow: string, accountId?: string): Promise<string> {
  const payload: FlowPayload | undefined = await takeFlow(parts, kind, flow);
  const challenge = payload?.['challenge'];
  if (typeof challenge !== 'string' || payload?.['accountId'] !== accountId) throw refuse('ticket');
  return challenge;
}

/** A key that asked for the finger or the PIN is two factors; one that did not is the second of two. @see https://www.rfc-editor.org/rfc/rfc8176#section-2 */
export const amrOf = (verified: boolean, second: boolean): string[] => [
  'pop',
  ...(verified ? ['user'] : []),
  ...(verified || second ? ['mfa'] : []),
];
