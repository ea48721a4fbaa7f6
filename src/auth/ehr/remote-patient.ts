/**
 * A patient as an EHR tells of them: untrusted text, of which only what we know how to keep is taken over.
 * @see https://hl7.org/fhir/R4/patient.html
 */
import type { Patient } from '@medplum/fhirtypes';
import type { Engine } from '../../fhir/engine.ts';
import { demandValid } from '../../fhir/interaction/write.ts';
import { parseJson } from '../../fhir/json.ts';
import { FhirError } from '../../fhir/outcome.ts';
import { failure } from '../federation/failure.ts';

type Tree = Readonly<Record<string, unknown>>;

export interface RemoteIdentifier {
  readonly system: string;
  readonly value: string;
}

export interface RemotePatient {
  readonly id: string;
  readonly tree: Tree;
  /** Of the systems that both sides know, without those that are out of use. */
  readonly identifiers: readonly RemoteIdentifier[];
  readonly birthDate: string | undefined;
}

/** One patient has few of a system; more would be a list of other people's. */
const MAX_IDENTIFIERS = 10;

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * @param id as the token response named the patient
 * @throws FederationFailure `invalid` when it is not this patient, or no FHIR
 */
export function readRemotePatient(engine: Engine, text: string, id: string, systems: readonly string[]): RemotePatient {
  let tree: unknown;
  try {
    tree = parseJson(text, { maxDepth: engine.limits.jsonDepth }).value;
  } catch (error) {
    throw failure('invalid', error);
  }
  if (!isTree(tree) || tree['resourceType'] !== 'Patient' || tree['id'] !== id) throw failure('invalid');
  const given = Array.isArray(tree['identifier']) ? tree['identifier'].filter(isTree) : [];
  const identifiers = given.flatMap(({ system, value, use }) =>
    typeof system === 'string' && typeof value === 'string' && value !== '' && use !== 'old' && systems.includes(system)
      ? [{ system, value }]
      : [],
  );
  if (identifiers.length > MAX_IDENTIFIERS) throw failure('invalid');
  const birthDate = tree['birthDate'];
  return { id, tree, identifiers, birthDate: typeof birthDate === 'string' ? birthDate : undefined };
}

/** What is imported. Left out: what the server sets, narrative and pictures, links to other records there, and what they contain. */
const KEPT = [
  'language',
  'extension',
  'identifier',
  'active',
  'name',
  'telecom',
  'gender',
  'birthDate',
  'deceasedBoolean',
  'deceasedDateTime',
  'address',
  'maritalStatus',
  'multipleBirthBoolean',
  'multipleBirthInteger',
  'contact',
  'communication',
  'generalPractitioner',
  'managingOrganization',
];

const RELATIVE = /^[A-Z][A-Za-z]{1,63}\/[A-Za-z0-9.-]{1,64}(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/;
const ABSOLUTE = /^https?:\/\//;

/** References lead to where the resource came from, never to what happens to have the same id here. undefined: to nothing that stays. */
function absoluteReferences(value: unknown, base: string): unknown {
  if (Array.isArray(value))
    return value.map((v: unknown) => absoluteReferences(v, base)).filter((v) => v !== undefined);
  if (!isTree(value)) return value;
  // A copy keeps the symbols under which digits of decimals stand.
  const copy: Record<string, unknown> = { ...value };
  for (const [key, inner] of Object.entries(value)) {
    const next = absoluteReferences(inner, base);
    if (next === undefined || (Array.isArray(next) && next.length === 0)) delete copy[key];
    else copy[key] = next;
  }
  const reference = copy['reference'];
  if (typeof reference === 'string') {
    if (RELATIVE.test(reference)) copy['reference'] = `${base}/${reference}`;
    else if (!ABSOLUTE.test(reference)) delete copy['reference'];
  }
  return Object.keys(copy).length === 0 && Object.keys(value).length > 0 ? undefined : copy;
}

/**
 * The patient as it is stored here: valid, under an id of ours, with its source.
 * @throws FederationFailure `invalid`
 */
export function importedPatient(engine: Engine, remote: RemotePatient, base: string, id: string): Patient {
  const { tree } = remote;
  // What changes the meaning of the whole must be understood by who keeps it.
  if (tree['modifierExtension'] !== undefined || tree['implicitRules'] !== undefined) throw failure('invalid');
  const kept = Object.fromEntries(
    KEPT.flatMap((name) => [name, `_${name}`])
      .filter((name) => tree[name] !== undefined)
      .map((name) => [name, absoluteReferences(tree[name], base)] as const)
      .filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0)),
  );
  try {
    const resource = demandValid(engine, 'Patient', {
      resourceType: 'Patient',
      id,
      meta: { source: `${base}/Patient/${remote.id}` },
      ...kept,
    });
    if (resource.resourceType !== 'Patient') throw failure('invalid');
    return resource;
  } catch (error) {
    if (error instanceof FhirError) throw failure('invalid', error);
    throw error;
  }
}
