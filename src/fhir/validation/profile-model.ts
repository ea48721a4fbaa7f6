/**
 * Profiles in compact form: what a StructureDefinition's differential asks beyond its base.
 * @see https://hl7.org/fhir/R4/profiling.html
 */
import type { Constraint } from '../definitions/model.ts';

export interface Discriminator {
  readonly kind: 'value' | 'pattern' | 'type' | 'exists';
  /** Element names from the sliced element on; empty for `$this`. */
  readonly path: readonly string[];
}

export interface Slice {
  readonly name: string;
  readonly rule: ElementRule;
}

/** What a profile asks of an element, and of those below it. */
export interface ElementRule {
  readonly name: string;
  readonly min?: number;
  /** Absent: as in the base. */
  readonly max?: number;
  /** Types that a choice is narrowed to; Reference with the types it may refer to; profiles by URL. */
  readonly types?: readonly {
    readonly code: string;
    readonly targets?: readonly string[];
    readonly profiles?: readonly string[];
  }[];
  /** Must be equal. */
  readonly fixed?: unknown;
  /** Must be contained: every property of the pattern is in the value. */
  readonly pattern?: unknown;
  readonly binding?: { readonly valueSet: string; readonly required: boolean };
  readonly constraints: readonly Constraint[];
  readonly slicing?: {
    readonly discriminators: readonly Discriminator[];
    readonly closed: boolean;
    readonly slices: readonly Slice[];
  };
  readonly children: readonly ElementRule[];
}

export interface Profile {
  readonly url: string;
  readonly version: string;
  /** URLs of the profiles of others that this one stands for, with the version that it was written to. */
  readonly standsFor: readonly { readonly url: string; readonly version: string }[];
  /** Resource type or datatype. */
  readonly type: string;
  /** Extensions: the types that may have it. */
  readonly contexts?: readonly string[];
  readonly root: ElementRule;
}

/** The file `.build/profiles.json`. */
export type ProfilesFile = readonly Profile[];
