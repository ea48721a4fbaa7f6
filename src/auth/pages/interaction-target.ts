/** The app that somebody signs in for: its name, and where the browser goes at last. */
import { poolNamed } from '../../platform/database/pool.ts';
import { secretHash } from '../../platform/keys.ts';
import type { AuthParts } from '../parts.ts';

export interface Target {
  readonly clientName: string;
  readonly redirectUri: string;
}

const INTERACTION = /^\/oauth\/interaction\/([\w-]{1,64})\//;

/** @param path that the visitor goes to after signing in; undefined: it leads to no app */
export async function interactionTarget({ pool }: AuthParts, path: string): Promise<Target | undefined> {
  const uid = INTERACTION.exec(path)?.[1];
  if (uid === undefined) return undefined;
  const { rows } = await poolNamed(
    pool,
    `select c.metadata ->> 'name', i.payload -> 'params' ->> 'redirect_uri'
     from auth_oidc i join auth_client c on c.client_id = i.payload -> 'params' ->> 'client_id'
     where i.model = 'Interaction' and i.id_hash = $1 and i.expires_at > now()`,
    [secretHash(uid)],
  );
  const [clientName, redirectUri] = rows[0] ?? [];
  return clientName && redirectUri ? { clientName, redirectUri } : undefined;
}
