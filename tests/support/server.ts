/** The application on a fresh database, called without a socket. */
import { buildApp, type AppParts } from '../../src/app.ts';
import { openTestKairos, type TestKairos, type TestKairosOptions } from './kairos.ts';

export interface TestServer extends TestKairos {
  readonly app: ReturnType<typeof buildApp>;
  /** @param path with the base: `/fhir/R4/Patient` */
  request(path: string, init?: RequestInit): Promise<Response>;
}

export async function createTestServer(
  options: TestKairosOptions & { readonly parts?: Partial<AppParts> } = {},
): Promise<TestServer> {
  const kairos = await openTestKairos(options);
  const app = buildApp(kairos.engine, { log: kairos.log, metrics: kairos.metrics, ready: () => true, ...options.parts });
  return { ...kairos, app, request: async (path, init) => app.request(path, init) };
}
