/** Style sheet, scripts and icon of the pages: files of ours, read once. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const TYPES: Readonly<Record<string, string>> = {
  'kairos.css': 'text/css; charset=utf-8',
  'session.js': 'text/javascript; charset=utf-8',
  'passkey.js': 'text/javascript; charset=utf-8',
  'password.js': 'text/javascript; charset=utf-8',
  'print.js': 'text/javascript; charset=utf-8',
  'board.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
};

interface Asset {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

export type Assets = ReadonlyMap<string, Asset>;

export const loadAssets = (): Assets =>
  new Map(
    Object.entries(TYPES).map(([name, type]) => {
      const body = readFileSync(new URL(`assets/${name}`, import.meta.url), 'utf8');
      const headers = {
        'Content-Type': type,
        ETag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
        // Asked for each time, and answered 304: a new version of the server is seen at once.
        'Cache-Control': 'no-cache',
        'X-Content-Type-Options': 'nosniff',
        'Cross-Origin-Resource-Policy': 'same-origin',
        'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
      };
      return [name, { body, headers }];
    }),
  );

/** undefined: there is no such file. */
export function assetReply(assets: Assets, name: string, request: Request): Response | undefined {
  const asset = assets.get(name);
  if (!asset) return undefined;
  const known = (request.headers.get('if-none-match') ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return known.includes(asset.headers['ETag'] ?? '')
    ? new Response(null, { status: 304, headers: asset.headers })
    : new Response(asset.body, { headers: asset.headers });
}
