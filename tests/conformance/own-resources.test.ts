/** Our own conformance resources, also those that nothing serves yet. @see https://hl7.org/fhir/R4/conformance-module.html */
import { readFileSync, readdirSync } from 'node:fs';
import type { OperationDefinition } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { definitions, validator } from '../support/definitions.ts';

const folder = new URL('../../fhir-profiles/', import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith('.json') && name !== 'overrides.json');
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));

test.each(names)('%s is valid R4', (name) => {
  expect(validator.validate(read(name)).filter((i) => i.severity === 'error')).toEqual([]);
});

describe('operations', () => {
  const operations = names
    .filter((name) => name.startsWith('OperationDefinition-'))
    .map((name) => read(name) as OperationDefinition);
  test.each(operations.map((o) => [o.id, o] as const))(
    '%s is known, with types and value sets that exist',
    (_, operation) => {
      expect(definitions.operation(operation.url ?? '')?.code).toBe(operation.code);
      for (const { type, targetProfile = [], binding } of operation.parameter ?? []) {
        if (type !== undefined) expect(definitions.type(type)).toBeDefined();
        for (const target of targetProfile)
          expect(definitions.type(target.slice(target.lastIndexOf('/') + 1))).toBeDefined();
        if (binding?.valueSet?.startsWith('https://kairos.example/') === true)
          expect(names).toContain(`ValueSet-kairos-${binding.valueSet.split('/').at(-1) ?? ''}.json`);
      }
    },
  );
});
