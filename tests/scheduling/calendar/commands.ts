/** What is done to the calendar, each as often as it says. */
import { cancel, confirm, reschedule, respond, shift, step, write } from './change.ts';
import type { Command, Context } from './command.ts';
import { block, job, lapse, slot } from './slot.ts';
import { book, release, renew, swap, take } from './take.ts';

/** Each as often as it says. */
export const COMMANDS: readonly (readonly [times: number, (context: Context) => Command | undefined])[] = [
  [8, take],
  [2, release],
  [1, renew],
  [4, book],
  [2, confirm],
  [2, cancel],
  [4, reschedule],
  [5, write],
  [2, shift],
  [2, swap],
  [3, respond],
  [2, step],
  [1, block],
  [2, slot],
  [2, lapse],
  [1, job],
];
