/** Requests as the storm sends them: an answer, or nothing, when it is not known what became of the request. @see https://hl7.org/fhir/R4/http.html */
import { Agent, request } from 'node:http';

export interface Sent {
  readonly method: string;
  /** Below the FHIR base: `Appointment/$book`; empty: the base itself. */
  readonly path: string;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Got {
  readonly status: number;
  readonly text: string;
  readonly header: (name: string) => string | undefined;
}

export interface Wire {
  /** undefined: the connection broke, or no answer came in time. */
  send(port: number, sent: Sent, token: string): Promise<Got | undefined>;
  close(): void;
}

const TIMEOUT_MS = 30_000;

export function createWire(): Wire {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  return {
    send: (port, { method, path, body, headers }, token) =>
      new Promise((resolve) => {
        const text = body === undefined ? undefined : JSON.stringify(body);
        const outgoing = request(
          {
            agent,
            host: '127.0.0.1',
            port,
            method,
            path: `/fhir/R4${path === '' ? '' : `/${path}`}`,
            timeout: TIMEOUT_MS,
            headers: {
              Authorization: `Bearer ${token}`,
              ...(text === undefined
                ? {}
                : {
                    'Content-Type': method === 'PATCH' ? 'application/json-patch+json' : 'application/fhir+json',
                    'Content-Length': String(Buffer.byteLength(text)),
                  }),
              ...headers,
            },
          },
          (reply) => {
            const chunks: Buffer[] = [];
            reply.on('data', (chunk: Buffer) => chunks.push(chunk));
            reply.on('error', () => resolve(undefined));
            reply.on('end', () => {
              // Cut off in the middle: what was done is not known.
              if (!reply.complete) return resolve(undefined);
              resolve({
                status: reply.statusCode ?? 0,
                text: Buffer.concat(chunks).toString('utf8'),
                header: (name) => {
                  const value = reply.headers[name];
                  return typeof value === 'string' ? value : undefined;
                },
              });
            });
          },
        );
        outgoing.on('timeout', () => outgoing.destroy(new Error('no answer')));
        outgoing.on('error', () => resolve(undefined));
        outgoing.end(text);
      }),
    close: () => agent.destroy(),
  };
}
