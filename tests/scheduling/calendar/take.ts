/** Time is taken: booked, held, held on to, let go. */
import type { Answer } from '../../http/client.ts';
import { bundle, done, later, params, referring } from '../clinic.ts';
import {
  all,
  anyVisit,
  changing,
  clock,
  described,
  HALF_HOUR,
  isForeign,
  overrideExtension,
  OWN,
  PEOPLE,
  reasonParameter,
  resourceOf,
  said,
  sender,
  verdictsOf,
  WHO,
  type Command,
  type Context,
  type Who,
} from './command.ts';
import { freeRooms, roomsLeft, type Reply, type Visit } from './model.ts';
import { OFFERS, VISIT } from './world.ts';

type Door = 'proposal' | 'described' | 'post' | 'bundle';

/** A new visit, booked or held. */
export function take(context: Context): Command {
  const { model, random, world } = context;
  const [, group] = OFFERS;
  const offer = random.pick([...OFFERS, group]);
  const who: Who = random.pick(WHO);
  const patient = who === 'staff' ? random.pick(PEOPLE) : who;
  const door: Door = random.pick(['proposal', 'described', 'post', 'bundle']);
  const isOperation = door === 'proposal' || door === 'described';
  const isHold = random.chance(offer === group ? 0.5 : 0.35);
  const reason = who === 'staff' && random.chance(offer === group ? 0.5 : 0.25);
  const early = door !== 'proposal' && offer.capacity === 1 && random.chance(0.2) ? HALF_HOUR / 2 : 0;
  // Groups fill up where there are few times.
  const times = offer === group ? model.starts.slice(0, 2) : model.starts;
  const start = random.pick(times as [number]) + early;
  const waits = !isHold && who !== 'staff' && offer.mode === 'pending';
  const [free] = [...freeRooms(model, offer, start), ...roomsLeft(model, offer, start)];
  const room = isOperation ? (free ?? offer.rooms[0]) : random.pick([...offer.rooms, offer.rooms[0]] as [string]);
  const others: Reply = waits && !isOperation ? 'needs-action' : isHold || waits ? 'tentative' : 'accepted';
  const visit: Visit = {
    id: '',
    offer,
    start,
    end: start + HALF_HOUR,
    status: isHold || waits ? 'pending' : 'booked',
    patient,
    room,
    replies: { patient: isHold ? 'tentative' : 'accepted', others, room: others },
    hold: isHold ? { lapsed: false, renewed: false } : undefined,
    expired: false,
    forced: reason,
    slot: door === 'proposal' && offer === VISIT ? start : undefined,
    ofSlot: false,
  };
  const send = sender(context, who);
  const operation = `Appointment/$${isHold ? 'hold' : 'book'}`;
  const extension = [
    ...(isHold ? [{ url: `${OWN}/hold-expires`, valueInstant: later(new Date().toISOString(), 5) }] : []),
    ...(reason ? [overrideExtension] : []),
  ];
  const posted = (): object => resourceOf(visit, visit.status, extension.length > 0 ? { extension } : {});
  const { room: _, ...roomless } = visit;
  const doors: Readonly<Record<Door, () => Promise<Answer>>> = {
    proposal: () => {
      const id = world.proposals.get(`${offer.name} ${start}`) ?? '';
      return send(
        'POST',
        operation,
        params(
          referring('appointment-reference', `Appointment/${id}`),
          ...(who === 'staff' ? [referring('patient-reference', `Patient/${patient}`)] : []),
          ...(reason ? [reasonParameter] : []),
        ),
      );
    },
    described: () => {
      const resource = resourceOf({ ...roomless, room: undefined }, 'proposed');
      const parameter = { name: 'appointment-resource', resource };
      return send('POST', operation, params(parameter, ...(reason ? [reasonParameter] : [])));
    },
    post: () => send('POST', 'Appointment', posted()),
    bundle: () =>
      send('POST', '', bundle('transaction', { request: { method: 'POST', url: 'Appointment' }, resource: posted() })),
  };
  return {
    text: `${who} ${isHold ? 'holds' : 'books'} by ${door}${reason ? ' with a reason' : ''}: ${offer.name} ${clock(start)} ${room ?? ''} for ${patient}`,
    verdicts: verdictsOf(context, who, undefined, visit, { offeredOnly: isOperation, reason }),
    send: doors[door],
    apply: (answer) => [{ ...visit, id: said(answer) }],
  };
}

