/** A system client that exists from the start, for tests of whole processes. */

/** Part of the environment of the server. */
export const ROBOT = { BOOTSTRAP_CLIENT_ID: 'robot', BOOTSTRAP_CLIENT_SECRET: 'robot-secret-robot-secret' } as const;

/** Headers of one who may do everything. @param base the FHIR base of a server that was started with ROBOT */
export async function asRobot(base: string): Promise<Readonly<Record<string, string>>> {
  const response = await fetch(new URL('/oauth/token', base), {
    method: 'POST',
    headers: {
      Authorization: `Basic ${Buffer.from(`${ROBOT.BOOTSTRAP_CLIENT_ID}:${ROBOT.BOOTSTRAP_CLIENT_SECRET}`).toString('base64')}`,
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'system/*.cruds' }),
  });
  const { access_token: token } = (await response.json()) as { access_token?: string };
  if (token === undefined) throw new Error(`No token: ${response.status}`);
  return { Authorization: `Bearer ${token}` };
}
