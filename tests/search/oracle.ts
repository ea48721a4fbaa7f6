/**
 * Search as the specification tells it, on resources in memory: no index, no column, nothing of the server's own matching.
 * @see https://hl7.org/fhir/R4/search.html
 */
import type {
  Appointment,
  Coding,
  Encounter,
  HumanName,
  Identifier,
  Invoice,
  Patient,
  Period,
  Reference,
  Resource,
  Slot,
} from '@medplum/fhirtypes';

export type Kind = 'string' | 'token' | 'date' | 'reference' | 'quantity';

/** A token as it stands in a resource; `fold`: case does not matter. */
export interface Token {
  readonly system?: string | undefined;
  readonly code?: string | undefined;
  readonly text?: readonly (string | undefined)[];
  readonly fold?: boolean;
}
export interface Quantity {
  readonly value?: number | undefined;
  readonly system?: string | undefined;
  readonly code?: string | undefined;
  readonly unit?: string | undefined;
}
/** Milliseconds; the end is not part of it. */
export interface Interval {
  readonly from: number;
  readonly to: number;
}

export interface Values {
  readonly kind: Kind;
  /** undefined: the element is missing. */
  readonly all: readonly unknown[] | undefined;
}

const some = <T>(list: readonly T[] | undefined): readonly T[] | undefined =>
  list && list.length > 0 ? list : undefined;

/** Width of what a date or time leaves unsaid, by its length. */
export function interval(text: string): Interval {
  const [, y = '', mo, d, h, mi, s, f, zone] =
    /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?$/.exec(text) ?? [];
  const at = (year: number, month: number, day: number): number => Date.UTC(year, month - 1, day);
  if (mo === undefined) return { from: at(+y, 1, 1), to: at(+y + 1, 1, 1) };
  if (d === undefined) return { from: at(+y, +mo, 1), to: at(+y, +mo + 1, 1) };
  if (h === undefined) return { from: at(+y, +mo, +d), to: at(+y, +mo, +d + 1) };
  const sign = zone?.startsWith('-') ? 1 : -1;
  const offset = zone && zone !== 'Z' ? sign * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4))) * 60_000 : 0;
  const from =
    at(+y, +mo, +d) +
    (+h * 60 + Number(mi)) * 60_000 +
    Number(s ?? 0) * 1000 +
    Number((f ?? '0').padEnd(3, '0')) +
    offset;
  return { from, to: from + (s === undefined ? 60_000 : f === undefined ? 1000 : 10 ** (3 - f.length)) };
}

const period = (p: Period | undefined): Interval[] | undefined =>
  p?.start === undefined && p?.end === undefined
    ? undefined
    : [
        {
          from: p.start === undefined ? -Infinity : interval(p.start).from,
          to: p.end === undefined ? Infinity : interval(p.end).to,
        },
      ];

const point = (instant: string | undefined): Interval[] | undefined =>
  instant === undefined ? undefined : [{ from: Date.parse(instant), to: Date.parse(instant) }];
const code = (c: string | undefined, system: string): Token[] | undefined =>
  c === undefined ? undefined : [{ code: c, system }];
const coding = (c: Coding): Token => ({ system: c.system, code: c.code, text: [c.display], fold: true });
const identifier = (i: Identifier): Token => ({ system: i.system, code: i.value, text: [i.type?.text] });
const names = (n: HumanName): string[] =>
  [n.family, ...(n.given ?? []), n.text, ...(n.prefix ?? []), ...(n.suffix ?? [])].filter((t) => t !== undefined);

const STATUS = 'http://hl7.org/fhir/';

