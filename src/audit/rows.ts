/** Events as rows: one for each patient that an event is about, or one where it is about none. */
import type { Origin, Principal } from '../fhir/access.ts';
import { newId } from '../platform/id.ts';
import type { Keys } from '../platform/keys.ts';
import type { Kind } from './kinds.ts';
import type { AuditRow, Outcome } from './row.ts';

export const QUERY = 'audit.query';

/** What one event comes to. */
export interface Happening {
  readonly at: number;
  readonly kind: Kind;
  readonly outcome: Outcome;
  readonly by: Principal;
  readonly requestId?: string | undefined;
  readonly address?: string | undefined;
  readonly detail?: string | undefined;
  /** In plain text. */
  readonly query?: string | undefined;
  /** `Type/id` by the patient whom they are about; those of nobody under ''. */
  readonly entities: ReadonlyMap<string, readonly string[]>;
}

/** Resources of nobody in one row: of a search the query says which they were. */
const MOST_ENTITIES = 50;

const orNone = (list: readonly string[]): readonly string[] | undefined => (list.length === 0 ? undefined : list);

export function rowsOf(keys: Pick<Keys, 'seal'>, event: Happening): readonly AuditRow[] {
  const { by, entities } = event;
  const recorded = new Date(event.at).toISOString();
  const { person } = by;
  const row = (about: string | undefined, of: readonly string[]): AuditRow => {
    const id = newId(event.at);
    const patients = new Set(about === undefined ? [] : [about]);
    if (person?.startsWith('Patient/')) patients.add(person);
    for (const entity of of) if (entity.startsWith('Patient/')) patients.add(entity);
    return {
      id,
      recorded,
      kind: event.kind,
      outcome: event.outcome,
      actor: by.kind === 'system' && by.client === undefined ? by.name : undefined,
      person,
      account: by.account,
      roles: by.roles && orNone(by.roles),
      client: by.client,
      address: event.address,
      about: about !== undefined,
      patients: orNone([...patients]),
      entities: orNone(about === undefined ? of : [about, ...of.filter((entity) => entity !== about)]),
      detail: event.detail,
      request: event.requestId,
      query: event.query === undefined || event.query === '' ? undefined : keys.seal(QUERY, id, event.query),
    };
  };
  const personal = [...entities].filter(([about]) => about !== '');
  if (personal.length > 0) return personal.map(([about, of]) => row(about, of));
  return [row(undefined, (entities.get('') ?? []).slice(0, MOST_ENTITIES))];
}

/** Entities by whom they are about. */
export class Entities extends Map<string, string[]> {
  put(entity: string, patients: readonly string[]): void {
    for (const about of patients.length === 0 ? [''] : patients) {
      const list = this.get(about);
      if (!list) this.set(about, [entity]);
      else if (!list.includes(entity)) list.push(entity);
    }
  }
}

/** What a request says of itself. */
export const asked = (origin: Origin | undefined): Pick<Happening, 'requestId' | 'address'> =>
  origin ? { requestId: origin.requestId, address: origin.address } : {};
