/**
 * Ids of proposed appointments: what is proposed stands in the id itself, signed, so that nothing is stored until somebody takes it.
 * @see https://profiles.ihe.net/ITI/Scheduling/ITI-115.html
 */
import { createHash, createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import type { Directory, Offer, ScheduleEntry } from './directory.ts';

/** In the 64 characters that an id may have. @see https://hl7.org/fhir/R4/datatypes.html#id */
const encode = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url').replaceAll('_', '.');

/** undefined: it is not the one form of its bytes. The last character has bits that stand for nothing. */
function decode(text: string): Buffer | undefined {
  const bytes = Buffer.from(text.replaceAll('.', '_'), 'base64url');
  return encode(bytes) === text ? bytes : undefined;
}

const NAME_BYTES = 8;
const MAC_BYTES = 12;
const BODY_BYTES = 2 * NAME_BYTES + 6;
/** With a room that was asked for. */
const LONG_BYTES = BODY_BYTES + NAME_BYTES;
/** No id of ours begins so, and none that a client chooses has this length. */
const PREFIX = 'P.';

const names = new Map<string, Buffer>();
function nameOf(text: string): Buffer {
  let known = names.get(text);
  if (!known) {
    if (names.size > 20_000) names.clear();
    names.set(text, (known = createHash('sha256').update(text).digest().subarray(0, NAME_BYTES)));
  }
  return known;
}

const schedules = new WeakMap<Directory, Map<string, ScheduleEntry>>();

/** The Schedules that may be booked, by their names. */
function byName(directory: Directory): Map<string, ScheduleEntry> {
  let known = schedules.get(directory);
  if (!known) {
    known = new Map(directory.entries.map((e) => [nameOf(e.reference).toString('hex'), e]));
    schedules.set(directory, known);
  }
  return known;
}

export interface Proposal {
  readonly offer: Offer;
  readonly start: number;
  /** `Location/1`, where it was asked for. */
  readonly room: string | undefined;
}

export interface Proposals {
  /** At most 64 characters. */
  idOf(offer: Offer, start: number, room?: string): string;
  /** undefined: no id of a proposal, or its Schedule or service is not offered any more. */
  read(directory: Directory, id: string): Proposal | undefined;
  isProposal(id: string): boolean;
}

export function createProposals(secret: Uint8Array): Proposals {
  const key: KeyObject = createSecretKey(secret);
  const sign = (body: Uint8Array): Buffer => createHmac('sha256', key).update(body).digest().subarray(0, MAC_BYTES);
  return {
    idOf({ entry, serviceReference = '' }, start, room) {
      const body = Buffer.allocUnsafe(room === undefined ? BODY_BYTES : LONG_BYTES);
      nameOf(entry.reference).copy(body, 0);
      nameOf(serviceReference).copy(body, NAME_BYTES);
      body.writeUIntBE(start / 1000, 2 * NAME_BYTES, 6);
      if (room !== undefined) nameOf(room).copy(body, BODY_BYTES);
      return PREFIX + encode(Buffer.concat([body, sign(body)]));
    },
    isProposal: (id) => id.startsWith(PREFIX),
    read(directory, id) {
      if (!id.startsWith(PREFIX)) return undefined;
      const bytes = decode(id.slice(PREFIX.length));
      const size = (bytes?.length ?? 0) - MAC_BYTES;
      if (!bytes || (size !== BODY_BYTES && size !== LONG_BYTES)) return undefined;
      const body = bytes.subarray(0, size);
      if (!sign(body).equals(bytes.subarray(size))) return undefined;
      const start = body.readUIntBE(2 * NAME_BYTES, 6) * 1000;
      const entry = byName(directory).get(body.toString('hex', 0, NAME_BYTES));
      const offer = entry?.offers.find((o) =>
        nameOf(o.serviceReference ?? '').equals(body.subarray(NAME_BYTES, 2 * NAME_BYTES)),
      );
      const named = size === LONG_BYTES ? body.subarray(BODY_BYTES) : undefined;
      const room = named && directory.rooms.find((r) => nameOf(r).equals(named));
      return offer && (!named || room !== undefined) ? { offer, start, room } : undefined;
    },
  };
}
