/** The text of a letter with its links as links: only those that lead here. */
import { html } from 'hono/html';
import type { AuthParts } from '../parts.ts';
import type { Html } from './layout.ts';

export function letterBody({ publicUrl }: AuthParts, text: string): readonly (Html | string)[] {
  return text
    .split(/(https?:\/\/\S+)/)
    .map((part) => (part.startsWith(`${publicUrl}/`) ? html`<a href="${part}">${part}</a>` : part));
}