function patient(p: Patient, name: string): Values | undefined {
  switch (name) {
    case 'name':
      return { kind: 'string', all: some(p.name)?.flatMap(names) };
    case 'family':
      return { kind: 'string', all: some((p.name ?? []).flatMap((n) => n.family ?? [])) };
    case 'given':
      return { kind: 'string', all: some((p.name ?? []).flatMap((n) => n.given ?? [])) };
    case 'gender':
      return { kind: 'token', all: code(p.gender, `${STATUS}administrative-gender`) };
    case 'active':
      return {
        kind: 'token',
        all:
          p.active === undefined
            ? undefined
            : [{ code: String(p.active), system: 'http://terminology.hl7.org/CodeSystem/special-values' }],
      };
    case 'identifier':
      return { kind: 'token', all: some(p.identifier)?.map(identifier) };
    case 'birthdate':
      return { kind: 'date', all: p.birthDate === undefined ? undefined : [interval(p.birthDate)] };
    case 'death-date':
      return { kind: 'date', all: p.deceasedDateTime === undefined ? undefined : [interval(p.deceasedDateTime)] };
    case 'general-practitioner':
      return { kind: 'reference', all: some(p.generalPractitioner) };
    case 'organization':
      return { kind: 'reference', all: p.managingOrganization && [p.managingOrganization] };
    default:
      return undefined;
  }
}

function appointment(a: Appointment, name: string): Values | undefined {
  const actors = some(a.participant.flatMap((p) => p.actor ?? []));
  const of = (type: string): readonly Reference[] | undefined =>
    some(actors?.filter((r) => r.reference?.startsWith(`${type}/`)));
  switch (name) {
    case 'status':
      return { kind: 'token', all: code(a.status, `${STATUS}appointmentstatus`) };
    case 'part-status':
      return {
        kind: 'token',
        all: some(a.participant)?.map((p) => ({ code: p.status, system: `${STATUS}participationstatus` })),
      };
    case 'date':
      return { kind: 'date', all: point(a.start) };
    case 'actor':
      return { kind: 'reference', all: actors };
    case 'patient':
      return { kind: 'reference', all: of('Patient') };
    case 'practitioner':
      return { kind: 'reference', all: of('Practitioner') };
    case 'service-type':
      return {
        kind: 'token',
        all: some(a.serviceType)?.flatMap((c) => [...(c.coding ?? []).map(coding), { text: [c.text] }]),
      };
    default:
      return undefined;
  }
}

function encounter(e: Encounter, name: string): Values | undefined {
  switch (name) {
    case 'date':
      return { kind: 'date', all: period(e.period) };
    case 'class':
      return { kind: 'token', all: [coding(e.class)] };
    case 'subject':
      return { kind: 'reference', all: e.subject && [e.subject] };
    case 'patient':
      return { kind: 'reference', all: e.subject?.reference?.startsWith('Patient/') ? [e.subject] : undefined };
    case 'length':
      return { kind: 'quantity', all: e.length && [e.length] };
    case 'location-period':
      return { kind: 'date', all: some((e.location ?? []).flatMap((l) => period(l.period) ?? [])) };
    default:
      return undefined;
  }
}

function slot(s: Slot, name: string): Values | undefined {
  switch (name) {
    case 'status':
      return { kind: 'token', all: code(s.status, `${STATUS}slotstatus`) };
    case 'start':
      return { kind: 'date', all: point(s.start) };
    case 'end':
      return { kind: 'date', all: point(s.end) };
    case 'schedule':
      return { kind: 'reference', all: [s.schedule] };
    default:
      return undefined;
  }
}

function invoice(i: Invoice, name: string): Values | undefined {
  switch (name) {
    case 'date':
      return { kind: 'date', all: i.date === undefined ? undefined : [interval(i.date)] };
    case 'totalgross':
      return {
        kind: 'quantity',
        all: i.totalGross && [
          { value: i.totalGross.value, system: 'urn:iso:std:iso:4217', code: i.totalGross.currency },
        ],
      };
    case 'subject':
      return { kind: 'reference', all: i.subject && [i.subject] };
    default:
      return undefined;
  }
}

