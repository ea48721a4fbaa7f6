/** A small FHIR client of the tests: status, headers and body of each answer. */
import type { OperationOutcome } from '@medplum/fhirtypes';
import type { TestServer } from '../support/server.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; fields are read as they come. */
  readonly body: Json;
}

export interface Json {
  readonly [key: string]: Json;
  readonly [index: number]: Json;
}

/** The items of an array in a body; none where there is no array. */
export const list = (json: Json | undefined): readonly Json[] => (Array.isArray(json) ? (json as readonly Json[]) : []);

export type Send = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Readonly<Record<string, string>>,
) => Promise<Answer>;

/** Sends JSON to paths below the FHIR base; strings go as they are. */
export const client =
  (server: Pick<TestServer, 'request'>): Send =>
  async (method, path, body, headers = {}) => {
    const contentType = method === 'PATCH' ? 'application/json-patch+json' : 'application/fhir+json';
    const response = await server.request(`/fhir/R4${path === '' || path.startsWith('?') ? path : `/${path}`}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'Content-Type': contentType }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = (response.headers.get('content-type') ?? '').includes('json');
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: (isJson && text !== '' ? JSON.parse(text) : {}) as Json,
    };
  };

/** `code expression` of each issue of an answer. */
export const issuesOf = (answer: Answer): string[] =>
  ((answer.body as unknown as OperationOutcome).issue ?? []).map((i) => [i.code, ...(i.expression ?? [])].join(' '));

export const patient = (more: object = {}): object => ({
  resourceType: 'Patient',
  name: [{ family: 'Okafor', given: ['Ada'] }],
  ...more,
});

/** Id of a resource just created. */
export async function createdId(send: Send, resource: object): Promise<string> {
  const type = (resource as { resourceType: string }).resourceType;
  const answer = await send('POST', type, resource);
  if (answer.status !== 201) throw new Error(`${answer.status}: ${answer.text}`);
  return String(answer.body['id']);
}
