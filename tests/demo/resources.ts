/** All that the demo clinic consists of, in the order in which it is stored. */
import type { Resource } from '@medplum/fhirtypes';
import { demoClinic } from '../../src/demo/clinic.ts';

export function demoResources(...given: Parameters<typeof demoClinic>): Resource[] {
  const { world, calendar } = demoClinic(...given);
  return [...world, ...calendar];
}
