/** Replies of the pages: their headers are the same everywhere. @see https://www.w3.org/TR/CSP3/ */

export interface ReplyOptions {
  readonly status?: number;
  /** Where a form of the page may end besides here, after redirects: origins or schemes. */
  readonly formTargets?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  /** Values of Set-Cookie. */
  readonly cookies?: readonly string[];
}

const policy = (formTargets: readonly string[]): string =>
  [
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    `form-action ${["'self'", ...formTargets].join(' ')}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ');

/** Of every reply, redirects too. */
const ALWAYS: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  // Not `no-referrer`: with it browsers send `Origin: null` with our own forms.
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

function headersOf(options: ReplyOptions, own: Readonly<Record<string, string>>): Headers {
  const headers = new Headers({ ...ALWAYS, ...own, ...options.headers });
  for (const cookie of options.cookies ?? []) headers.append('Set-Cookie', cookie);
  return headers;
}

export const htmlReply = (body: string, options: ReplyOptions = {}): Response =>
  new Response(body, {
    status: options.status ?? 200,
    headers: headersOf(options, {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': policy(options.formTargets ?? []),
    }),
  });

export const jsonReply = (value: unknown, options: ReplyOptions = {}): Response =>
  new Response(JSON.stringify(value), {
    status: options.status ?? 200,
    headers: headersOf(options, { 'Content-Type': 'application/json' }),
  });

/** After a form: the next page is fetched with GET. */
export const redirect = (to: string, options: ReplyOptions = {}): Response =>
  new Response(null, { status: options.status ?? 303, headers: headersOf(options, { Location: to }) });