export function valuesOf(resource: Resource, name: string): Values {
  if (name === '_id') return { kind: 'token', all: [{ code: resource.id }] };
  if (name === '_lastUpdated') return { kind: 'date', all: point(resource.meta?.lastUpdated) };
  if (name === '_tag') return { kind: 'token', all: some(resource.meta?.tag)?.map(coding) };
  const found =
    resource.resourceType === 'Patient'
      ? patient(resource, name)
      : resource.resourceType === 'Appointment'
        ? appointment(resource, name)
        : resource.resourceType === 'Encounter'
          ? encounter(resource, name)
          : resource.resourceType === 'Slot'
            ? slot(resource, name)
            : resource.resourceType === 'Invoice'
              ? invoice(resource, name)
              : undefined;
  if (!found) throw new Error(`${resource.resourceType} has no ${name} here`);
  return found;
}

export const plain = (text: string): string =>
  text
    .normalize('NFD')
    .replace(/\p{Mn}/gu, '')
    .replace(/\s+/g, ' ')
    .trim()
    .toLocaleLowerCase('en');

/** The table of prefixes: how the intervals of the search and of the resource must lie to each other. */
function dateMatches(value: string, target: Interval, nowMs: number): boolean {
  const [, prefix = 'eq', text = ''] = /^(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)$/.exec(value) ?? [];
  const search = interval(text);
  const isPoint = target.from === target.to;
  const contains = target.from >= search.from && (isPoint ? target.to < search.to : target.to <= search.to);
  const reachesAbove = isPoint ? target.to >= search.to : target.to > search.to;
  const reachesBelow = target.from < search.from;
  switch (prefix) {
    case 'eq':
      return contains;
    case 'ne':
      return !contains;
    case 'gt':
      return reachesAbove;
    case 'ge':
      return reachesAbove || contains;
    case 'lt':
      return reachesBelow;
    case 'le':
      return reachesBelow || contains;
    case 'sa':
      return target.from >= search.to;
    case 'eb':
      return isPoint ? target.to < search.from : target.to <= search.from;
    default: {
      const gap = Math.abs(nowMs - search.from) / 10;
      return (
        target.from < search.to + gap && (isPoint ? target.to >= search.from - gap : target.to > search.from - gap)
      );
    }
  }
}

function quantityMatches(value: string, q: Quantity): boolean {
  const [amount = '', system, unit] = value.split('|');
  const [, prefix = 'eq', text = ''] = /^(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)$/.exec(amount) ?? [];
  if (q.value === undefined) return false;
  if (system && q.system !== system) return false;
  if (unit && q.code !== unit && !(system === '' && q.unit === unit)) return false;
  const number = Number(text);
  const half = 0.5 * 10 ** -(text.split('.')[1]?.length ?? 0);
  const same = q.value >= number - half && q.value < number + half;
  switch (prefix) {
    case 'eq':
      return same;
    case 'ne':
      return !same;
    case 'gt':
    case 'sa':
      return q.value > number;
    case 'ge':
      return q.value >= number;
    case 'lt':
    case 'eb':
      return q.value < number;
    case 'le':
      return q.value <= number;
    default:
      return Math.abs(q.value - number) <= Math.abs(number) / 10 + 1e-12;
  }
}

function tokenMatches(value: string, t: Token): boolean {
  const same = (a: string | undefined, b: string): boolean =>
    a !== undefined && (t.fold ? a.toLowerCase() === b.toLowerCase() : a === b);
  if (!value.includes('|')) return same(t.code, value);
  const [system = '', wanted = ''] = value.split('|');
  if (system === '') return t.system === undefined && same(t.code, wanted);
  return t.system === system && (wanted === '' || same(t.code, wanted));
}

/** @param text one criterion's value, without OR */
function valueMatches(kind: Kind, modifier: string | undefined, text: string, value: unknown, nowMs: number): boolean {
  switch (kind) {
    case 'string': {
      const target = String(value);
      if (modifier === 'exact') return target === text;
      return modifier === 'contains' ? plain(target).includes(plain(text)) : plain(target).startsWith(plain(text));
    }
    case 'token': {
      const token = value as Token;
      if (modifier === 'text')
        return (token.text ?? []).some((t) => t !== undefined && plain(t).startsWith(plain(text)));
      return tokenMatches(text, token);
    }
    case 'date':
      return dateMatches(text, value as Interval, nowMs);
    case 'reference': {
      const { reference = '', identifier: id } = value as Reference;
      if (modifier === 'identifier') return id !== undefined && tokenMatches(text, identifier(id));
      return text.includes('/') ? reference === text : reference.split('/')[1] === text;
    }
    case 'quantity':
      return quantityMatches(text, value as Quantity);
    default:
      return kind satisfies never;
  }
}

