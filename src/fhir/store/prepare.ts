/**
 * Makes a validated resource ready to be written: id and meta set by the server, text as it will be served, columns of search.
 * @see https://hl7.org/fhir/R4/resource.html#Meta
 */
import type { Resource } from '@medplum/fhirtypes';
import { stringify } from '../json.ts';
import type { Layout } from './layout.ts';
import type { PreparedWrite } from './repository.ts';

export interface WriteVersion {
  readonly id: string;
  readonly version: number;
  readonly lastUpdated: Date;
  readonly method: PreparedWrite['method'];
}

/** Keys are in the order resourceType, id, meta, then as sent; what is sent for id, versionId and lastUpdated is replaced. */
export function prepareWrite(layout: Pick<Layout, 'extract'>, sent: Resource, version: WriteVersion): PreparedWrite {
  const { id, version: number, lastUpdated, method } = version;
  const own = { versionId: String(number), lastUpdated: lastUpdated.toISOString() };
  const meta = Object.assign({ ...own }, sent.meta, own);
  const resource: Resource = Object.assign({ resourceType: sent.resourceType, id, meta }, sent, { id, meta });
  return {
    type: sent.resourceType,
    id,
    version: number,
    lastUpdated,
    method,
    resource,
    content: stringify(resource),
    columns: layout.extract(sent.resourceType, resource),
  };
}
