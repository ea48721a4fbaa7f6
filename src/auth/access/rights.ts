/** The regions that scopes reach: which of a type's rows each scope of a token opens for an act, as alternatives of conditions. */
import type { Act, Veil } from '../../fhir/access.ts';
import type { Engine } from '../../fhir/engine.ts';
import type { Meaning } from '../../fhir/search/kind.ts';
import {
  exactConditions,
  impersonal,
  knownBy,
  membership,
  type OwnCondition,
} from '../../fhir/search/own-condition.ts';
import { elementsVeil, othersVeil } from '../../fhir/store/veil.ts';
import type { ResourceScope } from '../smart/scope.ts';
import { worksHere, type Person, type Rights } from './person.ts';
import {
  DIRECTORY,
  LETTER_OF,
  NAMED,
  NOT_IN_CONTEXT,
  NOT_OWN,
  OPEN_TYPES,
  PERSONS,
  rulesFor,
  SEEN_MONTHS,
  SEEN_STATUSES,
  type PolicyRole,
  type Rule,
} from './policy.ts';

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
  /** Equal texts mean equal conditions, and that as much is shown. */
  readonly text: string;
  /** How its rows are shown; undefined: whole. */
  readonly veil?: Veil;
}

/** What alternatives are made with. */
interface Making {
  readonly engine: Engine;
  readonly meaning: Meaning;
  readonly type: string;
  readonly act: Act;
}

/**
 * The person's own resource, if the app may read it. Who may not act for their own record any more may not show it either
 * (whether a RelatedPerson still is one is seen where the token is looked up).
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-identity-data
 */
export function selfOf({ rights, self }: Granted): string | undefined {
  if (self === undefined || rights.kind === 'system') return undefined;
  const [type, id = ''] = self.split('/');
  return type === 'Patient' && !worksHere(rights) && !rights.patients.includes(id) ? undefined : self;
}

const LOOKS: ReadonlySet<Act> = new Set<Act>(['read', 'get', 'search', 'refer']);
const EVERY_ROW: Alternative = { conditions: [], text: '' };

function byQuery({ engine, meaning, type }: Making, query: readonly (readonly [string, string])[]): Alternative[] {
  const conditions = exactConditions(engine, meaning, type, query);
  return conditions ? [{ conditions, text: JSON.stringify(query) }] : [];
}

/** What anybody may look at, or name. */
export function directory(making: Making): readonly Alternative[] {
  const { engine, type, act } = making;
  const entry = act === 'refer' ? (NAMED[type] ?? DIRECTORY[type]) : DIRECTORY[type];
  if (entry === undefined) return [];
  if (entry === 'all') return [EVERY_ROW];
  if (entry === 'impersonal') return [{ conditions: [impersonal(engine, PERSONS, type)], text: 'impersonal' }];
  return byQuery(making, entry);
}

const veils = new WeakMap<Engine, Map<string, Veil>>();

/** Without other people than these. @param own `Patient/1` */
function withoutOthers(engine: Engine, own: readonly string[]): Veil {
  let known = veils.get(engine);
  if (!known) veils.set(engine, (known = new Map()));
  const key = own.join();
  let veil = known.get(key);
  if (!veil) {
    veil = othersVeil({
      baseUrl: engine.baseUrl,
      own: new Set(own),
      persons: PERSONS,
      open: OPEN_TYPES,
      ownExtensions: 'https://kairos.example/fhir/',
    });
    if (known.size >= 1_000) known.clear();
    known.set(key, veil);
  }
  return veil;
}

/** Rows in the compartments of patients, as they themselves may see them. */
function own({ engine, type }: Making, rights: Person, patients: readonly string[], alone: boolean): Alternative[] {
  if (NOT_OWN.has(type)) return [];
  const names = patients.map((p) => `Patient/${p}`);
  // What is another's as well is not one patient's to change: nor to be made so.
  const others = alone ? [impersonal(engine, ['Patient'], type, names)] : [];
  const of = [...names, ...rights.relatives].join();
  return patients.flatMap((patient) => {
    const member = membership(engine, 'Patient', patient, type);
    if (!member) return [];
    const text = `Patient/${patient} of ${of}${alone ? ' alone' : ''}`;
    return [{ conditions: [member, ...others], text, veil: withoutOthers(engine, [...names, ...rights.relatives]) }];
  });
}

/** Rows that name whom they are. */
function mine(making: Making, { practitioners, schedules }: Person): readonly Alternative[] {
  const [param, named] = making.type === 'Slot' ? ['schedule', schedules] : ['actor', practitioners];
  return named.length === 0 ? [] : byQuery(making, [[param, named.join()]]);
}

/** What an appointment of the practitioners must be like that opens a record. */
export function seenConditions(engine: Engine, meaning: Meaning, practitioners: readonly string[]) {
  const since = new Date(meaning.nowMs);
  since.setUTCMonth(since.getUTCMonth() - SEEN_MONTHS);
  const day = since.toISOString().slice(0, 10);
  const query = [
    ['actor', practitioners.join()],
    ['status', SEEN_STATUSES],
    ['date', `ge${day}`],
  ] as const;
  const conditions = practitioners.length === 0 ? undefined : exactConditions(engine, meaning, 'Appointment', query);
  return conditions && { conditions, text: `seen since ${day} by ${practitioners.join()}` };
}

