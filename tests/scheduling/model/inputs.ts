/** Random questions for free starts, each with the definition of the answer, written down without a thought of speed. */
import fc from 'fast-check';
import { type Window } from '../../../src/scheduling/model/availability.ts';
import type { Interval } from '../../../src/scheduling/model/interval.ts';
import type { StartsInput, Taken } from '../../../src/scheduling/model/starts.ts';
import { zoneNamed } from '../../../src/scheduling/model/zone.ts';
import { HOUR, MINUTE, NEW_YORK, parameters } from './calendars.ts';

// The night on which New York's clocks go back: 01:00 to 02:00 is shown twice.
export const BEGIN = Date.UTC(2026, 10, 1, 2);
const LENGTH = 8 * HOUR;

const span = (step: number): fc.Arbitrary<Interval> =>
  fc.tuple(fc.nat(LENGTH / MINUTE / step), fc.integer({ min: 1, max: 180 / step })).map(([start, length]) => ({
    start: BEGIN + start * step * MINUTE,
    end: BEGIN + (start + length) * step * MINUTE,
  }));

const anyWindow: fc.Arbitrary<Window> = fc
  .record({
    span: span(5),
    longer: fc.nat(240),
    breaks: fc.array(span(5), { maxLength: 2 }),
    capacity: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
    opening: fc.boolean(),
    zone: fc.constantFrom(NEW_YORK, 'Asia/Kathmandu', 'UTC'),
  })
  .map(({ span, longer, breaks, capacity, opening, zone }) => ({
    start: span.start,
    end: span.end + longer * MINUTE,
    breaks: breaks.map(({ start, end }) => ({ start, end: Math.min(end, start + 20 * MINUTE) })),
    ...(capacity !== undefined && { capacity }),
    origin: { kind: opening ? 'opening' : 'rule' },
    zone,
  }));

const anyTaken: fc.Arbitrary<Taken> = fc
  .record({
    span: span(1),
    actor: fc.constantFrom('a', 'b', 'c'),
    lane: fc.integer({ min: 0, max: 3 }),
    more: fc.nat(2),
  })
  .map(({ span: { start, end }, actor, lane, more }) => ({
    start,
    end: Math.min(end, start + 40 * MINUTE),
    actor,
    lane,
    capacity: lane === 0 ? 1 : lane + more,
  }));

const anyParameters = fc
  .record({
    duration: fc.integer({ min: 1, max: 60 }),
    interval: fc.integer({ min: 1, max: 45 }),
    offset: fc.nat(60),
    before: fc.nat(20),
    after: fc.nat(20),
    strictBuffers: fc.boolean(),
    bufferIntoBreak: fc.boolean(),
    capacity: fc.integer({ min: 1, max: 4 }),
  })
  .map(parameters);

const meet = (a: Interval, b: Interval): boolean =>
  a.start < b.end && b.start < a.end && a.start < a.end && b.start < b.end;

function onGrid(window: Window, { offset, interval }: { offset: number; interval: number }, start: number): boolean {
  if (window.origin.kind === 'opening') return (start - window.start) % (interval * MINUTE) === 0;
  return (zoneNamed(window.zone).localOf(start).minutes - offset) % interval === 0;
}

/** The sentence of the specification, word for word. */
function isFree(input: StartsInput, start: number): boolean {
  const { parameters: layout } = input;
  const visit = { start, end: start + layout.duration * MINUTE };
  const padded = { start: visit.start - layout.before * MINUTE, end: visit.end + layout.after * MINUTE };
  if (start < input.earliest || start >= input.latest) return false;
  if (input.blocks.some((block) => meet(block, layout.strictBuffers ? padded : visit))) return false;
  return input.windows.some((window) => {
    const inside = layout.strictBuffers ? padded : visit;
    if (inside.start < window.start || inside.end > window.end || !onGrid(window, layout, start)) return false;
    if (window.breaks.some((each) => meet(each, layout.bufferIntoBreak ? visit : padded))) return false;
    const capacity = window.capacity ?? layout.capacity;
    return input.actors.every((actor) => {
      const others = input.taken.filter((each) => each.actor === actor && meet(each, padded));
      const lanes = Array.from({ length: capacity }, (_, i) => i + 1);
      return lanes.some((lane) =>
        others.every((each) => each.lane !== 0 && each.lane !== lane && lane <= each.capacity && each.lane <= capacity),
      );
    });
  });
}

export const anyInput = fc
  .record({
    windows: fc.array(anyWindow, { maxLength: 3 }),
    blocks: fc.array(span(5), { maxLength: 2 }),
    taken: fc.array(anyTaken, { maxLength: 10 }),
    actors: fc.subarray(['a', 'b']),
    parameters: anyParameters,
    earliest: fc.constantFrom(-Infinity, BEGIN + HOUR),
    latest: fc.constantFrom(Infinity, BEGIN + 7 * HOUR),
  })
  .map((given) => {
    const blocks = given.blocks.map(({ start, end }) => ({ start, end: Math.min(end, start + 30 * MINUTE) }));
    const input: StartsInput = { ...given, blocks, from: BEGIN, to: BEGIN + LENGTH };
    return { input, byDefinition: (start: number) => isFree(input, start) };
  });
