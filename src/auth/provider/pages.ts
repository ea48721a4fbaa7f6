/** The few pages that the authorization server shows itself; how they look is given to it. */
import type { ErrorOut, KoaContextWithOIDC } from 'oidc-provider';

/** Each gives a whole HTML document. */
export interface ProviderTexts {
  /** An authorization request that cannot be sent back to its app. */
  error(error: { readonly code: string; readonly description: string | undefined }, acceptLanguage: string): string;
  /** Asks whether to sign out. @param form with the id `op.logoutForm`, to be submitted with `logout=yes`, or without to stay */
  logout(form: string, clientName: string | undefined, acceptLanguage: string): string;
  signedOut(clientName: string | undefined, acceptLanguage: string): string;
  /** The database is away. */
  unavailable(acceptLanguage: string): string;
}

export interface ProviderPages {
  error(ctx: KoaContextWithOIDC, out: ErrorOut): void;
  logout(ctx: KoaContextWithOIDC, form: string): void;
  signedOut(ctx: KoaContextWithOIDC): void;
  /** 503 in the place of whatever stands there: the database is away. */
  unavailable(ctx: KoaContextWithOIDC): void;
}

/** Where programs call: they get JSON, whatever they accept. */
const PROGRAMS = new Set(['token', 'introspection', 'revocation', 'jwks', 'discovery']);

export const answersPrograms = (route: string | undefined): boolean => route !== undefined && PROGRAMS.has(route);

/** Addresses of the same below the mount. */
const PROGRAM_PATHS = /^\/(?:token|introspect|revoke|jwks|\.well-known)(?:\/|$)/;

export function createProviderPages(texts: ProviderTexts): ProviderPages {
  const show = (ctx: KoaContextWithOIDC, html: string): void => {
    ctx.type = 'html';
    ctx.body = html;
  };
  return {
    error(ctx, out) {
      if (answersPrograms(ctx.oidc?.route)) ctx.body = out;
      else show(ctx, texts.error({ code: out.error, description: out.error_description }, ctx.get('accept-language')));
    },
    logout: (ctx, form) => show(ctx, texts.logout(form, ctx.oidc.client?.clientName, ctx.get('accept-language'))),
    unavailable(ctx) {
      ctx.remove('location');
      ctx.status = 503;
      ctx.set('retry-after', '1');
      ctx.set('cache-control', 'no-store');
      if (PROGRAM_PATHS.test(ctx.path)) {
        ctx.set('pragma', 'no-cache');
        ctx.body = { error: 'temporarily_unavailable', error_description: 'try again in a moment' };
      } else show(ctx, texts.unavailable(ctx.get('accept-language')));
    },
    signedOut: (ctx) => show(ctx, texts.signedOut(ctx.oidc.client?.clientName, ctx.get('accept-language'))),
  };
}
