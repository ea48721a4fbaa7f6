/** E-mail addresses as accounts are found by them. @see https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1 */
import { domainToASCII } from 'node:url';

const LOCAL = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const DOMAIN = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

/**
 * One spelling per mailbox: NFKC, lower case, the domain in its ASCII form. The local part is ASCII, so that no letter of another script can
 * look like one of another person's address; quoted local parts and address literals are refused.
 * @returns undefined when it is no such address
 */
export function normaliseEmail(text: string): string | undefined {
  if (text.length > 320) return undefined;
  const folded = text.normalize('NFKC').trim().toLowerCase();
  const at = folded.lastIndexOf('@');
  if (at < 1) return undefined;
  const local = folded.slice(0, at);
  const domain = domainToASCII(folded.slice(at + 1));
  if (local.length > 64 || !LOCAL.test(local) || !DOMAIN.test(domain) || local.length + domain.length > 253)
    return undefined;
  return `${local}@${domain}`;
}
