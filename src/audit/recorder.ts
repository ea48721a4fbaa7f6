/** Changes, recorded in their own transaction: the record is there exactly if the change is. */
import type { Principal } from '../fhir/access.ts';
import type { ChangedMany, RecordedChange, Recorder } from '../fhir/store/repository.ts';
import type { Clock } from '../platform/clock.ts';
import type { Keys } from '../platform/keys.ts';
import type { Kind } from './kinds.ts';
import { patientsOf, type Definitions } from './patients.ts';
import { insertRows, type AuditRow } from './row.ts';
import { asked, Entities, rowsOf } from './rows.ts';

export interface RecorderParts {
  /** Asked at the first change: by then everything is joined. */
  readonly engine: () => Definitions & { readonly clock: Clock };
  readonly keys: () => Pick<Keys, 'seal'>;
}

/** Changes that the server makes by itself, of which more than so many at once are one event. */
const ALONE = 20;

/** The operations of IHE Scheduling, whose appointments are audited as theirs. */
const IHE: Readonly<Record<string, Kind>> = { hold: 'hold', book: 'book' };

function kindOf({ kind, type, method, by: { origin } }: RecordedChange): Kind {
  const ihe = type === 'Appointment' ? IHE[origin?.operation ?? ''] : undefined;
  return ihe ?? (method === 'PATCH' ? 'patch' : kind);
}

/** Definitions come with the program. */
const isLoading = ({ by }: RecordedChange): boolean => byItself(by) && by.name === 'definitions';

const byItself = ({ kind, origin }: Principal): boolean => kind === 'system' && origin === undefined;

export function createRecorder(parts: RecorderParts): Recorder {
  const one = (change: RecordedChange, at: number): readonly AuditRow[] => {
    const { type, id, by, before, after } = change;
    const { origin } = by;
    const engine = parts.engine();
    const patients = new Set([before, after].flatMap((r) => (r ? patientsOf(engine, type, id, r) : [])));
    const entities = new Entities();
    entities.put(`${type}/${id}`, [...patients]);
    origin?.recorded.add(`${type}/${id}`);
    const kind = kindOf(change);
    const detail = kind === origin?.operation ? undefined : origin?.operation;
    return rowsOf(parts.keys(), { at, kind, outcome: 0, by, ...asked(origin), detail, entities });
  };

  const rowOfMany = ({ kind, type, count, by }: Omit<ChangedMany, 'kind'> & { readonly kind: Kind }, at: number) =>
    rowsOf(parts.keys(), { at, kind, outcome: 0, by, detail: `${type}-${count}`, entities: new Map() });

  /** Of what the server writes in great numbers, one row a type and kind. */
  const summary = (changes: readonly RecordedChange[], at: number): readonly AuditRow[] =>
    [...Map.groupBy(changes, (c) => `${kindOf(c)} ${c.type}`).values()].flatMap((group) => {
      const [first] = group;
      if (!first) return [];
      return rowOfMany({ kind: kindOf(first), type: first.type, count: group.length, by: first.by }, at);
    });

  const rowsFor = (changes: readonly RecordedChange[]): readonly AuditRow[] => {
    const at = parts.engine().clock.now();
    const of = changes.filter((c) => !isLoading(c));
    const own = of.filter((c) => byItself(c.by));
    if (own.length <= ALONE) return of.flatMap((c) => one(c, at));
    return [...of.filter((c) => !byItself(c.by)).flatMap((c) => one(c, at)), ...summary(own, at)];
  };

  const text = insertRows('$1');
  return {
    statement(changes) {
      const rows = rowsFor(changes);
      return rows.length === 0 ? undefined : { text, values: [JSON.stringify(rows)] };
    },
    prefix: (parameter) => `with recorded as (${insertRows(parameter)}) `,
    many: (changes) => ({ text, values: [JSON.stringify(rowOfMany(changes, parts.engine().clock.now()))] }),
    rows: (changes) => JSON.stringify(rowsFor(changes)),
  };
}
