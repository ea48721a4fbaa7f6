/** Calls an operation through the public door. */
import type { OperationOutcome, Parameters, ParametersParameter, Resource } from '@medplum/fhirtypes';
import type { TestServer } from '../support/server.ts';

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

export async function get<T>(server: TestServer, path: string): Promise<Answer<T>> {
  const response = await server.request(`/fhir/R4/${path}`);
  return { status: response.status, body: (await response.json()) as T };
}

export async function post<T>(server: TestServer, path: string, body: unknown): Promise<Answer<T>> {
  const response = await server.request(`/fhir/R4/${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/fhir+json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as T };
}

/** Creates a resource and returns it as stored. */
export async function create<T extends Resource>(server: TestServer, resource: T): Promise<T & { id: string }> {
  const { status, body } = await post<T & { id: string }>(server, resource.resourceType, resource);
  if (status !== 201) throw new Error(`${status}: ${JSON.stringify(body)}`);
  return body;
}

export const parameters = (...parameter: ParametersParameter[]): Parameters => ({
  resourceType: 'Parameters',
  parameter,
});

export const value = (body: Parameters, name: string): unknown => {
  const found = body.parameter?.find((p) => p.name === name);
  return found?.valueBoolean ?? found?.valueString ?? found?.valueCode;
};

/** `severity code expression` of each issue. */
export const issues = (outcome: OperationOutcome): string[] =>
  outcome.issue.map((i) => [i.severity, i.code, ...(i.expression ?? [])].join(' '));
