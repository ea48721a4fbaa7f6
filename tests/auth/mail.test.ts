/** Letters, through a real SMTP server: RFC 5321, RFC 5322. */
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startWorker } from '../../src/compose-worker.ts';
import { deliverMail, waitingMail } from '../../src/auth/mail/deliver.ts';
import { renderLetter } from '../../src/auth/mail/letter.ts';
import { mailById, newestMail, sendMail } from '../../src/auth/mail/mail.ts';
import { register } from '../../src/auth/accounts/register.ts';
import { en } from '../../src/auth/mail/texts/en.ts';
import { es } from '../../src/auth/mail/texts/es.ts';
import { poolNamed } from '../../src/platform/database/pool.ts';
import { inTransaction } from '../../src/platform/database/transaction.ts';
import { openHousehold, type Household } from './people.ts';

interface Received {
  readonly to: readonly string[];
  readonly from: string;
  readonly message: string;
}

interface Post {
  readonly url: string;
  readonly received: Received[];
  /** Answer of the server to RCPT; undefined: it takes the letter. */
  refuseWith?: number | undefined;
  close(): Promise<void>;
}

async function openPost(): Promise<Post> {
  const received: Received[] = [];
  const post: { refuseWith?: number | undefined } = {};
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onRcptTo(address, _session, done) {
      if (post.refuseWith === undefined) return done();
      done(Object.assign(new Error(`no mailbox ${address.address}`), { responseCode: post.refuseWith }));
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        received.push({
          to: rcptTo.map((r) => r.address),
          from: mailFrom === false ? '' : mailFrom.address,
          message: Buffer.concat(chunks).toString(),
        });
        done();
      });
    },
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  return Object.assign(post, {
    url: `smtp://127.0.0.1:${port}`,
    received,
    close: () => new Promise<void>((resolve) => server.close(resolve)),
  });
}

