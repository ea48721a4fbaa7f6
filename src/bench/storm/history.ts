/**
 * What the clients of a storm saw: who had which time from when to when, as far as they can know it, and who was refused. Afterwards it is looked whether
 * any order of events explains it. @see https://jepsen.io/consistency/models/linearizable
 */

/** Time of somebody's, buffers included, in ms; the key of who is shared is in `actor`. */
export interface Span {
  readonly actor: string;
  readonly start: number;
  readonly end: number;
  /** How many visits at a time the actor has. */
  readonly capacity: number;
}

/** Moments are in ms since the epoch, by the one clock of all clients. */
export interface Claim extends Span {
  readonly client: number;
  /** The request was sent: from now on it may have the time. */
  readonly possibleFrom: number;
  /** The answer said that it has it; Infinity: no answer did. */
  readonly certainFrom: number;
  certainTo: number;
  possibleTo: number;
}

export interface Refusal {
  readonly client: number;
  /** Somebody must have had one of these. */
  readonly spans: readonly Span[];
  readonly from: number;
  readonly to: number;
  /** What was said. */
  readonly said: string;
}

export interface Verdict {
  /** Two had the same time for certain. */
  readonly doubles: readonly string[];
  /** Refused, although nobody can have had the time. */
  readonly baseless: readonly string[];
}

/** A hold that has run out may be in the way for so long. */
const LINGERS_MS = 5_000;
/** The clients' clock and the database's are not read at the same moment. */
const CLOCK_MS = 50;

const meet = (a: Span, b: Span): boolean => a.actor === b.actor && a.start < b.end && b.start < a.end;

const say = ({ actor, start }: Span): string => `${actor} at ${new Date(start).toISOString()}`;

export class History {
  readonly claims: Claim[] = [];
  readonly refusals: Refusal[] = [];

  /**
   * @param answered undefined: it is not known whether it was won
   * @param expires when a hold runs out
   */
  won(client: number, span: Span, sent: number, answered: number | undefined, expires = Infinity): Claim {
    const claim: Claim = {
      ...span,
      client,
      possibleFrom: sent,
      certainFrom: answered ?? Infinity,
      certainTo: expires - CLOCK_MS,
      possibleTo: expires + LINGERS_MS,
    };
    this.claims.push(claim);
    return claim;
  }

  /** @param answered undefined: it is not known whether it was let go */
  let(claim: Claim, sent: number, answered: number | undefined): void {
    claim.certainTo = Math.min(claim.certainTo, sent);
    if (answered !== undefined) claim.possibleTo = Math.min(claim.possibleTo, answered);
  }

  refused(refusal: Refusal): void {
    this.refusals.push(refusal);
  }

  verdict(): Verdict {
    return { doubles: doublesAmong(this.claims), baseless: baselessAmong(this.claims, this.refusals) };
  }
}

function doublesAmong(claims: readonly Claim[]): string[] {
  const found: string[] = [];
  const sorted = claims.filter((c) => c.certainFrom < c.certainTo).sort((a, b) => a.certainFrom - b.certainFrom);
  const open = new Map<string, Claim[]>();
  for (const claim of sorted) {
    const still = (open.get(claim.actor) ?? []).filter((o) => o.certainTo > claim.certainFrom);
    const beside = still.filter((o) => meet(o, claim));
    if (beside.length >= claim.capacity)
      found.push(`${say(claim)}: clients ${[claim, ...beside].map((c) => c.client).join(', ')}`);
    still.push(claim);
    open.set(claim.actor, still);
  }
  return found;
}

const HALF_HOUR = 1_800_000;

/** Claims by actor and half hour, so that those of one time are at hand. */
function byTime(claims: readonly Claim[]): (span: Span) => ReadonlySet<Claim> {
  const all = new Map<string, Claim[]>();
  const keys = ({ actor, start, end }: Span): string[] => {
    const list: string[] = [];
    for (let at = Math.floor(start / HALF_HOUR); at * HALF_HOUR < end; at++) list.push(`${actor} ${at}`);
    return list;
  };
  for (const claim of claims)
    for (const key of keys(claim)) {
      const list = all.get(key);
      if (list) list.push(claim);
      else all.set(key, [claim]);
    }
  return (span) => new Set(keys(span).flatMap((key) => all.get(key) ?? []));
}

function baselessAmong(claims: readonly Claim[], refusals: readonly Refusal[]): string[] {
  const of = byTime(claims);
  const found: string[] = [];
  for (const { spans, from, to, client, said } of refusals) {
    const isTaken = (span: Span): boolean => {
      let beside = 0;
      for (const c of of(span)) {
        if (c.possibleFrom >= to || c.possibleTo <= from || !meet(c, span)) continue;
        if (++beside >= span.capacity) return true;
      }
      return false;
    };
    if (!spans.some(isTaken)) found.push(`client ${client}, ${spans.map(say).join(' and ')}: ${said}`);
  }
  return found;
}
