/** An access to everything, for tests of what comes after the question who may. */
import { grantAll, type Access } from '../../src/fhir/access.ts';

export const everything: Access = grantAll({ kind: 'system', name: 'test' });
