/** Tells whether a code is in a value set. @see https://hl7.org/fhir/R4/valueset-operation-validate-code.html */
import { defineOperation, refuseParameters } from '../fhir/operation-parameters.ts';
import { checkAny, checkInValueSet, codingsOf, verdictParameters } from '../fhir/terminology/code-check.ts';
import { targetUrl } from '../fhir/terminology/target.ts';

export default defineOperation({
  code: 'validate-code',
  url: 'http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code',
  system: false,
  type: true,
  instance: true,
  resourceTypes: ['ValueSet'],
  needs: ['read'],
  affectsState: false,
  async handle(engine, ctx, request, input) {
    refuseParameters(input, ['valueSet', 'context'], 'name a value set of this server by url.');
    refuseParameters(input, ['date', 'systemVersion'], 'there is one version of each code system.');
    const { terminology } = engine;
    const url = await targetUrl(engine, ctx, request, input, { url: 'url', version: 'valueSetVersion' }, (u) =>
      terminology.valueSet(u),
    );
    const codings = codingsOf(input, input.text('system'));
    const verdict = checkAny(codings, (coding) => checkInValueSet(terminology, url, coding, input));
    return { status: 200, body: verdictParameters(verdict) };
  },
});
