/**
 * Who has time for several visits at once has lanes, and each visit says how many it tolerates beside itself: the cells that the database keeps apart.
 * @see https://www.postgresql.org/docs/current/rangetypes.html#RANGETYPES-CONSTRAINT
 */

export const MAX_CAPACITY = 32;
const SIDE = 64;

/** Every cell that a visit may hold: what blocks the whole actor. */
export const ALL_LANES = `{[${SIDE + 1},${SIDE * SIDE})}`;

/**
 * The cells of a visit in `lane` that tolerates `capacity` visits, as an `int4multirange`. Cell (j,k) of a grid of 64 by 64 is number 64j + k.
 * Held are (lane,lane); its row from `capacity` on, where those in lanes it does not tolerate cross; and its column above, where it crosses theirs.
 */
export function lanesOf(lane: number, capacity: number): string {
  if (!(lane >= 1 && lane <= capacity && capacity <= MAX_CAPACITY)) {
    throw new RangeError(`lane ${lane} of ${capacity}`);
  }
  const cells: number[] = [];
  for (let row = 1; row < lane; row++) cells.push(SIDE * row + lane);
  cells.push(SIDE * lane + lane);
  for (let column = capacity + 1; column < SIDE; column++) cells.push(SIDE * lane + column);
  const ranges: [number, number][] = [];
  for (const cell of cells) {
    const last = ranges.at(-1);
    if (last?.[1] === cell) last[1] = cell + 1;
    else ranges.push([cell, cell + 1]);
  }
  return `{${ranges.map(([from, to]) => `[${from},${to})`).join(',')}}`;
}

/** Lane 0 is all of them. */
export interface Lane {
  readonly lane: number;
  readonly capacity: number;
  /** Booked over others, it is in no lane: one must be left for it. */
  readonly override?: boolean;
}

/** The lowest lane that all these visits tolerate, and that tolerates them, if one more is left for each that is overbooked; undefined: none. */
export function freeLane(taken: readonly Lane[], capacity: number): number | undefined {
  if (taken.length === 0) return 1;
  const inLanes = taken.filter((other) => other.override !== true);
  if (inLanes.some(({ lane }) => lane === 0 || lane > capacity)) return undefined;
  const most = taken.reduce((least, other) => Math.min(least, other.capacity), capacity);
  // Those in no lane, and in lanes that an overbooked one does not tolerate, are there, too.
  if (taken.length > inLanes.length && taken.length >= most) return undefined;
  for (let lane = 1; lane <= most; lane++) if (inLanes.every((other) => other.lane !== lane)) return lane;
  return undefined;
}
