/**
 * What a person has to do before an app gets a code: be signed in to our pages (with the second factor where it is due), say for which
 * patient, consent. @see https://github.com/panva/node-oidc-provider/blob/main/docs/README.md#interactionspolicy
 */
import type { IncomingMessage } from 'node:http';
import { errors, interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import { accountById } from '../accounts/account.ts';
import { mfaSatisfied } from '../mfa/policy.ts';
import type { AuthParts } from '../parts.ts';
import { sessionOf, type Session } from '../session/session.ts';
import { usedLaunch, type Launch } from '../smart/launch.ts';
import { parseScopes, type Scope } from '../smart/scope.ts';

const { base, Check, Prompt } = interactionPolicy;

export type Context = KoaContextWithOIDC;

/** Something looked up once for a request. */
function oncePerRequest<T>(look: (ctx: Context) => Promise<T>): (ctx: Context) => Promise<T> {
  const known = new WeakMap<IncomingMessage, Promise<T>>();
  return (ctx) => {
    let found = known.get(ctx.req);
    if (!found) known.set(ctx.req, (found = look(ctx)));
    return found;
  };
}

/** `{ "patient": … }` in what our page submitted. */
export const chosenPatient = (result: Readonly<Record<string, unknown>> | undefined): string | undefined =>
  typeof result?.['patient'] === 'string' ? result['patient'] : undefined;

export const scopesOf = (params: Readonly<Record<string, unknown>> | undefined): readonly Scope[] =>
  parseScopes(typeof params?.['scope'] === 'string' ? params['scope'] : '');

/** Whether these scopes make sense only for one patient. */
export const needsPatient = (scopes: readonly Scope[]): boolean =>
  scopes.some((s) => s.text === 'launch/patient' || (s.kind === 'resource' && s.level === 'patient'));

/** What the launch handle of a request stood for. */
export function launchOf(
  parts: AuthParts,
  params: Readonly<Record<string, unknown>> | undefined,
): Promise<Launch | undefined> {
  const handle = params?.['launch'];
  const clientId = params?.['client_id'];
  return typeof handle === 'string' && typeof clientId === 'string'
    ? usedLaunch(parts, handle, clientId)
    : Promise.resolve(undefined);
}

/** A session of our pages that may be used for apps. */
export async function usableSession(parts: AuthParts, cookieHeader: string | undefined): Promise<Session | undefined> {
  const session = await sessionOf(parts, cookieHeader);
  const account = session && (await accountById(parts, session.accountId));
  return account && (await mfaSatisfied(parts, account, session)) === 'ok' ? session : undefined;
}

export function createPolicy(parts: AuthParts): interactionPolicy.DefaultPolicy {
  const ownSession = oncePerRequest((ctx) => usableSession(parts, ctx.headers.cookie));
  const launch = oncePerRequest((ctx) => launchOf(parts, ctx.oidc.params));

  const policy = base();
  policy.get('login')?.checks.add(
    new Check('no_own_session', 'End-User authentication is required', 'login_required', async (ctx) => {
      const session = await ownSession(ctx);
      return session === undefined || session.accountId !== ctx.oidc.session?.accountId;
    }),
  );
  const patient = new Prompt(
    { name: 'patient' },
    new Check('no_patient', 'a patient must be chosen', 'interaction_required', async (ctx) => {
      const from = await launch(ctx);
      if (from && from.accountId !== ctx.oidc.session?.accountId)
        throw new errors.AccessDenied('the launch belongs to another user');
      return (
        needsPatient(scopesOf(ctx.oidc.params)) &&
        from?.context.patient === undefined &&
        chosenPatient(ctx.oidc.result) === undefined
      );
    }),
  );
  policy.add(patient, 1);
  policy
    .get('consent')
    ?.checks.add(
      new Check(
        'always',
        'the user is asked each time',
        'consent_required',
        (ctx) => ctx.oidc.result?.consent === undefined,
      ),
    );
  return policy;
}
