/** The regions that scopes reach: which of a type's rows each scope of a token opens for an act, as alternatives of conditions. */
import type { Act } from '../../fhir/access.ts';
import type { Engine } from '../../fhir/engine.ts';
import type { Meaning } from '../../fhir/search/kind.ts';
import { exactConditions, impersonal, membership, type OwnCondition } from '../../fhir/search/own-condition.ts';
import type { ResourceScope } from '../smart/scope.ts';
import {
  BY_PATIENTS,
  DIRECTORY,
  DIRECTORY_ACTS,
  LETTER_OF,
  NAMED,
  NOT_IN_CONTEXT,
  PERSONAL_COMPARTMENTS,
} from './policy.ts';

/** What whoever acts has a right to, before scopes. */
export type Rights =
  | { readonly kind: 'system' }
  /** Sees every row. */
  | { readonly kind: 'workforce' }
  /** Ids of the patients that they may act for. */
  | { readonly kind: 'patients'; readonly patients: readonly string[] };

/** A token, as far as access goes. */
export interface Granted {
  readonly rights: Rights;
  readonly scopes: readonly ResourceScope[];
  /** Id of the patient in context of the launch. */
  readonly patient: string | undefined;
  /** `Patient/1`: the resource of the person, where they let the app know it by the scope `fhirUser`. */
  readonly self: string | undefined;
}

/** All of these hold. */
export interface Alternative {
  readonly conditions: readonly OwnCondition[];
  /** Equal texts mean equal conditions. */
  readonly text: string;
}

/**
 * The person's own resource, if the app may read it. Who may not act for their own record any more may not show it either
 * (whether a RelatedPerson still is one is seen where the token is looked up).
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-identity-data
 */
export function selfOf({ rights, self }: Granted): string | undefined {
  if (self === undefined || rights.kind === 'system') return undefined;
  const [type, id = ''] = self.split('/');
  return rights.kind === 'patients' && type === 'Patient' && !rights.patients.includes(id) ? undefined : self;
}

const EVERY_ROW: Alternative = { conditions: [], text: '' };

/** What anybody may look at, or name. */
export function directory(engine: Engine, meaning: Meaning, type: string, act: Act): Alternative | undefined {
  const entry = act === 'refer' ? (NAMED[type] ?? DIRECTORY[type]) : DIRECTORY[type];
  if (entry === undefined) return undefined;
  if (entry === 'all') return EVERY_ROW;
  if (entry === 'impersonal')
    return { conditions: [impersonal(engine, PERSONAL_COMPARTMENTS, type)], text: 'impersonal' };
  const conditions = exactConditions(engine, meaning, type, entry);
  return conditions && { conditions, text: JSON.stringify(entry) };
}

function ofPatients(
  engine: Engine,
  meaning: Meaning,
  { rights }: Granted,
  patients: readonly string[],
  type: string,
  act: Act,
): readonly Alternative[] {
  const looks = DIRECTORY_ACTS.has(act);
  const found: Alternative[] = [];
  const open = looks ? directory(engine, meaning, type, act) : undefined;
  if (open) found.push(open);
  if (!looks && NOT_IN_CONTEXT.has(type)) return found;
  if (!looks && rights.kind === 'patients' && BY_PATIENTS[type]?.has(act) !== true) return found;
  // What is another's as well is not one patient's to change: nor to be made so.
  const alone = !looks && rights.kind === 'patients' ? patients.map((p) => `Patient/${p}`) : undefined;
  const others = alone && [impersonal(engine, ['Patient'], type, alone)];
  for (const patient of patients) {
    const member = membership(engine, 'Patient', patient, type);
    const text = `Patient/${patient}${alone ? ` of ${alone.join()}` : ''}`;
    if (member) found.push({ conditions: [member, ...(others ?? [])], text });
  }
  return found;
}

/** Whether scopes of the level count for whoever acts: a person's token cannot act as the system, nor the system as a person. */
export const counts = ({ rights }: Granted, { level }: ResourceScope): boolean =>
  (level === 'system') === (rights.kind === 'system');

/** Rows that a scope's level opens. */
function region(
  engine: Engine,
  meaning: Meaning,
  granted: Granted,
  level: ResourceScope['level'],
  type: string,
  act: Act,
): readonly Alternative[] {
  const { rights, patient } = granted;
  if (level === 'patient') {
    const mayAct =
      patient !== undefined &&
      (rights.kind === 'workforce' || (rights.kind === 'patients' && rights.patients.includes(patient)));
    // Without a patient there is nothing: not even the directory, so that a mistake in the launch shows at once.
    return mayAct ? ofPatients(engine, meaning, granted, [patient], type, act) : [];
  }
  if (rights.kind !== 'patients') return [EVERY_ROW];
  return ofPatients(engine, meaning, granted, rights.patients, type, act);
}

const opens = (scope: ResourceScope, type: string, act: Act): boolean => {
  const letter = LETTER_OF[act];
  // What may be referred to follows from who acts, not from the types of the scopes.
  return letter === undefined || ((scope.type === '*' || scope.type === type) && scope.letters.has(letter));
};

/** Alternatives, one of which must hold; none: no row. */
export function alternatives(
  engine: Engine,
  meaning: Meaning,
  granted: Granted,
  type: string,
  act: Act,
): readonly Alternative[] {
  const found = new Map<string, Alternative>();
  for (const scope of granted.scopes) {
    if (!counts(granted, scope) || !opens(scope, type, act)) continue;
    const filtered = act === 'refer' ? [] : exactConditions(engine, meaning, type, scope.filter);
    // A filter that cannot be read opens nothing.
    if (!filtered) continue;
    const query = act === 'refer' || scope.filter.length === 0 ? '' : JSON.stringify(scope.filter);
    for (const { conditions, text } of region(engine, meaning, granted, scope.level, type, act)) {
      const whole = { conditions: [...conditions, ...filtered], text: query === '' ? text : `${text}?${query}` };
      found.set(whole.text, whole);
    }
  }
  const self = act === 'get' ? selfOf(granted) : undefined;
  if (self?.startsWith(`${type}/`) === true) {
    const conditions = exactConditions(engine, meaning, type, [['_id', self.slice(type.length + 1)]]);
    if (conditions) found.set(`self ${self}`, { conditions, text: `self ${self}` });
  }
  // Without conditions the others make no difference.
  const every = found.get('');
  return every ? [every] : [...found.values()];
}
