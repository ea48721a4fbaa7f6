/** Time off, Slots, and time that passes. */
import { expireHolds } from '../../../src/scheduling/use/expire-holds.ts';
import { setHoldExpires } from '../../support/contents.ts';
import type { Answer } from '../../http/client.ts';
import { done, params } from '../clinic.ts';
import { partsOf } from '../slots.ts';
import { all, clock, described, HALF_HOUR, iso, type Command, type Context } from './command.ts';
import { occupies, slotStatus, type Visit } from './model.ts';
import { OFFERS, slotOf, VISIT } from './world.ts';

export function block(context: Context): Command {
  const { random, model, world } = context;
  const { schedule } = random.pick(OFFERS);
  const start = random.pick(model.starts as [number]);
  const end = start + random.pick([15, 30, 60]) * 60_000;
  const isNew = random.chance(0.5);
  const body = params({ name: 'start', valueDateTime: iso(start) }, { name: 'end', valueDateTime: iso(end) });
  return {
    text: `staff ${isNew ? 'blocks' : 'unblocks'} ${schedule} from ${clock(start)} to ${clock(end)}`,
    verdicts: ['ok'],
    send: () => world.clinic.staff('POST', `Schedule/${schedule}/$${isNew ? 'block' : 'unblock'}`, body),
    apply: () => {
      if (isNew) model.blocks.push({ schedule, start, end });
      else
        model.blocks.splice(
          0,
          Infinity,
          ...model.blocks.flatMap((b) =>
            b.schedule === schedule
              ? [
                  { ...b, end: Math.min(b.end, start) },
                  { ...b, start: Math.max(b.start, end) },
                ].filter((left) => left.start < left.end)
              : [b],
          ),
        );
      return [];
    },
  };
}

/** A client that works with Slots alone. */
export function slot(context: Context): Command | undefined {
  const { random, model, world } = context;
  const start = random.pick(model.starts as [number]);
  const visits = [...model.visits.values()];
  // Until the job has looked, a Slot says what was.
  const stale = visits.some((v) => v.status === 'pending' && v.hold?.lapsed && v.offer === VISIT);
  if (stale) return undefined;
  const to = random.pick(['busy-tentative', 'free']);
  const now = slotStatus(model, VISIT, start);
  const url = `Slot/${slotOf(start)}`;
  const send = async (): Promise<Answer> => {
    const { meta } = done(await world.clinic.staff('GET', url)).body;
    const ifMatch = { 'If-Match': `W/"${String(meta?.['versionId'])}"` };
    return world.clinic.staff('PATCH', url, [{ op: 'replace', path: '/status', value: to }], ifMatch);
  };
  const text = `staff makes the Slot of ${clock(start)}, which is ${now}, ${to}`;
  if (to === 'busy-tentative') {
    const held: Visit = {
      id: '',
      offer: VISIT,
      start,
      end: start + HALF_HOUR,
      status: 'pending',
      patient: undefined,
      room: undefined,
      replies: all('tentative'),
      hold: { lapsed: false, renewed: false },
      expired: false,
      forced: false,
      slot: start,
      ofSlot: true,
    };
    return {
      text,
      verdicts: [now === 'free' ? 'ok' : now === 'busy-tentative' ? 'conflict' : 'rule'],
      send,
      apply: () => [held],
    };
  }
  if (now === 'free' || now === 'busy-unavailable') return undefined;
  const there = visits.filter((v) => occupies(v) && v.offer === VISIT && v.start < start + HALF_HOUR && start < v.end);
  const holds = there.every((v) => v.status === 'pending' && v.hold !== undefined && v.slot === start);
  return {
    text,
    verdicts: [holds ? 'ok' : 'rule'],
    send,
    apply: () => there.map((v) => ({ ...v, status: 'cancelled' as const })),
  };
}

/** A hold runs out. */
export function lapse(context: Context): Command | undefined {
  const { random, model, world } = context;
  const holds = [...model.visits.values()].filter((v) => v.status === 'pending' && v.hold?.lapsed === false);
  if (holds.length === 0) return undefined;
  // Where several have the time, it matters most.
  const before = holds.find((v) => v.offer.capacity > 1) ?? random.pick(holds as [Visit]);
  const { sql } = world.clinic;
  return {
    text: `time passes: ${described(before)}`,
    verdicts: ['ok'],
    send: async () => {
      const rows = await sql(
        `select scheduling_instant(date_trunc('milliseconds', now() - interval '1 second')) as at`,
      );
      const at = String(rows[0]?.['at']);
      await setHoldExpires(world.clinic.server.kairos, before.id, at);
      await sql('update scheduling_hold set expires = $2::timestamptz where appointment = $1', [before.id, at]);
      await sql('update occupancy set expires = $2::timestamptz where appointment = $1', [before.id, at]);
      return undefined;
    },
    apply: () => [{ ...before, hold: { lapsed: true, renewed: before.hold?.renewed === true } }],
  };
}

export function job({ world, model }: Context): Command {
  const lapsed = [...model.visits.values()].filter((v) => v.status === 'pending' && v.hold?.lapsed);
  return {
    text: `the job ends ${lapsed.length} holds`,
    verdicts: ['ok'],
    send: async () => {
      await expireHolds(partsOf(world.clinic.server.kairos));
      return undefined;
    },
    apply: () => lapsed.map((v) => ({ ...v, status: 'cancelled' as const, expired: true })),
  };
}
