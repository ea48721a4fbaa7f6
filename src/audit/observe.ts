/** What was answered over FHIR, as rows: written before the answer leaves. Changes whose record went with them are not recorded again. */
import { grantAll, type Interaction } from '../fhir/access.ts';
import type { ContextEvent } from '../fhir/context.ts';
import type { Engine } from '../fhir/engine.ts';
import type { Exchange, Observer } from '../fhir/http/edge.ts';
import { isResourceId } from '../fhir/resource-id.ts';
import type { Keys } from '../platform/keys.ts';
import type { Kind } from './kinds.ts';
import { isPersonal, patientsIn } from './patients.ts';
import type { AuditRow, Outcome } from './row.ts';
import { Entities, rowsOf, type Happening } from './rows.ts';
import type { AuditWriter } from './writer.ts';

export interface ObserverParts {
  readonly engine: Engine;
  readonly keys: Pick<Keys, 'seal'>;
  readonly writer: Pick<AuditWriter, 'write'>;
}

const READER = grantAll({ kind: 'system', name: 'audit' }).to('read');

const IHE: Readonly<Record<string, Kind>> = { find: 'find', hold: 'hold', book: 'book' };
const CHANGES: ReadonlySet<Interaction> = new Set<Interaction>(['create', 'update', 'patch', 'delete', 'operation']);

const outcomeOf = (status: number): Outcome => (status < 400 ? 0 : status < 500 ? 4 : 8);

/** `Patient/1` of `Patient/1/_history/2`. */
const unversioned = (reference: string): string => reference.split('/', 2).join('/');

const targetOf = (target: string | undefined): readonly string[] =>
  target !== undefined && isResourceId(target.slice(target.indexOf('/') + 1)) ? [target] : [];

/** Kind and detail of what an event tells. */
function codesOf(event: ContextEvent, isAbout: boolean): Pick<Happening, 'kind' | 'detail'> {
  const { interaction, operation } = event;
  if (event.outcome === 'denied') return { kind: 'denied', detail: interaction };
  if (interaction !== 'operation') return { kind: interaction };
  const ihe = isAbout ? IHE[operation ?? ''] : undefined;
  return ihe ? { kind: ihe } : { kind: 'operation', detail: operation };
}

export function createAuditObserver({ engine, keys, writer }: ObserverParts): Observer {
  /** Of resources whose text is not at hand, the patients of their current versions. */
  const lookUp = async (entities: Entities, references: readonly string[]): Promise<void> => {
    await Promise.all(
      references.map(async (reference) => {
        const [type = '', id = ''] = reference.split('/');
        if (type === 'Patient' || !isPersonal(engine, type))
          return entities.put(reference, type === 'Patient' ? [reference] : []);
        const found = await engine.repository.read(type, id, READER);
        entities.put(reference, found?.content === undefined ? [] : patientsIn(engine, type, id, found.content));
      }),
    );
  };

  /** @returns undefined: its record went with the change */
  const entitiesOf = async (event: ContextEvent, recorded: ReadonlySet<string>): Promise<Entities | undefined> => {
    const entities = new Entities();
    if (event.shown) {
      for (const { type, id, content } of event.shown)
        entities.put(`${type}/${id}`, content === undefined ? [] : patientsIn(engine, type, id, content));
      return entities;
    }
    const all = [...new Set((event.resources ?? []).map(unversioned))];
    const left = CHANGES.has(event.interaction) ? all.filter((r) => !recorded.has(r)) : all;
    if (left.length === 0 && all.length > 0) return undefined;
    const patient = left.find((r) => r.startsWith('Patient/'));
    // All that an operation on a patient shows is about them.
    if (event.interaction === 'operation' && patient !== undefined) for (const r of left) entities.put(r, [patient]);
    else await lookUp(entities, left);
    for (const target of targetOf(event.target)) entities.put(target, []);
    return entities;
  };

  const rowsFor = async (exchange: Exchange, event: ContextEvent): Promise<readonly AuditRow[]> => {
    const { principal } = exchange.access;
    if (event.interaction === 'capabilities' && event.outcome === 'success') return [];
    const entities = await entitiesOf(event, principal.origin?.recorded ?? new Set());
    if (!entities) return [];
    const isAbout = [...entities.keys()].some((about) => about !== '');
    const outcome = event.outcome === 'success' ? 0 : exchange.status < 400 ? 4 : outcomeOf(exchange.status);
    return rowsOf(keys, {
      at: engine.clock.now(),
      ...codesOf(event, isAbout),
      outcome,
      by: principal,
      requestId: exchange.requestId,
      address: exchange.address,
      query: event.query,
      entities,
    });
  };

  /** A request of which no handler told anything. */
  const unheard = (exchange: Exchange): readonly AuditRow[] => {
    const { interaction, status, access, target } = exchange;
    const entities = new Entities();
    for (const about of targetOf(target)) entities.put(about, []);
    const denied = status === 401 || status === 403;
    return rowsOf(keys, {
      at: engine.clock.now(),
      ...(denied ? { kind: 'denied', detail: interaction } : { kind: interaction ?? 'other' }),
      outcome: outcomeOf(status),
      by: access.principal,
      requestId: exchange.requestId,
      address: exchange.address,
      entities,
    });
  };

  return async (exchange) => {
    const { events } = exchange;
    const [only] = events;
    const rows =
      only === undefined
        ? unheard(exchange)
        : events.length === 1
          ? await rowsFor(exchange, only)
          : (await Promise.all(events.map((event) => rowsFor(exchange, event)))).flat();
    await writer.write(rows);
  };
}
