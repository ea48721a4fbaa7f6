/** What a stream is asked to tell of: types, and references that the told must have to do with. */
import { demandNoToken } from '../../fhir/http/challenge.ts';
import { badRequest } from '../../fhir/outcome.ts';
import type { Query } from '../../fhir/search/contract.ts';
import { localReference } from '../../fhir/search/type/reference.ts';

const TYPES = ['Appointment', 'Slot'] as const;
export type EventType = (typeof TYPES)[number];

/** Parameters that take references, and the types that these may have. */
const REFERENCES = {
  schedule: ['Schedule'],
  practitioner: ['Practitioner', 'PractitionerRole'],
  location: ['Location'],
  service: ['HealthcareService'],
  patient: ['Patient'],
} as const;
type ReferenceName = keyof typeof REFERENCES;
const NAMES = Object.keys(REFERENCES) as readonly ReferenceName[];

export interface Filter {
  readonly types: ReadonlySet<EventType>;
  /** The types were asked for by name: all of them must be allowed, not just one. */
  readonly named: boolean;
  /** By parameter; one of the references must be met for each. */
  readonly references: ReadonlyMap<ReferenceName, ReadonlySet<string>>;
  /** Equal keys: the same filter. */
  readonly key: string;
}

/** What something has to do with. */
export interface Ties {
  readonly schedules: ReadonlySet<string>;
  /** Practitioners with their roles, patients, locations. */
  readonly actors: ReadonlySet<string>;
  /** undefined: any. */
  readonly services: ReadonlySet<string> | undefined;
}

interface Limits {
  readonly searchValues: number;
}

const isType = (text: string): text is EventType => TYPES.some((type) => type === text);
const isName = (text: string): text is ReferenceName => NAMES.some((name) => name === text);

const REFERENCE = /^([A-Za-z]+)\/[A-Za-z0-9.-]{1,64}$/;

function parseReferences(name: ReferenceName, values: readonly string[], baseUrl: string): ReadonlySet<string> {
  const types: readonly string[] = REFERENCES[name];
  return new Set(
    values.map((value) => {
      const reference = localReference(value, baseUrl);
      const type = REFERENCE.exec(reference)?.[1];
      if (type !== undefined && types.includes(type)) return reference;
      throw badRequest('value', `Parameter ${name} takes references such as ${types[0]}/123, with commas.`, name);
    }),
  );
}

/** @throws FhirError 400 for what is not known, or badly written; 401 for a token in the address */
export function parseFilter(query: Query, { baseUrl, limits }: { baseUrl: string; limits: Limits }): Filter {
  demandNoToken(query);
  const references = new Map<ReferenceName, ReadonlySet<string>>();
  let types: ReadonlySet<EventType> | undefined;
  for (const [name, text] of query) {
    const known = ['type', ...NAMES].join(', ');
    if (name !== 'type' && !isName(name))
      throw badRequest('not-supported', `There is no parameter ${name.slice(0, 40)} here: there are ${known}.`);
    if (name === 'type' ? types : references.has(name))
      throw badRequest('value', `Give ${name} once, its values with commas between them.`, name);
    const values = text.split(',');
    if (values.length > limits.searchValues)
      throw badRequest('too-costly', `${name} may have ${limits.searchValues} values.`, name);
    if (name !== 'type') references.set(name, parseReferences(name, values, baseUrl));
    else if (values.every(isType)) types = new Set(values);
    else throw badRequest('value', `Parameter type takes ${TYPES.join(' and ')}, with a comma.`, name);
  }
  const sorted = (set: ReadonlySet<string>): string => [...set].sort().join();
  const parts = [...references].map(([name, set]) => `${name}=${sorted(set)}`).sort();
  const wanted = types ?? new Set(TYPES);
  return { types: wanted, named: types !== undefined, references, key: [sorted(wanted), ...parts].join('&') };
}

/** Whether each parameter is met. */
export function meets({ references }: Filter, { schedules, actors, services }: Ties): boolean {
  for (const [name, wanted] of references) {
    const has = name === 'schedule' ? schedules : name === 'service' ? services : actors;
    if (has?.isDisjointFrom(wanted) === true) return false;
  }
  return true;
}
