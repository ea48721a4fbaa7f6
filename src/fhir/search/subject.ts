/** In whose compartment a resource lies. @see https://hl7.org/fhir/R4/compartmentdefinition.html */
import type { Definitions, SearchParam } from '../definitions/registry.ts';
import type { SubjectOf } from '../store/sealed-content.ts';
import { compartmentParams } from './compartment.ts';
import { localReference } from './type/reference.ts';
import { asObject, asString, eachValue } from './values.ts';

/**
 * The only one of a compartment's subjects that a resource is about: of a subject, itself; else the one that its references lead to.
 * @param code of the compartment
 * @param baseUrl the server's own
 */
export function onlySubject(definitions: Definitions, code: string, baseUrl: string): SubjectOf {
  const known = new Map<string, readonly SearchParam[]>();
  const paramsOf = (type: string): readonly SearchParam[] => {
    let params = known.get(type);
    if (!params) known.set(type, (params = compartmentParams({ definitions }, code, type) ?? []));
    return params;
  };
  const prefix = `${code}/`;
  return (type, id, resource) => {
    if (type === code) return `${prefix}${id}`;
    let only: string | undefined;
    let several = false;
    for (const param of paramsOf(type)) {
      eachValue(resource, param, (value) => {
        const reference = localReference(asString(asObject(value)?.['reference']) ?? '', baseUrl);
        if (!reference.startsWith(prefix)) return;
        several ||= only !== undefined && only !== reference;
        only = reference;
      });
    }
    return several ? undefined : only;
  };
}