/** Rows of patients whom they see or have seen, and of those whose chart is open. */
function seen({ engine, meaning, type }: Making, rights: Person): Alternative[] {
  const by = seenConditions(engine, meaning, rights.practitioners);
  const of = by && knownBy(engine, 'Patient', type, { type: 'Appointment', conditions: by.conditions }, rights.seen);
  const charts = rights.charts.flatMap((patient): Alternative[] => {
    const member = membership(engine, 'Patient', patient, type);
    return member ? [{ conditions: [member], text: `chart of Patient/${patient}` }] : [];
  });
  return [...(of ? [{ conditions: [of], text: by.text }] : []), ...charts];
}

/** Rows that a rule of the table opens. */
function rowsOf(making: Making, rights: Person, { where, elements }: Rule, patients: readonly string[]) {
  const found = ((): readonly Alternative[] => {
    switch (where) {
      case 'all':
        return [EVERY_ROW];
      case 'public':
        return directory(making);
      case 'own':
        return own(making, rights, patients, false);
      case 'own alone':
        return own(making, rights, patients, true);
      case 'mine':
        return mine(making, rights);
      case 'seen':
        return seen(making, rights);
      default:
        return where satisfies never;
    }
  })();
  if (!elements) return found;
  return found.map((a) => ({ ...a, text: `${a.text} ${elements.join()}`, veil: elementsVeil(elements) }));
}

/** Whether scopes of the level count for whoever acts: a person's token cannot act as the system, nor the system as a person. */
export const counts = ({ rights }: Granted, { level }: ResourceScope): boolean =>
  (level === 'system') === (rights.kind === 'system');

/** What a role sees of one patient's compartment. */
function inContext(making: Making, rights: Person, patient: string, rule: Rule): readonly Alternative[] {
  const { engine, type, act } = making;
  if (!LOOKS.has(act) && NOT_IN_CONTEXT.has(type)) return [];
  if (rule.where === 'public') return [];
  if (rule.where === 'own' || rule.where === 'own alone')
    return rights.patients.includes(patient) ? rowsOf(making, rights, rule, [patient]) : [];
  const member = NOT_OWN.has(type) ? undefined : membership(engine, 'Patient', patient, type);
  if (!member) return [];
  return rowsOf(making, rights, rule, [patient]).map(({ conditions, text, veil }) => ({
    conditions: [...conditions, member],
    text: `${text} in Patient/${patient}`,
    // The app is for this patient, whoever holds it.
    veil: veil ?? withoutOthers(engine, [`Patient/${patient}`]),
  }));
}

/** Rows that a scope's level opens. */
function region(making: Making, granted: Granted, level: ResourceScope['level']): readonly Alternative[] {
  const { rights, patient } = granted;
  if (rights.kind === 'system') return [EVERY_ROW];
  const rules = rulesFor(rights.roles, making.type, making.act);
  if (level !== 'patient') return rules.flatMap((r) => rowsOf(making, rights, r, rights.patients));
  // Without a patient there is nothing: not even the directory, so that a mistake in the launch shows at once.
  if (patient === undefined || !(worksHere(rights) || rights.patients.includes(patient))) return [];
  return [
    ...(LOOKS.has(making.act) ? directory(making) : []),
    ...rules.flatMap((r) => inContext(making, rights, patient, r)),
  ];
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
  const making: Making = { engine, meaning, type, act };
  for (const scope of granted.scopes) {
    if (!counts(granted, scope) || !opens(scope, type, act)) continue;
    const filtered = act === 'refer' ? [] : exactConditions(engine, meaning, type, scope.filter);
    // A filter that cannot be read opens nothing.
    if (!filtered) continue;
    const query = act === 'refer' || scope.filter.length === 0 ? '' : JSON.stringify(scope.filter);
    for (const each of region(making, granted, scope.level)) {
      // By what is not shown nobody finds out which rows these are.
      if (each.veil && filtered.some((f) => each.veil?.hides(f.param) !== 'none')) continue;
      const whole = {
        ...each,
        conditions: [...each.conditions, ...filtered],
        text: query === '' ? each.text : `${each.text}?${query}`,
      };
      found.set(whole.text, whole);
    }
  }
  const self = act === 'get' ? selfOf(granted) : undefined;
  if (self?.startsWith(`${type}/`) === true) {
    const conditions = exactConditions(engine, meaning, type, [['_id', self.slice(type.length + 1)]]);
    const veil = withoutOthers(engine, [self]);
    if (conditions) found.set(`self ${self}`, { conditions, text: `self ${self}`, veil });
  }
  // Without conditions the others make no difference.
  const every = found.get('');
  return every ? [every] : [...found.values()];
}

/** What nobody needs a token for. */
export const openToAll = (engine: Engine, meaning: Meaning, type: string, act: Act): readonly Alternative[] => {
  const roles: ReadonlySet<PolicyRole> = new Set<PolicyRole>(['anonymous']);
  const ruled = act === 'refer' ? [] : rulesFor(roles, type, act);
  return ruled.length > 0 ? directory({ engine, meaning, type, act }) : [];
};
