/**
 * The compact shapes of code systems and value sets in `.build/terminology.json`. Concepts are one text per system, a line each,
 * so that a start parses no concept and a system is unpacked when first asked for.
 * @see https://hl7.org/fhir/R4/terminology-module.html
 */

/** A code system whose concepts are known. */
export interface SystemFile {
  readonly id?: string;
  readonly version?: string;
  readonly name: string;
  /** `false`: a fragment or example; a code that is not listed may still exist. */
  readonly complete: boolean;
  /** Lines of `code TAB display TAB parents TAB flags`: parents are line numbers joined by commas, flags are `a` for an abstract code, `i` for an inactive one. */
  readonly concepts: string;
}

/** What a value set takes of one code system. */
export interface PartFile {
  readonly system: string;
  /** `all`: every code of the system. `listed`: the codes below. `opaque`: codes that cannot be enumerated here. */
  readonly kind: 'all' | 'listed' | 'opaque';
  /** Lines of `code` or `code TAB display`; a display only where it differs from the system's, or the system is not known. */
  readonly codes?: string;
}

export interface ValueSetFile {
  readonly id?: string;
  readonly version?: string;
  readonly parts: readonly PartFile[];
}

/** The file `.build/terminology.json`. */
export interface TerminologyFile {
  readonly systems: Readonly<Record<string, SystemFile>>;
  readonly valueSets: Readonly<Record<string, ValueSetFile>>;
  /** Code systems that the value sets name and that cannot be enumerated (SNOMED CT, UCUM, BCP 47 …). */
  readonly opaque: readonly string[];
}

/** A concept inside a system: parents and children by position. */
export interface ConceptNode {
  readonly code: string;
  readonly display?: string;
  readonly parents: readonly number[];
  readonly abstract: boolean;
  readonly inactive: boolean;
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

export const printConcepts = (concepts: readonly ConceptNode[]): string =>
  concepts
    .map(
      (c) =>
        `${c.code}\t${c.display === undefined ? '' : oneLine(c.display)}\t${c.parents.join(',')}\t${c.abstract ? 'a' : ''}${c.inactive ? 'i' : ''}`,
    )
    .join('\n');

export function parseConcepts(text: string): ConceptNode[] {
  if (text === '') return [];
  return text.split('\n').map((line) => {
    const [code = '', display = '', parents = '', flags = ''] = line.split('\t');
    return {
      code,
      ...(display === '' ? {} : { display }),
      parents: parents === '' ? [] : parents.split(',').map(Number),
      abstract: flags.includes('a'),
      inactive: flags.includes('i'),
    };
  });
}

/** Codes of a value set's part, with the display that the value set gives them. */
export const printCodes = (codes: ReadonlyMap<string, string | undefined>): string =>
  [...codes].map(([code, display]) => (display === undefined ? code : `${code}\t${oneLine(display)}`)).join('\n');

export function parseCodes(text: string): Map<string, string | undefined> {
  if (text === '') return new Map();
  return new Map(
    text.split('\n').map((line) => {
      const tab = line.indexOf('\t');
      return tab < 0 ? [line, undefined] : [line.slice(0, tab), line.slice(tab + 1)];
    }),
  );
}

/** Stands for the systems of an import that is not at hand. */
export const UNKNOWN_SYSTEM = '*';

/** Canonical without `|version`. */
export const withoutVersion = (canonical: string): string => canonical.split('|', 1)[0] ?? canonical;

/** What a client sent, short enough to be repeated in a message. */
export const brief = (text: string): string => (text.length > 100 ? `${text.slice(0, 100)}…` : text);
