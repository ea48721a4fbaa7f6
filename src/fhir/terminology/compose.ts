/**
 * Evaluates the definition of a value set into what it takes of each code system: all of it, listed codes, or codes that nobody can list here.
 * @see https://hl7.org/fhir/R4/valueset.html#composition
 */
import type { ValueSet, ValueSetComposeInclude } from '@medplum/fhirtypes';
import { applyFilter, type SystemGraph } from './code-system.ts';
import { UNKNOWN_SYSTEM, withoutVersion } from './model.ts';

/** Codes of one system: `codes` with the displays that the value set gives them. `open`: there are more, which cannot be enumerated. */
export interface Selection {
  readonly codes: ReadonlyMap<string, string | undefined>;
  readonly open: boolean;
}

/** By code system, in the order of the definition. The system `*` stands for what is wholly unknown (an import that is not at hand). */
export type Composition = ReadonlyMap<string, Selection>;

export interface ComposeSources {
  /** A canonical, with or without `|version`. */
  system(canonical: string): SystemGraph | undefined;
  valueSet(canonical: string): ValueSet | undefined;
}

const NOTHING: Selection = { codes: new Map(), open: false };
const OPEN: Selection = { codes: new Map(), open: true };

const union = (a: Selection, b: Selection): Selection => ({
  codes: new Map([...b.codes, ...a.codes]),
  open: a.open || b.open,
});

/** Codes of both. An open side may hold any code, so the other side's codes stay only as a possibility. */
function intersection(a: Selection, b: Selection): Selection {
  const both = [...a.codes].filter(([code]) => b.codes.has(code));
  const possible = (a.open && b.codes.size > 0) || (b.open && a.codes.size > 0) || (a.open && b.open);
  return { codes: new Map(both), open: possible };
}

function without(a: Selection, b: Selection): Selection {
  const left = [...a.codes].filter(([code]) => !b.codes.has(code));
  return b.open ? { codes: new Map(), open: left.length > 0 || a.open } : { codes: new Map(left), open: a.open };
}

/** The concept list or the filters of an include, without its imports. */
function ofSystem(include: ValueSetComposeInclude, canonical: string, sources: ComposeSources): Selection {
  if (include.concept) return { codes: new Map(include.concept.map((c) => [c.code ?? '', c.display])), open: false };
  const graph =
    sources.system(include.version ? `${canonical}|${include.version}` : canonical) ?? sources.system(canonical);
  if (!graph) return OPEN;
  let kept: ReadonlySet<number> = new Set(graph.concepts.keys());
  for (const filter of include.filter ?? []) {
    const selected = applyFilter(graph, filter);
    if (!selected) return OPEN;
    kept = new Set([...kept].filter((i) => selected.has(i)));
  }
  return {
    codes: new Map([...kept].sort((x, y) => x - y).map((i) => [graph.concepts[i]?.code ?? '', undefined])),
    open: false,
  };
}

function ofInclude(include: ValueSetComposeInclude, sources: ComposeSources, seen: ReadonlySet<string>): Composition {
  const imports = (include.valueSet ?? []).map((url) => composed(url, sources, seen));
  const own: Composition | undefined =
    include.system === undefined
      ? undefined
      : new Map([[withoutVersion(include.system), ofSystem(include, include.system, sources)]]);
  const [first, ...others] = own ? [own, ...imports] : imports;
  if (!first) return new Map();
  return others.reduce<Composition>((kept, other) => {
    if (kept.has(UNKNOWN_SYSTEM) || other.has(UNKNOWN_SYSTEM)) {
      return new Map([...kept.keys(), ...other.keys()].map((system) => [system, OPEN]));
    }
    return new Map(
      [...kept].flatMap(([system, s]) =>
        other.has(system) ? [[system, intersection(s, other.get(system) ?? NOTHING)]] : [],
      ),
    );
  }, first);
}

function composed(canonical: string, sources: ComposeSources, seen: ReadonlySet<string>): Composition {
  const valueSet = sources.valueSet(canonical) ?? sources.valueSet(withoutVersion(canonical));
  if (!valueSet || seen.has(canonical)) return new Map([[UNKNOWN_SYSTEM, OPEN]]);
  return compose(valueSet, sources, new Set([...seen, canonical]));
}

/** What the value set holds, by code system. Imports that turn in a circle are open. */
export function compose(
  valueSet: ValueSet,
  sources: ComposeSources,
  seen: ReadonlySet<string> = new Set(),
): Composition {
  const out = new Map<string, Selection>();
  for (const include of valueSet.compose?.include ?? []) {
    for (const [system, selection] of ofInclude(include, sources, seen))
      out.set(system, union(out.get(system) ?? NOTHING, selection));
  }
  for (const exclude of valueSet.compose?.exclude ?? []) {
    for (const [system, selection] of ofInclude(exclude, sources, seen)) {
      const included = out.get(system);
      if (included) out.set(system, without(included, selection));
    }
  }
  return out;
}