/** Whether a resource meets `name=value`; chains and `_has` look among all resources. */
export function meets(
  resource: Resource,
  name: string,
  value: string,
  all: readonly Resource[],
  nowMs: number,
): boolean {
  const has = /^_has:(\w+):([\w-]+):(.+)$/.exec(name);
  if (has) {
    const [, type, reference = '', rest = ''] = has;
    const self = `${resource.resourceType}/${resource.id}`;
    return all.some(
      (r) =>
        r.resourceType === type &&
        (valuesOf(r, reference).all ?? []).some((v) => (v as Reference).reference === self) &&
        meets(r, rest, value, all, nowMs),
    );
  }
  const chain = /^([\w-]+)(?::(\w+))?\.(.+)$/.exec(name);
  if (chain) {
    const [, reference = '', type, rest = ''] = chain;
    return (valuesOf(resource, reference).all ?? []).some((v) => {
      const target = all.find((r) => `${r.resourceType}/${r.id}` === (v as Reference).reference);
      return (
        target !== undefined &&
        (type === undefined || target.resourceType === type) &&
        meets(target, rest, value, all, nowMs)
      );
    });
  }
  const [parameter = '', modifier] = name.split(':');
  const { kind, all: values } = valuesOf(resource, parameter);
  if (modifier === 'missing') return (values === undefined) === (value === 'true');
  const texts = value.split(',');
  const readAs = modifier === 'not' ? undefined : modifier;
  const found = (values ?? []).some((v) => texts.some((t) => valueMatches(kind, readAs, t, v, nowMs)));
  return modifier === 'not' ? !found : found;
}

/** What a resource is sorted by: the first value of strings as they stand together, the start of times, the least code. */
export function sortValue(resource: Resource, name: string, descending: boolean): string | number | undefined {
  const { kind, all } = valuesOf(resource, name);
  if (all === undefined) return undefined;
  const choose = <T extends string | number>(list: readonly T[]): T | undefined =>
    list.reduce<T | undefined>(
      (best, v) => (best === undefined || (descending ? v > best : v < best) ? v : best),
      undefined,
    );
  switch (kind) {
    case 'string':
      return all.length === 0 ? undefined : all.map((v) => `\x1f${plain(String(v))}`).join('') + '\x1f';
    case 'date':
      return choose(all.map((v) => (v as Interval).from));
    case 'token':
      return choose(
        all.flatMap((v) => ((v as Token).fold ? ((v as Token).code?.toLowerCase() ?? []) : ((v as Token).code ?? []))),
      );
    case 'reference':
      return choose(all.flatMap((v) => (v as Reference).reference ?? []));
    case 'quantity':
      return choose(all.flatMap((v) => (v as Quantity).value ?? []));
    default:
      return kind satisfies never;
  }
}

/** Ids in the order asked for; missing values last, equal ones by id. */
export function sorted(resources: readonly Resource[], keys: readonly string[]): string[] {
  const compare = (a: Resource, b: Resource): number => {
    for (const key of keys) {
      const descending = key.startsWith('-');
      const name = descending ? key.slice(1) : key;
      const left = sortValue(a, name, descending);
      const right = sortValue(b, name, descending);
      if (left === right) continue;
      if (left === undefined) return 1;
      if (right === undefined) return -1;
      return (left < right ? -1 : 1) * (descending ? -1 : 1);
    }
    return (a.id ?? '') < (b.id ?? '') ? -1 : 1;
  };
  return [...resources].sort(compare).map((r) => r.id ?? '');
}
