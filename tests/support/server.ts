/** The HTTP application on a fresh database: requests go to it without a socket, and whoever sends them may do everything. */
import type { Engine } from '../../src/fhir/engine.ts';
import { everything } from './everything.ts';
import { openTestKairos, type TestKairos, type TestKairosOptions } from './kairos.ts';

export interface TestServer {
  readonly app: TestKairos['app'];
  readonly engine: Engine;
  readonly kairos: TestKairos;
  /** @param path from the root, `/fhir/R4/Patient/1` */
  request(path: string, init?: RequestInit): Promise<Response>;
  close(): Promise<void>;
}

export async function createTestServer(options: TestKairosOptions = {}): Promise<TestServer> {
  const kairos = await openTestKairos({ accessOf: () => everything, ...options });
  return {
    app: kairos.app,
    engine: kairos.engine,
    kairos,
    request: async (path, init) => kairos.app.request(`http://localhost${path}`, init),
    close: kairos.close,
  };
}
