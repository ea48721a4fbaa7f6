/**
 * Holds our own extensions against their definitions, whether or not the resource claims a profile; those of others stay as they are.
 * @see https://hl7.org/fhir/R4/extensibility.html
 */
import { node } from '../definitions/fhirpath/node.ts';
import { checkExtensionProfile, urlOf, type ProfileCheck } from './profile.ts';
import type { Profile } from './profile-model.ts';

/** What is wrong with the place of an extension, before its content is looked at. */
function misplaced({ url, contexts = [], root }: Profile, parent: string, property: string, nth: number): string {
  if (contexts.length > 0 && !contexts.includes(parent))
    return `The extension ${url} belongs to ${contexts.join(', ')}, not to ${parent}: move or remove it.`;
  if (property === 'modifierExtension') return `The extension ${url} modifies nothing: put it into extension.`;
  if (root.max !== undefined && nth === root.max + 1)
    return `The extension ${url} may be given ${root.max === 1 ? 'once' : `${root.max} times`}: keep one.`;
  return '';
}

/**
 * @param parent type of the element that has the extensions
 * @param property `extension` or `modifierExtension`
 */
export function checkOwnExtensions(
  check: ProfileCheck,
  values: readonly unknown[],
  parent: string,
  property: string,
): void {
  const { findings, profiles } = check;
  let counts: Map<string, number> | undefined;
  for (const [i, value] of values.entries()) {
    const url = urlOf(value);
    if (url === undefined || !profiles.owns(url) || findings.full) continue;
    const nth = (counts?.get(url) ?? 0) + 1;
    (counts ??= new Map()).set(url, nth);
    const profile = profiles.find(url);
    findings.path.push(i);
    // A profile of a resource is no extension, nor is what `find` knows with a version.
    if (profile?.type !== 'Extension' || profile.url !== url) {
      findings.error('value', `There is no extension ${url.slice(0, 200)}: correct its url.`, 'url');
    } else {
      const fault = misplaced(profile, parent, property, nth);
      if (fault === '') checkExtensionProfile(check, profile, node(value, 'Extension'));
      else findings.error('structure', fault);
    }
    findings.path.pop();
  }
}
