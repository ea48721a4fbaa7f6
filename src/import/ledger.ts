/**
 * What the first pass learns of the input: which resources there are, and which refers to which; a few dozen bytes each, whatever their size.
 * It decides which can be stored: a resource whose target is refused is refused too, and so on until nothing changes.
 */

/** A missing target, and the resource that names it. */
export interface Dangling {
  /** Number of the resource that names it. */
  readonly from: number;
  readonly target: string;
  readonly expression: string;
  /** The input holds the target, but it was refused. */
  readonly refused: boolean;
}

interface Link {
  readonly from: number;
  readonly expression: string;
}

export class Ledger {
  private readonly numbers = new Map<string, number>();
  private readonly fingerprints: number[] = [];
  private readonly aliases = new Map<string, string>();
  /** By the number of the target. */
  private readonly links = new Map<number, Link[]>();
  private readonly refusedNumbers = new Set<number>();
  private readonly invalid = new Set<string>();
  private added = 0;
  private readonly expressions = new Map<string, string>();
  /** Keys as the Map holds them, by number. */
  private readonly keys: string[] = [];

  private number(key: string): number {
    const known = this.numbers.get(key);
    if (known !== undefined) return known;
    const number = this.keys.length;
    this.numbers.set(key, number);
    this.keys.push(key);
    this.fingerprints.push(Number.NaN);
    return number;
  }

  /** @returns its number; or `taken`: another resource of the input has the id, `again`: the same resource was met before */
  add(key: string, fingerprint: number): number | 'again' | 'taken' {
    const number = this.number(key);
    const known = this.fingerprints[number];
    if (known !== undefined && !Number.isNaN(known)) return known === fingerprint ? 'again' : 'taken';
    this.fingerprints[number] = fingerprint;
    this.added++;
    return number;
  }

  /** Notes a resource that is refused for itself, so that those that refer to it can be told why they are. */
  refuse(key: string): void {
    this.invalid.add(key);
  }

  /** Whether the input holds this resource, and nothing speaks against it. */
  holds(key: string): boolean {
    const number = this.numbers.get(key);
    return (
      number !== undefined && !Number.isNaN(this.fingerprints[number] ?? Number.NaN) && !this.refusedNumbers.has(number)
    );
  }

  /** Resources of the input that are valid by themselves. */
  get size(): number {
    return this.added;
  }

  /** The name `urn` of a resource in its Bundle; the first to bear it keeps it. */
  name(urn: string, key: string): void {
    if (!this.aliases.has(urn)) this.aliases.set(urn, key);
  }

  named(urn: string): string | undefined {
    return this.aliases.get(urn);
  }

  /** @param target `Type/id`, or a name */
  link(key: string, target: string, expression: string): void {
    // Millions of links share a few expressions.
    let shared = this.expressions.get(expression);
    if (shared === undefined) this.expressions.set(expression, (shared = expression));
    this.addLinks(this.number(target), [{ from: this.number(key), expression: shared }]);
  }

  private addLinks(target: number, links: readonly Link[]): void {
    const known = this.links.get(target);
    if (known) known.push(...links);
    else this.links.set(target, [...links]);
  }

  /** When all names are known: what refers to a name refers to the resource that bears it. */
  resolveNames(): void {
    for (const [name, key] of this.aliases) {
      const number = this.numbers.get(name);
      const links = number === undefined ? undefined : this.links.get(number);
      if (number === undefined || links === undefined) continue;
      this.links.delete(number);
      this.addLinks(this.number(key), links);
    }
  }

  /** Targets that the input does not hold: they may be in the database. Names that nothing bears are not among them. */
  *outside(): Generator<string> {
    for (const number of this.links.keys()) {
      const key = this.keys[number] ?? '';
      if (!this.holds(key) && !key.startsWith('urn:')) yield key;
    }
  }

  /**
   * Refuses what refers to something that is nowhere, then what refers to that.
   * @param inDatabase targets that are stored already
   */
  refuseDangling(inDatabase: { has(key: string): boolean }): Dangling[] {
    const dangling: Dangling[] = [];
    const gone = [...this.links.keys()].filter((number) => {
      const key = this.keys[number] ?? '';
      return !this.holds(key) && !inDatabase.has(key);
    });
    const refuse = (target: number): void => {
      for (const { from, expression } of this.links.get(target) ?? []) {
        const key = this.keys[target] ?? '';
        const refused = this.invalid.has(key) || this.refusedNumbers.has(target);
        dangling.push({ from, target: key, expression, refused });
        if (this.refusedNumbers.has(from)) continue;
        this.refusedNumbers.add(from);
        gone.push(from);
      }
    };
    // It grows while it is gone through.
    for (const target of gone) refuse(target);
    return dangling;
  }
}
