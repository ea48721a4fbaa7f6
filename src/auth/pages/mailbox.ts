/** `/dev/mail`: the letters of a demo without a mail server, for whoever sits at the machine. */
import { html } from 'hono/html';
import { newestMail } from '../mail/mail.ts';
import { isDemoHere } from '../mfa/policy.ts';
import { missing } from './errors.ts';
import { momentText } from './fields.ts';
import { letterBody } from './letter-text.ts';
import { showPage, type Visit } from './visit.ts';

const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|::1|::ffff:127(?:\.\d{1,3}){3})$/;

/**
 * The peer of the socket itself: headers of proxies are not asked, and with one of them nothing is shown. Nor under another name, which somebody
 * else may have pointed to this machine.
 */
function isLocal({ env, request, parts }: Visit): boolean {
  const { incoming } = env;
  const relayed = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'].some((name) => request.headers.has(name));
  if (incoming?.headers.host?.toLowerCase() !== new URL(parts.publicUrl).host) return false;
  return !relayed && LOOPBACK.test(incoming.socket.remoteAddress ?? '');
}

export async function showMailbox(visit: Visit): Promise<Response> {
  const { parts, t } = visit;
  if (!isDemoHere(parts) || parts.settings.smtpUrl !== undefined || !isLocal(visit)) throw missing();
  const letters = await newestMail(parts);
  const body = html`<h1>${t.mailbox.title}</h1>
    <p class="lead">${t.mailbox.lead}</p>
    <div class="stack">
      ${
        letters.length === 0
          ? html`<div class="card"><p>${t.mailbox.none}</p></div>`
          : letters.map(
              (letter) =>
                html`<article class="card">
                  <h2>${letter.subject}</h2>
                  <p class="quiet small">
                    ${t.mailbox.to}: ${letter.to}<br />${t.mailbox.sent}: ${momentText(visit, letter.createdAt)}
                  </p>
                  <p class="message">${letterBody(parts, letter.text)}</p>
                </article>`,
            )
      }
    </div>`;
  return showPage(visit, { title: t.mailbox.title, body, width: 'medium' });
}