export function release(context: Context): Command | undefined {
  const before = anyVisit(context, 'pending', 'cancelled', 'booked', 'waitlist');
  const who: Who = context.random.pick(WHO);
  if (!before) return undefined;
  const after: Visit = { ...before, status: 'cancelled' };
  const send = (): Promise<Answer> => sender(context, who)('POST', `Appointment/${before.id}/$release`);
  const command = changing(context, who, before, after, 'releases', send);
  if (isForeign(who, before)) return command;
  if (!before.hold) return { ...command, verdicts: ['rule'] };
  return before.status === 'cancelled' ? { ...command, verdicts: ['ok'] } : command;
}

export function renew(context: Context): Command | undefined {
  const before = anyVisit(context, 'pending', 'booked');
  const who: Who = context.random.pick(WHO);
  if (!before) return undefined;
  const after: Visit = { ...before, hold: { lapsed: false, renewed: true } };
  const send = (): Promise<Answer> => sender(context, who)('POST', `Appointment/${before.id}/$hold`);
  const command = changing(context, who, before, after, 'holds on to', send);
  const isHold = before.status === 'pending' && before.hold !== undefined && !before.hold.renewed;
  return isHold || isForeign(who, before) ? command : { ...command, verdicts: ['rule'] };
}

export function book(context: Context): Command | undefined {
  const before = anyVisit(context);
  const who: Who = context.random.pick(WHO);
  if (!before) return undefined;
  const asks = who !== 'staff' && before.offer.mode === 'pending';
  const reply: Reply = asks ? 'tentative' : 'accepted';
  const after: Visit = {
    ...before,
    status: asks ? 'pending' : 'booked',
    replies: { patient: 'accepted', others: reply, room: reply },
    hold: undefined,
    expired: false,
  };
  const send = (): Promise<Answer> => sender(context, who)('POST', `Appointment/${before.id}/$book`);
  const command = changing(context, who, before, before.status === 'booked' ? before : after, 'books', send);
  if (isForeign(who, before) || before.status === 'booked') return command;
  if (['arrived', 'checked-in', 'fulfilled', 'noshow', 'entered-in-error'].includes(before.status))
    return { ...command, verdicts: ['rule'] };
  return who !== 'staff' && before.status === 'pending' && !before.hold ? { ...command, verdicts: ['rule'] } : command;
}

/** One ends and another begins, in one transaction. */
export function swap(context: Context): Command | undefined {
  const { random, model } = context;
  const before = anyVisit(context);
  if (!before) return undefined;
  const offer = random.chance(0.6) ? before.offer : random.pick(OFFERS);
  const start = random.chance(0.5) ? before.start : random.pick(model.starts as [number]);
  const fresh: Visit = {
    ...before,
    id: '',
    offer,
    start,
    end: start + HALF_HOUR,
    status: 'booked',
    patient: random.pick(PEOPLE),
    room: offer.rooms[0],
    replies: all('accepted'),
    hold: undefined,
    expired: false,
    forced: false,
    slot: undefined,
    ofSlot: false,
  };
  const ends: Visit = { ...before, status: 'cancelled' };
  const [end = 'ok'] = verdictsOf(context, 'staff', before, ends);
  const send = async (): Promise<Answer> => {
    const now = done(await context.world.clinic.staff('GET', `Appointment/${before.id}`)).body;
    return sender(context, 'staff')(
      'POST',
      '',
      bundle(
        'transaction',
        { request: { method: 'POST', url: 'Appointment' }, resource: resourceOf(fresh, 'booked') },
        { request: { method: 'PUT', url: `Appointment/${before.id}` }, resource: { ...now, status: 'cancelled' } },
      ),
    );
  };
  return {
    text: `staff books ${offer.name} ${clock(start)} for ${fresh.patient ?? ''} and ends ${described(before)}`,
    verdicts: end === 'ok' ? verdictsOf(context, 'staff', undefined, fresh, { ended: [before] }) : [end],
    send,
    apply: (answer) => [ends, { ...fresh, id: said(answer) }],
  };
}
