/** Where the library says other than the standards do: what it answered, put right. @see https://www.rfc-editor.org/rfc/rfc6749 */
import type { KoaContextWithOIDC } from 'oidc-provider';

/** It lists the modes and claims that it could; here are no others. */
function tellLess(ctx: KoaContextWithOIDC): void {
  if (typeof ctx.body !== 'object' || ctx.body === null) return;
  const { claims_supported: claims } = ctx.body as { readonly claims_supported?: readonly string[] };
  const told = claims?.filter((claim) => claim !== 'sid');
  ctx.body = { ...ctx.body, response_modes_supported: ['query'], claims_supported: told };
}

/**
 * Of a wrong `response_type` it says that its response mode, of which nobody spoke, is not allowed.
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1
 */
function nameResponseType(ctx: KoaContextWithOIDC): void {
  const { response_type: type, response_mode: mode, redirect_uri: redirect } = ctx.query;
  const location = ctx.response.get('location');
  if (type === 'code' || Array.isArray(type) || mode !== undefined || typeof redirect !== 'string') return;
  if (!location.startsWith(redirect)) return;
  // What the app's own address holds is not the library's.
  const answer = location.slice(redirect.length);
  const separator = answer.slice(0, 1);
  const said = new URLSearchParams(answer.slice(1));
  if (!said.get('error_description')?.includes('response_mode')) return;
  const isMissing = type === undefined || type === '';
  said.set('error', isMissing ? 'invalid_request' : 'unsupported_response_type');
  said.set('error_description', isMissing ? 'response_type is missing: it must be code' : 'response_type must be code');
  ctx.set('location', `${redirect}${separator}${said}`);
}

/** A grant type that exists, and is not for this client. @see https://www.rfc-editor.org/rfc/rfc6749#section-5.2 */
function nameGrantType(ctx: KoaContextWithOIDC): void {
  const { client, params } = ctx.oidc;
  const grantType: unknown = params?.['grant_type'];
  const { error } = ctx.body as { readonly error?: unknown };
  if (error !== 'invalid_request' || typeof grantType !== 'string' || client?.grantTypeAllowed(grantType) !== false)
    return;
  ctx.body = { error: 'unauthorized_client', error_description: `the client may not use the grant type ${grantType}` };
}

export function correct(ctx: KoaContextWithOIDC): void {
  const { route } = ctx.oidc;
  if (route === 'discovery') tellLess(ctx);
  else if (route === 'authorization') nameResponseType(ctx);
  else if (route === 'token' && ctx.status === 400) nameGrantType(ctx);
}
