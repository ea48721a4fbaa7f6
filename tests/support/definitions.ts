/** The definitions, terminology and validator of the build, as the server has them. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { loadDefinitions, type Definitions } from '../../src/fhir/definitions/registry.ts';
import type { Terminology, Validator } from '../../src/fhir/engine.ts';
import { loadTerminology } from '../../src/fhir/terminology/terminology.ts';
import { createValidator } from '../../src/fhir/validation/validate.ts';

export const servedTypes: readonly string[] = readdirSync(new URL('../../src/resources/', import.meta.url)).map((n) =>
  path.basename(n, '.ts'),
);
export const definitions: Definitions = loadDefinitions();
export const terminology: Terminology = loadTerminology();
export const validator: Validator = createValidator(definitions, terminology, { types: servedTypes });
