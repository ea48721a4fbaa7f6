/** The few pages that the authorization server shows itself; how they look is given to it. */
import type { ErrorOut, KoaContextWithOIDC } from 'oidc-provider';

/** Each gives a whole HTML document. */
export interface ProviderTexts {
  /** An authorization request that cannot be sent back to its app. */
  error(error: { readonly code: string; readonly description: string | undefined }, acceptLanguage: string): string;
  /** Asks whether to sign out. @param form with the id `op.logoutForm`, to be submitted with `logout=yes`, or without to stay */
  logout(form: string, clientName: string | undefined, acceptLanguage: string): string;
  signedOut(clientName: string | undefined, acceptLanguage: string): string;
}

export interface ProviderPages {
  error(ctx: KoaContextWithOIDC, out: ErrorOut): void;
  logout(ctx: KoaContextWithOIDC, form: string): void;
  signedOut(ctx: KoaContextWithOIDC): void;
}

/** Where programs call: they get JSON, whatever they accept. */
const PROGRAMS = new Set(['token', 'introspection', 'revocation', 'jwks', 'discovery']);

export const answersPrograms = (route: string | undefined): boolean => route !== undefined && PROGRAMS.has(route);

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
    signedOut: (ctx) => show(ctx, texts.signedOut(ctx.oidc.client?.clientName, ctx.get('accept-language'))),
  };
}

const escape = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const page = (title: string, body: string): string =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title></head><body><main><h1>${title}</h1>${body}</main></body></html>`;

/** Without any style. */
export const PLAIN_TEXTS: ProviderTexts = {
  error: ({ code, description }) =>
    page('This request cannot be answered', `<p>${escape(description ?? code)} (${escape(code)})</p>`),
  logout: (form) =>
    page(
      'Sign out?',
      `${form}<p><button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button> <button type="submit" form="op.logoutForm">Stay signed in</button></p>`,
    ),
  signedOut: () => page('You are signed out', ''),
};
