/** Tells whether a code is in a code system. @see https://hl7.org/fhir/R4/codesystem-operation-validate-code.html */
import { defineOperation, refuseParameters } from '../fhir/operation-parameters.ts';
import { checkAny, checkInSystem, codingsOf, verdictParameters } from '../fhir/terminology/code-check.ts';
import { targetUrl } from '../fhir/terminology/target.ts';

export default defineOperation({
  code: 'validate-code',
  url: 'http://hl7.org/fhir/OperationDefinition/CodeSystem-validate-code',
  system: false,
  type: true,
  instance: true,
  resourceTypes: ['CodeSystem'],
  needs: ['read'],
  affectsState: false,
  async handle(engine, ctx, request, input) {
    refuseParameters(input, ['codeSystem'], 'name a code system of this server by url.');
    refuseParameters(input, ['date'], 'there is one version of each code system.');
    const { terminology } = engine;
    const url = await targetUrl(engine, ctx, request, input, { url: 'url', version: 'version' }, (u) =>
      terminology.codeSystem(u),
    );
    const verdict = checkAny(codingsOf(input, undefined), (coding) => checkInSystem(terminology, url, coding, input));
    return { status: 200, body: verdictParameters(verdict) };
  },
});
