/** Gives back to an EHR what it granted, once the session that had it is over. @see https://www.rfc-editor.org/rfc/rfc7009 */
import * as oidc from 'openid-client';
import { openTokens } from '../auth/ehr/connection.ts';
import { ehrRemote } from '../auth/ehr/registered.ts';
import { createRemotes, toFailure } from '../auth/federation/remote.ts';
import type { JobContext } from '../job-context.ts';
import { poolNamed } from '../platform/database/pool.ts';
import type { JobDeclaration } from '../platform/job.ts';
import { createOutboundFetch } from '../platform/outbound.ts';

const DAYS = 7;

/**
 * Sessions that ran out unnoticed hold nothing any more. Whatever is left of an EHR that did not answer in a week is forgotten: its tokens have
 * run out, or are its own matter.
 */
async function sweep({ database }: JobContext): Promise<void> {
  await poolNamed(
    database,
    `delete from auth_ehr_connection c using auth_session s where s.uid = c.session_uid
       and (s.ended_at is not null or least(s.expires_at, s.last_seen_at + make_interval(secs => s.idle_seconds)) < now())`,
  );
  await poolNamed(database, `delete from auth_ehr_revocation where created_at < now() - make_interval(days => $1)`, [
    DAYS,
  ]);
}

async function revoke({ database, identity }: JobContext, id: string): Promise<void> {
  const { rows } = await poolNamed(database, `select issuer, tokens_sealed from auth_ehr_revocation where id = $1`, [
    id,
  ]);
  const [issuer, sealed] = rows[0] ?? [];
  // Claimed meanwhile, or done by an earlier run.
  if (issuer === null || issuer === undefined || sealed === null || sealed === undefined) return;
  const ehr = identity.settings.ehrs.find((e) => e.issuer === issuer);
  if (ehr) {
    const { accessToken, refreshToken } = openTokens(identity, id, sealed);
    const remotes = createRemotes(identity.clock, createOutboundFetch(identity.settings));
    const configuration = await remotes.configurationOf(ehrRemote(ehr));
    if (configuration.serverMetadata().revocation_endpoint !== undefined) {
      // The refresh token first: with it the EHR ends what came of it.
      for (const token of [refreshToken, accessToken])
        if (token !== undefined)
          await oidc.tokenRevocation(configuration, token).catch((error: unknown) => {
            throw toFailure(error);
          });
    }
  }
  await poolNamed(database, `delete from auth_ehr_revocation where id = $1`, [id]);
}

export default {
  name: 'revoke-ehr-tokens',
  description: 'gives tokens back to the EHR after sign-out, or when the session has run out',
  schedule: { everyMs: 300_000 },
  retries: 8,
  backoffMs: 5_000,
  async run(context, { payload }) {
    if (typeof payload['id'] === 'string') await revoke(context, payload['id']);
    else await sweep(context);
  },
} satisfies JobDeclaration<JobContext>;
