/**
 * Spans of time, half-open: `[start, end)` in milliseconds since 1970, so that visits back to back do not meet.
 * @see https://hl7.org/fhir/R4/slot.html
 */

export interface Interval {
  readonly start: number;
  readonly end: number;
}

/** Whether both share a moment. An empty span shares none, as in PostgreSQL's ranges. */
export const overlaps = (a: Interval, b: Interval): boolean => Math.max(a.start, b.start) < Math.min(a.end, b.end);

/** The same moments as few spans as can be: sorted, joined where they touch, without empty ones. */
export function merge(list: readonly Interval[]): Interval[] {
  const joined: { start: number; end: number }[] = [];
  for (const { start, end } of list.filter((each) => each.start < each.end).sort((a, b) => a.start - b.start)) {
    const last = joined.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else joined.push({ start, end });
  }
  return joined;
}

/** What `from` covers and `taken` does not. */
export function subtract(from: readonly Interval[], taken: readonly Interval[]): Interval[] {
  const holes = merge(taken);
  const left: Interval[] = [];
  let first = 0;
  for (const { start, end } of merge(from)) {
    while ((holes[first]?.end ?? Infinity) <= start) first++;
    let open = start;
    for (let at = first; at < holes.length; at++) {
      const hole = holes[at];
      if (!hole || hole.start >= end) break;
      if (hole.start > open) left.push({ start: open, end: hole.start });
      open = hole.end;
    }
    if (open < end) left.push({ start: open, end });
  }
  return left;
}

/** What both cover. */
export function intersect(a: readonly Interval[], b: readonly Interval[]): Interval[] {
  const [ours, theirs] = [merge(a), merge(b)];
  const both: Interval[] = [];
  for (let i = 0, j = 0; ;) {
    const [one, other] = [ours[i], theirs[j]];
    if (!one || !other) return both;
    const [start, end] = [Math.max(one.start, other.start), Math.min(one.end, other.end)];
    if (start < end) both.push({ start, end });
    if (one.end < other.end) i++;
    else j++;
  }
}
