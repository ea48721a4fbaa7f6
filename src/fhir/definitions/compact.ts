/**
 * Turns published StructureDefinitions, SearchParameters and CompartmentDefinitions into the compact model; runs in the build.
 * @see https://hl7.org/fhir/R4/elementdefinition.html
 */
import type {
  CompartmentDefinition,
  ElementDefinition,
  OperationDefinition,
  OperationDefinitionParameter,
  SearchParameter,
  StructureDefinition,
} from '@medplum/fhirtypes';
import type {
  CompartmentDef,
  Constraint,
  ElementDef,
  ElementType,
  OperationDef,
  OperationParameterDef,
  SearchParameterDef,
  TypeDef,
} from './model.ts';

const FHIR_TYPE = 'http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type';
const REGEX = 'http://hl7.org/fhir/StructureDefinition/regex';

const lastSegment = (url: string): string => url.slice(url.lastIndexOf('/') + 1);

/** Canonical without `|version`. */
export const withoutVersion = (canonical: string): string => canonical.split('|')[0] ?? canonical;

function elementType(type: NonNullable<ElementDefinition['type']>[number]): ElementType {
  const fhirType = type.extension?.find((e) => e.url === FHIR_TYPE)?.valueUrl;
  const code =
    fhirType ??
    (type.code?.startsWith('http://hl7.org/fhirpath/')
      ? lastSegment(type.code).replace('System.', '').toLowerCase()
      : (type.code ?? ''));
  return {
    code,
    ...(type.targetProfile ? { targets: type.targetProfile.map(lastSegment) } : {}),
    ...(type.profile ? { profiles: type.profile } : {}),
  };
}

/** Constraints that are checked structurally (ele-1, ext-1) are left out. */
export function constraintsOf(element: ElementDefinition, overrides: Readonly<Record<string, string>>): Constraint[] {
  return (element.constraint ?? [])
    .filter((c) => c.expression && c.key !== 'ele-1' && c.key !== 'ext-1')
    .map((c) => ({
      key: c.key ?? '',
      severity: c.severity === 'warning' ? 'warning' : 'error',
      human: c.human ?? '',
      expression: overrides[c.key ?? ''] ?? c.expression ?? '',
    }));
}

/**
 * The type and its backbone types, from a snapshot.
 * @param overrides corrected invariant expressions by key (see docs/definitions.md)
 */
export function compactType(sd: StructureDefinition, overrides: Readonly<Record<string, string>> = {}): TypeDef[] {
  const all = sd.snapshot?.element ?? [];
  const root = all[0];
  if (!root?.path) throw new Error(`${sd.url} has no snapshot`);
  const rootPath = root.path;
  const byParent = new Map<string, ElementDefinition[]>();
  for (const element of all.slice(1)) {
    const path = element.path ?? '';
    const parent = path.slice(0, path.lastIndexOf('.'));
    byParent.set(parent, [...(byParent.get(parent) ?? []), element]);
  }
  const kind = sd.kind === 'primitive-type' ? 'primitive' : sd.kind === 'resource' ? 'resource' : 'complex';
  const base = sd.baseDefinition ? { base: lastSegment(sd.baseDefinition) } : {};
  const toElement = (element: ElementDefinition): ElementDef => {
    const path = element.path ?? '';
    const last = path.slice(path.lastIndexOf('.') + 1);
    const choice = last.endsWith('[x]');
    const backbone = element.contentReference
      ? lastSegment(element.contentReference).replace(/^#/, '')
      : byParent.has(path)
        ? path
        : undefined;
    const valueSet = element.binding?.valueSet;
    return {
      name: choice ? last.slice(0, -3) : last,
      path,
      min: element.min ?? 0,
      max: element.max === '*' ? Infinity : Number(element.max ?? 1),
      choice,
      types: (element.type ?? []).map(elementType),
      ...(backbone ? { backbone } : {}),
      ...(valueSet && element.binding?.strength
        ? { binding: { strength: element.binding.strength, valueSet: withoutVersion(valueSet) } }
        : {}),
      constraints: constraintsOf(element, overrides),
      summary: element.isSummary === true,
      modifier: element.isModifier === true,
    };
  };
  const types: TypeDef[] = [...byParent].map(([path, elements]) => ({
    name: path === rootPath ? (sd.type ?? rootPath) : path,
    kind: path === rootPath ? kind : 'backbone',
    ...(path === rootPath ? base : { base: backboneBase(all.find((e) => e.path === path)) }),
    elements: elements.map(toElement),
    constraints: path === rootPath ? constraintsOf(root, overrides) : [],
    ...(kind === 'primitive' ? regexOf(all) : {}),
  }));
  return types;
}

/** Parts of resources are BackboneElements, parts of datatypes plain Elements. */
const backboneBase = (element: ElementDefinition | undefined): string =>
  element?.type?.[0]?.code === 'Element' ? 'Element' : 'BackboneElement';

function regexOf(elements: readonly ElementDefinition[]): { regex?: string } {
  const value = elements.find((e) => e.path?.endsWith('.value'));
  const regex = value?.type?.[0]?.extension?.find((e) => e.url === REGEX)?.valueString;
  return regex ? { regex } : {};
}

export function compactSearchParameter(sp: SearchParameter): SearchParameterDef {
  return {
    url: sp.url ?? '',
    code: sp.code ?? '',
    type: sp.type as SearchParameterDef['type'],
    base: sp.base ?? [],
    expression: sp.expression ?? '',
    target: sp.target ?? [],
    components: (sp.component ?? []).map((c) => ({ definition: c.definition ?? '', expression: c.expression ?? '' })),
  };
}

export function compactCompartment(cd: CompartmentDefinition): CompartmentDef {
  const resources: Record<string, readonly string[]> = {};
  for (const r of cd.resource ?? []) if (r.code && r.param?.length) resources[r.code] = r.param;
  return { code: cd.code ?? '', url: cd.url ?? '', resources };
}

const compactParameter = (p: OperationDefinitionParameter): OperationParameterDef => ({
  name: p.name ?? '',
  min: p.min ?? 0,
  max: p.max === '*' ? Infinity : Number(p.max ?? 1),
  ...(p.type ? { type: p.type } : {}),
  ...(p.type === 'Reference' && p.targetProfile ? { targets: p.targetProfile.map(lastSegment) } : {}),
  ...(p.searchType === 'token' ? { token: true as const } : {}),
  ...(p.binding?.strength === 'required' && p.binding.valueSet ? { valueSet: withoutVersion(p.binding.valueSet) } : {}),
  parts: (p.part ?? []).map(compactParameter),
});

export const compactOperation = (od: OperationDefinition): OperationDef => ({
  url: od.url ?? '',
  code: od.code ?? '',
  parameters: (od.parameter ?? []).filter((p) => p.use === 'in').map(compactParameter),
});
