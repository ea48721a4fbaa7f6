/**
 * Answers questions about codes from `.build/terminology.json`: what a value set holds, whether a code is in it, what lies below a code.
 * Three answers are possible: yes, no, and "cannot be told here".
 * @see https://hl7.org/fhir/R4/terminology-service.html
 */
import { readFileSync } from 'node:fs';
import type { Concept, Terminology } from '../engine.ts';
import { closure, graphOf, type SystemGraph } from './code-system.ts';
import {
  UNKNOWN_SYSTEM,
  parseCodes,
  parseConcepts,
  withoutVersion,
  type PartFile,
  type TerminologyFile,
} from './model.ts';

/** A part of a value set, unpacked: its codes (undefined: opaque), and whether a missing code is surely absent. */
interface Part {
  readonly system: string;
  readonly codes: ReadonlyMap<string, string | undefined> | undefined;
  readonly complete: boolean;
}

function createTerminology(file: TerminologyFile): Terminology {
  const graphs = new Map<string, SystemGraph>();
  const parts = new Map<string, readonly Part[]>();

  const graph = (system: string): SystemGraph | undefined => {
    const known = graphs.get(system);
    if (known) return known;
    const entry = Object.hasOwn(file.systems, system) ? file.systems[system] : undefined;
    if (!entry) return undefined;
    const made = graphOf(parseConcepts(entry.concepts));
    graphs.set(system, made);
    return made;
  };

  const unpack = (part: PartFile): Part => {
    if (part.kind === 'opaque') return { system: part.system, codes: undefined, complete: false };
    if (part.kind === 'listed') return { system: part.system, codes: parseCodes(part.codes ?? ''), complete: true };
    const concepts = graph(part.system)?.concepts ?? [];
    return {
      system: part.system,
      codes: new Map(concepts.map((c) => [c.code, undefined])),
      complete: file.systems[part.system]?.complete === true,
    };
  };

  // Asked for every bound code of every write; bindings carry no version, so the first lookup finds them.
  const partsOf = (canonical: string): readonly Part[] | undefined => {
    const bound = parts.get(canonical);
    if (bound) return bound;
    const url = withoutVersion(canonical);
    const known = parts.get(url);
    if (known) return known;
    const entry = Object.hasOwn(file.valueSets, url) ? file.valueSets[url] : undefined;
    if (!entry) return undefined;
    const made = entry.parts.map(unpack);
    parts.set(url, made);
    return made;
  };

  const concept = (system: string, code: string, display?: string): Concept => {
    const known = graph(system);
    const node = known?.concepts[known.position.get(code) ?? -1];
    const text = display ?? node?.display;
    return {
      system,
      code,
      ...(text === undefined ? {} : { display: text }),
      ...(node?.abstract ? { abstract: true } : {}),
      ...(node?.inactive ? { inactive: true } : {}),
    };
  };

  return {
    expand(valueSetUrl) {
      const all = partsOf(valueSetUrl);
      if (!all || all.some((p) => p.codes === undefined)) return undefined;
      return all.flatMap((p) => [...(p.codes ?? [])].map(([code, display]) => concept(p.system, code, display)));
    },
    contains(valueSetUrl, system, code) {
      const all = partsOf(valueSetUrl);
      if (!all) return undefined;
      let certain = true;
      for (const part of all) {
        if (system !== undefined && part.system !== system && part.system !== UNKNOWN_SYSTEM) continue;
        if (part.codes?.has(code)) return true;
        if (!part.complete) certain = false;
      }
      return certain ? false : undefined;
    },
    lookup(system, code) {
      const url = withoutVersion(system);
      const known = graph(url);
      if (!known) return undefined;
      if (known.position.has(code)) return concept(url, code);
      return file.systems[url]?.complete === true ? null : undefined;
    },
    subsumed(system, code, direction) {
      const known = graph(withoutVersion(system));
      if (!known) return undefined;
      const reached = closure(known, code, direction).map((i) => known.concepts[i]?.code ?? '');
      return reached.length > 0 ? reached : [code];
    },
    relatives(system, code) {
      const known = graph(withoutVersion(system));
      const at = known?.position.get(code);
      if (!known || at === undefined) return undefined;
      const codes = (positions: readonly number[] = []): string[] =>
        positions.map((i) => known.concepts[i]?.code ?? '');
      return { parents: codes(known.concepts[at]?.parents), children: codes(known.children[at]) };
    },
    systemOf(valueSetUrl) {
      const url = withoutVersion(valueSetUrl);
      const entry = Object.hasOwn(file.valueSets, url) ? file.valueSets[url] : undefined;
      const systems = new Set(entry?.parts.map((p) => p.system));
      const [only] = systems;
      return systems.size === 1 && only !== UNKNOWN_SYSTEM ? only : undefined;
    },
    codeSystem(system) {
      const url = withoutVersion(system);
      const entry = Object.hasOwn(file.systems, url) ? file.systems[url] : undefined;
      if (entry) {
        return {
          url,
          name: entry.name,
          complete: entry.complete,
          ...(entry.id ? { id: entry.id } : {}),
          ...(entry.version ? { version: entry.version } : {}),
        };
      }
      return file.opaque.includes(url) ? 'opaque' : undefined;
    },
    valueSet(valueSetUrl) {
      const url = withoutVersion(valueSetUrl);
      const entry = Object.hasOwn(file.valueSets, url) ? file.valueSets[url] : undefined;
      return (
        entry && { url, ...(entry.id ? { id: entry.id } : {}), ...(entry.version ? { version: entry.version } : {}) }
      );
    },
    codeSystemUrls: Object.keys(file.systems),
  };
}

/** Reads `.build/terminology.json`, which `npm run build` makes. */
export function loadTerminology(file: URL = new URL('../../../.build/terminology.json', import.meta.url)): Terminology {
  return createTerminology(JSON.parse(readFileSync(file, 'utf8')) as TerminologyFile);
}