/** Quoted-printable and folded lines undone, as far as the tests look. */
const readable = (message: string): string =>
  message
    .replace(/=\r?\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

let post: Post;
let house: Household;
beforeEach(async () => {
  post = await openPost();
  house = await openHousehold({ SMTP_URL: post.url, MAIL_FROM: 'Clinic <clinic@example.org>' });
});
afterEach(async () => {
  await house.close();
  await post.close();
});

const write = (to: string, locale = 'en'): Promise<void> =>
  inTransaction(house.parts.pool, (run) =>
    sendMail(house.parts, run, {
      kind: 'reset',
      to,
      locale,
      name: 'Ana Núñez',
      values: { link: 'http://localhost:8080/reset?ticket=abc' },
    }),
  );

const newestId = async (): Promise<string> => (await newestMail(house.parts, 1))[0]?.id ?? '';

test('registration to mailbox: outbox, relay, job, SMTP; once, with Message-ID and both forms', async () => {
  await register(house.parts, { email: 'somebody@example.org', locale: 'en', source: '10.0.0.1' });
  const worker = await startWorker(house.kairos);
  await expect.poll(() => post.received.length, { timeout: 20_000 }).toBe(1);
  await worker.idle();
  await worker.close();
  expect(post.received).toHaveLength(1);
  const [{ to, from, message }] = post.received as [Received];
  expect({ to, from }).toEqual({ to: ['somebody@example.org'], from: 'clinic@example.org' });
  const id = await newestId();
  expect(message).toContain(`Message-ID: <${id}@localhost>`);
  expect(message).toContain('Subject: Confirm your e-mail address');
  expect(message).toContain('Auto-Submitted: auto-generated');
  expect(message).toMatch(/Content-Type: text\/plain[\s\S]*Content-Type: text\/html/);
  const link = /http:\/\/localhost:\d+\/verify\?ticket=[\w-]{43}/g;
  expect(new Set(readable(message).match(link)).size).toBe(1);
  expect((await mailById(house.parts, id))?.sent).toBe(true);
  expect(await deliverMail(house.parts, id)).toBe('done');
});

test('A3.6: no address and no link in the row, the outbox or the job', async () => {
  await write('canary.person@example.org');
  const { rows } = await poolNamed(
    house.parts.pool,
    `select m::text from mail_message m union all select payload::text from outbox where topic = 'send-mail'`,
  );
  expect(rows).toHaveLength(2);
  expect(rows.join('\n')).not.toMatch(/canary|ticket=|Ana|example\.org/);
});

test('a letter that is rolled back was never written', async () => {
  await inTransaction(house.parts.pool, async (run) => {
    await sendMail(house.parts, run, { kind: 'disabled', to: 'a@example.org', locale: 'en', values: {} });
    throw new Error('something else failed');
  }).catch(() => undefined);
  expect(await newestMail(house.parts)).toEqual([]);
});

describe('delivery', () => {
  test('twenty workers at once send it once', async () => {
    await write('a@example.org');
    const id = await newestId();
    const other = house.otherProcess();
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) => deliverMail(i % 2 === 0 ? house.parts : other, id)),
    );
    expect(outcomes.filter((o) => o === 'sent')).toHaveLength(1);
    expect(post.received).toHaveLength(1);
  });

  test('who died while sending leaves it to the next, under the same Message-ID', async () => {
    await write('a@example.org');
    const id = await newestId();
    await poolNamed(
      house.parts.pool,
      `update mail_message set leased_until = now() + interval '1 minute', attempts = 1`,
    );
    expect(await deliverMail(house.parts, id)).toBe('taken');
    await poolNamed(
      house.parts.pool,
      `update mail_message set leased_until = now() - interval '1 second', created_at = now() - interval '2 minutes'`,
    );
    expect(await waitingMail(house.parts)).toEqual([id]);
    expect(await deliverMail(house.parts, id)).toBe('sent');
    expect(await waitingMail(house.parts)).toEqual([]);
    expect(post.received[0]?.message).toContain(`<${id}@localhost>`);
  });

  test('a server that is busy is asked again; the error names no address', async () => {
    await write('private.person@example.org');
    const id = await newestId();
    post.refuseWith = 451;
    const failure = await deliverMail(house.parts, id).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: 'DeliveryError', permanent: false });
    expect(String(failure)).not.toContain('private');
    post.refuseWith = undefined;
    expect(await deliverMail(house.parts, id)).toBe('sent');
  });

  test('an address that does not exist is given up', async () => {
    await write('nobody@example.org');
    const id = await newestId();
    post.refuseWith = 550;
    expect(await deliverMail(house.parts, id).catch((error: unknown) => error)).toMatchObject({ permanent: true });
    post.refuseWith = undefined;
    expect(await deliverMail(house.parts, id)).toBe('done');
    expect(post.received).toEqual([]);
  });

  test('no server there: it is tried again later', async () => {
    await write('a@example.org');
    const id = await newestId();
    const parts = { ...house.parts, settings: { ...house.parts.settings, smtpUrl: 'smtp://127.0.0.1:1' } };
    expect(await deliverMail(parts, id).catch((error: unknown) => error)).toMatchObject({ permanent: false });
    expect(await deliverMail(house.parts, id)).toBe('sent');
  });

  test('without SMTP_URL letters are kept for the mailbox page', async () => {
    await write('a@example.org', 'es');
    const parts = { ...house.parts, settings: { ...house.parts.settings, smtpUrl: undefined } };
    expect(await deliverMail(parts, await newestId())).toBe('kept');
    expect(await waitingMail(parts)).toEqual([]);
    expect(await newestMail(parts)).toMatchObject([
      { to: 'a@example.org', subject: 'Elija una contraseña nueva', sent: false },
    ]);
  });
});

describe('what letters say', () => {
  test('a name cannot bring in lines, headers or markup', () => {
    const letter = en.letters.reset({ link: 'https://kairos.example/reset?ticket=a&b="<' });
    const { subject, text, html } = renderLetter(
      'en',
      en,
      letter,
      'Ana\r\nBcc: x@example.org\u202e<script>alert(1)</script>',
    );
    expect(subject).not.toMatch(/[\r\n]/);
    expect(text).toContain('Hello Ana Bcc: x@example.org');
    expect(html).not.toMatch(/<script|"</);
    expect(html).toContain('href="https://kairos.example/reset?ticket=a&amp;b=&quot;&lt;"');
  });

  test('every language has every letter; subjects hold no values', () => {
    expect(Object.keys(es.letters).sort()).toEqual(Object.keys(en.letters).sort());
    const values = {
      link: 'VALUE',
      signIn: 'VALUE',
      reset: 'VALUE',
      account: 'VALUE',
      device: 'VALUE',
      left: 7,
      factor: 'totp',
    };
    for (const texts of [en, es]) {
      for (const make of Object.values(texts.letters) as ((v: object) => {
        subject: string;
        paragraphs: readonly string[];
      })[]) {
        const { subject, paragraphs } = make(values);
        expect(subject).toMatch(/^[^\r\n]{5,70}$/);
        expect(subject).not.toMatch(/VALUE|7/);
        expect(paragraphs.join(' ')).not.toContain('undefined');
      }
    }
  });
});
