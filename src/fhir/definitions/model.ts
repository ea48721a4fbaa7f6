/**
 * The compact shapes that the server keeps of StructureDefinition, SearchParameter and CompartmentDefinition: what
 * routes, validation, columns, search SQL and the CapabilityStatement are computed from.
 * @see https://hl7.org/fhir/R4/structuredefinition.html
 */

/** One permitted type of an element; `targets` are resource type names (Reference, canonical), `profiles` URLs. */
export interface ElementType {
  readonly code: string;
  readonly targets?: readonly string[];
  readonly profiles?: readonly string[];
}

/** An invariant. @see https://hl7.org/fhir/R4/conformance-rules.html#constraints */
export interface Constraint {
  readonly key: string;
  readonly severity: 'error' | 'warning';
  readonly human: string;
  readonly expression: string;
}

export interface Binding {
  readonly strength: 'required' | 'extensible' | 'preferred' | 'example';
  /** Canonical URL without version. */
  readonly valueSet: string;
}

/** A child element of a type. `max` is Infinity for `*`. A choice (`value[x]`) has `name` without `[x]`. */
export interface ElementDef {
  readonly name: string;
  readonly path: string;
  readonly min: number;
  readonly max: number;
  readonly choice: boolean;
  readonly types: readonly ElementType[];
  /** Name of the backbone type (its path) when the element has children of its own. */
  readonly backbone?: string;
  readonly binding?: Binding;
  readonly constraints: readonly Constraint[];
  readonly summary: boolean;
  readonly modifier: boolean;
}

/** A datatype, resource type or backbone element (`Appointment.participant`). */
export interface TypeDef {
  readonly name: string;
  readonly kind: 'primitive' | 'complex' | 'resource' | 'backbone';
  readonly base?: string;
  readonly elements: readonly ElementDef[];
  readonly constraints: readonly Constraint[];
  /** Primitive types: the official regular expression of the value. */
  readonly regex?: string;
}

export type SearchParamType =
  'number' | 'date' | 'string' | 'token' | 'reference' | 'composite' | 'quantity' | 'uri' | 'special';

/** A SearchParameter as published, narrowed to what is needed. */
export interface SearchParameterDef {
  readonly url: string;
  readonly code: string;
  readonly type: SearchParamType;
  readonly base: readonly string[];
  readonly expression: string;
  readonly target: readonly string[];
  readonly components: readonly { readonly definition: string; readonly expression: string }[];
}

/** Which parameters put a type into a compartment. `{def}` stands for the compartment's own resource. */
export interface CompartmentDef {
  readonly code: string;
  readonly url: string;
  readonly resources: Readonly<Record<string, readonly string[]>>;
}

/** An input parameter of an operation. `max` is Infinity for `*`; without `type` it has `parts`. */
export interface OperationParameterDef {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly type?: string;
  /** Types that a Reference may lead to; none given: any. */
  readonly targets?: readonly string[];
  /** A string of the form `system|code`. */
  readonly token?: true;
  /** Required binding. */
  readonly valueSet?: string;
  readonly parts: readonly OperationParameterDef[];
}

/** What an operation takes. @see https://hl7.org/fhir/R4/operationdefinition.html */
export interface OperationDef {
  readonly url: string;
  readonly code: string;
  readonly parameters: readonly OperationParameterDef[];
}

/** What the build makes of the published definitions, before it is written. */
export interface DefinitionsFile {
  readonly types: readonly TypeDef[];
  readonly searchParameters: readonly SearchParameterDef[];
  readonly compartments: readonly CompartmentDef[];
  readonly operations: readonly OperationDef[];
}
