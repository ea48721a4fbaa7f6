/** SMART's refresh request of a public app: the refresh token, and not who it is. @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#refresh-access-token */
import { once } from 'node:events';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { exchange, makeApp, post, waitForReuse, type TestApp, type TokenReply } from '../support/app-driver.ts';
import { FORM, startInstallation, type Installation } from './support.ts';

describe('a refresh that names no client', () => {
  let inst: Installation;
  let app: TestApp;
  let secret: TestApp;
  const nameless = (token: unknown, form: Record<string, string> = {}, headers = {}): Promise<TokenReply> =>
    post(inst.first, '/token', { grant_type: 'refresh_token', refresh_token: String(token), ...form }, headers);
  const tokenOf = async (of: TestApp): Promise<unknown> =>
    (await exchange(inst.first, of, await inst.flow(of))).body['refresh_token'];

  beforeAll(async () => {
    inst = await startInstallation();
    app = await makeApp(inst.first);
    secret = await makeApp(inst.first, { auth: 'client_secret_basic' });
  });
  afterAll(() => inst.close());

  test('is that of the public app which the token was given to, and rotates it', async () => {
    const first = await tokenOf(app);
    const { status, body } = await nameless(first);
    expect([status, body]).toEqual([200, expect.objectContaining({ patient: '1', token_type: 'Bearer' })]);
    expect((await nameless(body['refresh_token'], { scope: 'patient/*.rs' })).body).toMatchObject({
      scope: 'patient/*.rs',
    });
    // The first one again: the whole family ends.
    await waitForReuse(inst.first);
    expect((await nameless(first)).body).toMatchObject({ error: 'invalid_grant' });
    expect((await nameless(body['refresh_token'])).body).toMatchObject({ error: 'invalid_grant' });
  });

  test('is refused for an app that must authenticate, and tells nothing of the token', async () => {
    const mine = await tokenOf(secret);
    const unknown = await nameless('of-nobody');
    expect(unknown).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect((await nameless(mine)).body).toEqual(unknown.body);
    expect((await nameless('')).status).toBe(400);
  });

  test('is none when anything says who asks: that must be right', async () => {
    const mine = await tokenOf(app);
    const forms = [{ client_id: 'another' }, { client_id: '' }, { client_secret: 'x' }, { client_assertion: 'x' }];
    const replies = await Promise.all(forms.map((form) => nameless(mine, form)));
    expect(replies.map((reply) => reply.status)).toEqual([401, 400, 400, 400]);
    expect((await nameless(mine, {}, { authorization: 'Basic eDp5' })).status).toBe(401);
    expect((await nameless(mine, {}, { origin: 'https://elsewhere.example.org' })).status).toBe(400);
    const allowed = await nameless(mine, {}, { origin: 'https://app.example.org' });
    expect(allowed.headers.get('access-control-allow-origin')).toBe('https://app.example.org');
    expect(allowed.status).toBe(200);
  });

  test.each(['/oauth/token', '/oauth/authorize'])('POST %s that breaks off leaves no trace', async (target) => {
    const said = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    try {
      const { port } = new URL(inst.first.listens);
      const socket = net.connect(Number(port), '127.0.0.1');
      socket.write(`POST ${target} HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM}\r\nContent-Length: 99\r\n\r\na=`);
      await once(socket, 'connect');
      // Answered after the other has been read, on a connection that came later.
      await nameless('x');
      socket.destroy();
      await nameless('x');
      await nameless('x');
      expect(said).not.toHaveBeenCalled();
    } finally {
      said.mockRestore();
    }
  });

  test('without a length (chunked) it is read all the same', async () => {
    const text = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: String(await tokenOf(app)) });
    const response = await fetch(`${inst.first.listens}/oauth/token`, {
      method: 'POST',
      headers: { 'content-type': FORM },
      body: new Blob([text.toString()]).stream(),
      duplex: 'half',
    });
    expect(response.status).toBe(200);
  });
});
