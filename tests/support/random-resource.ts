/** Random resources along the definitions: mostly valid, often at the edge of an invariant. */
import type { ElementDef } from '../../src/fhir/definitions/model.ts';
import type { Definitions } from '../../src/fhir/definitions/registry.ts';

export type Random = () => number;

/** mulberry32: a small generator from one seed. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const pick = <T>(random: Random, items: readonly [T, ...T[]]): T =>
  items[Math.floor(random() * items.length)] ?? items[0];
const capital = (s: string): string => s.charAt(0).toUpperCase() + s.slice(1);

const moment = (random: Random): string =>
  `20${10 + Math.floor(random() * 3)}-0${1 + Math.floor(random() * 9)}-1${Math.floor(random() * 10)}`;

function primitive(code: string, def: ElementDef, random: Random): unknown {
  switch (code) {
    case 'boolean':
      return random() < 0.5;
    case 'decimal':
      return pick(random, [0, 1, -1, 2.5, 100]);
    case 'integer':
      return pick(random, [-1, 0, 1, 2, 7]);
    case 'unsignedInt':
      return pick(random, [0, 1, 7]);
    case 'positiveInt':
      return pick(random, [1, 2, 7]);
    case 'date':
      return moment(random);
    case 'dateTime':
    case 'instant':
      return `${moment(random)}T0${Math.floor(random() * 10)}:00:00${pick(random, ['Z', '+02:00', '-05:00'])}`;
    case 'time':
      return `0${Math.floor(random() * 10)}:00:00`;
    case 'uri':
    case 'url':
    case 'canonical':
      return pick(random, [
        'http://unitsofmeasure.org',
        'http://hl7.org/fhir/x',
        'urn:oid:1.2.3',
        '#c1',
        '#',
        'something',
        'ombCategory',
      ]);
    case 'oid':
      return 'urn:oid:1.2.3';
    case 'uuid':
      return 'urn:uuid:c757873d-ec9a-4326-a141-556f43239520';
    case 'id':
      return pick(random, ['c1', 'c2', 'a-1']);
    case 'base64Binary':
      return 'aGk=';
    case 'xhtml':
      return '<div xmlns="http://www.w3.org/1999/xhtml">x</div>';
    case 'code':
      return pick(random, [
        'proposed',
        'booked',
        'noshow',
        'cancelled',
        'waitlist',
        'home',
        'transaction',
        'history',
        'searchset',
        'instance',
        'capability',
        'requirements',
        'token',
        'reference',
        'string',
        'Reference',
        'constraint',
        'C',
        'CM',
        'CV',
        'WAKE',
        '1',
        'patient-privacy',
        'mo',
      ]);
    default:
      return def.name === 'reference'
        ? pick(random, ['#c1', '#c2', '#', 'Patient/1', 'http://x.example/Patient/1'])
        : pick(random, ['a', 'B1', 'A.b', 'x y', '*', '3', '#c1', 'Patient', 'Patient.name']);
  }
}

export interface RandomOptions {
  readonly random: Random;
  /** Chance of an optional element. */
  readonly density: number;
  readonly depth: number;
}

const RESOURCES = ['Patient', 'Organization', 'Slot'] as const;

export function randomValue(definitions: Definitions, type: string, options: RandomOptions): Record<string, unknown> {
  const { random, density, depth } = options;
  const value: Record<string, unknown> = definitions.type(type)?.kind === 'resource' ? { resourceType: type } : {};
  const below = { random, density: density * 0.7, depth: depth - 1 };
  for (const def of definitions.elements(type)) {
    if ((depth <= 0 && def.min === 0) || (def.min === 0 && random() > density)) continue;
    const code = def.backbone ?? pick(random, [def.types[0]?.code ?? '', ...def.types.map((t) => t.code)]);
    const name = def.choice ? def.name + capital(code) : def.name;
    const isPrimitive = definitions.type(code)?.kind === 'primitive' || code === 'xhtml';
    const one = (): unknown => {
      if (isPrimitive) return primitive(code, def, random);
      if (code === 'Resource') return randomValue(definitions, pick(random, RESOURCES), { ...below, density: 0.15 });
      return depth <= -3 ? {} : randomValue(definitions, code, below);
    };
    const extension = { extension: [{ url: 'http://x.example/e', valueBoolean: true }] };
    if (def.max > 1) {
      const list = Array.from({ length: 1 + Math.floor(random() * 2.5) }, one);
      value[name] = list;
      if (isPrimitive && random() < 0.1) {
        value[name] = [...list, null];
        value[`_${name}`] = [...list.map(() => null), extension];
      }
    } else if (isPrimitive && random() < 0.08) value[`_${name}`] = extension;
    else value[name] = one();
  }
  return value;
}
