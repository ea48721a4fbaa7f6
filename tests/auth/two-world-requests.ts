/** A grammar of requests: everything one may ask of the interface, with values out of what is hidden in either world. @see security.md A1.2 */
import type { Engine } from '../../src/fhir/engine.ts';
import type { Request } from './two-worlds.ts';

const DEFINED =
  /^(?:CodeSystem|CompartmentDefinition|OperationDefinition|SearchParameter|StructureDefinition|ValueSet)$/;
const IDS = [
  'a',
  'b',
  'c',
  'd',
  'e',
  'visit',
  'visit-b',
  'visit-d',
  'together',
  'wish',
  'note',
  'note-b',
  'all',
  'family',
  'cover',
  'cover-b',
  'group',
  'meeting-b',
  'dr',
  'other',
  'loc',
  'hidden-0',
  'hidden-1',
  'free',
  'none',
];
const PATIENTS = ['a', 'b', 'c', 'd', 'e', 'none'];
const WORDS = [
  'Alpha',
  'Beta',
  'Beta0',
  'Gamma',
  'Gamma1',
  'Bob',
  'Greta',
  'male',
  'female',
  'active',
  'cancelled',
  'proposed',
  'waitlist',
  'booked',
  'declined',
  'tentative',
  'completed',
  'in-progress',
  'planned',
  'finished',
  'urn:test:mrn|b-0',
  'urn:test:mrn|b-1',
  'urn:test:mrn|A',
  '555-00',
  '1',
  'true',
  '',
  ',',
  '%00',
  "';--",
  '\\',
];
const DATES = [
  '1951-01-11',
  'lt1960',
  'ge1990',
  '1999',
  'ap1951',
  '2010',
  'gt2026-01-01',
  'le2030',
  '2030-01-08',
  '2030-02',
  'sa2011-01-01',
  'x',
];

export function grammar(engine: Engine, next: () => number): () => Request {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const chance = (share: number): boolean => next() < share;
  const types = [...engine.resources.keys()].filter((t) => !DEFINED.test(t)).sort();
  const busy = [
    'Patient',
    'Appointment',
    'Communication',
    'Coverage',
    'Encounter',
    'Account',
    'Practitioner',
    'Location',
    'Slot',
    'Schedule',
    'Group',
    'Organization',
  ];
  const typeOf = (): string => (chance(0.8) ? pick(busy) : pick(types));
  const paramsOf = (type: string) => [...engine.definitions.searchParams(type).values()];

  const valueOf = (kind: string): string => {
    if (chance(0.05)) return pick(WORDS);
    switch (kind) {
      case 'reference':
        return chance(0.6) ? `Patient/${pick(PATIENTS)}` : chance(0.5) ? pick(IDS) : `${pick(busy)}/${pick(IDS)}`;
      case 'date':
        return pick(DATES);
      default:
        return chance(0.2) ? pick(IDS) : pick(WORDS);
    }
  };
  const criterion = (type: string, depth = 0): string => {
    const params = paramsOf(type);
    if (depth < 3 && chance(0.25)) {
      const source = typeOf();
      const link = pick(paramsOf(source).filter((p) => p.type === 'reference'));
      if (link?.targets.includes(type)) return `_has:${source}:${link.code}:${criterion(source, depth + 1)}`;
    }
    const param = pick(params);
    if (param.type === 'reference' && depth < 3 && chance(0.4)) {
      const target = pick(param.targets.filter((t) => engine.resources.has(t)));
      if (target !== undefined) return `${param.code}:${target}.${criterion(target, depth + 1)}`;
    }
    const modifier = chance(0.2)
      ? pick([':missing', ':not', ':exact', ':contains', ':identifier', ':Patient', ':text'])
      : '';
    return `${param.code}${modifier}=${encodeURIComponent(modifier === ':missing' ? pick(['true', 'false']) : valueOf(param.type))}`;
  };
  const result = (type: string): string =>
    pick([
      `_sort=${pick(['', '-'])}${pick(paramsOf(type)).code}`,
      '_total=accurate',
      '_summary=count',
      `_count=${pick(['0', '1', '2', '50', '-1', 'x'])}`,
      '_include=*',
      '_revinclude=*',
      '_include=*&_include:iterate=*&_revinclude:iterate=*',
      `_revinclude=${pick(busy)}:${pick(paramsOf(typeOf())).code}`,
      '_elements=id,status',
      '_summary=true',
    ]);
  const query = (type: string): string => {
    const parts = Array.from({ length: Math.floor(next() * 3) + 1 }, () => criterion(type));
    while (chance(0.4)) parts.push(result(type));
    return parts.join('&');
  };
  const json = (resource: object, method: string, path: string, headers: Request['headers'] = {}): Request => ({
    method,
    path,
    body: resource,
    headers,
  });
  const message = (): object => ({
    resourceType: 'Communication',
    status: 'completed',
    subject: { reference: `Patient/${chance(0.6) ? 'a' : pick(PATIENTS)}` },
    ...(chance(0.3)
      ? { recipient: [{ reference: `${pick(['Patient', 'Group', 'Practitioner'])}/${pick(IDS)}` }] }
      : {}),
  });
  const wish = (): object => ({
    resourceType: 'Appointment',
    status: 'proposed',
    participant: [{ actor: { reference: `Patient/${chance(0.6) ? 'a' : pick(PATIENTS)}` }, status: 'accepted' }],
    ...(chance(0.3) ? { basedOn: [{ reference: `ServiceRequest/${pick(IDS)}` }] } : {}),
  });

  const write = (): Request => {
    const type = pick(['Communication', 'Appointment', 'Communication', 'Patient', 'Coverage', 'Account']);
    const id = pick(IDS);
    const resource = type === 'Appointment' ? wish() : type === 'Communication' ? message() : { resourceType: type };
    const match: Record<string, string> = chance(0.3) ? { 'If-Match': `W/"${pick(['1', '2', '9'])}"` } : {};
    switch (Math.floor(next() * 8)) {
      case 0:
        return json(resource, 'POST', type);
      case 1:
        return json(resource, 'POST', type, { 'If-None-Exist': query(type) });
      case 2:
        return json({ ...resource, id }, 'PUT', `${type}/${id}`, match);
      case 3:
        return json({ ...resource, id }, 'PUT', `${type}?${criterion(type)}`, match);
      case 4:
        return json(
          [{ op: 'add', path: '/language', value: pick(['de', 'fr', 'x y']) }],
          'PATCH',
          `${type}/${id}`,
          match,
        );
      case 5:
        return json(
          [{ op: pick(['test', 'replace', 'copy']), path: '/status', from: '/language', value: pick(WORDS) }],
          'PATCH',
          chance(0.5) ? `${type}/${id}` : `${type}?${criterion(type)}`,
        );
      case 6:
        return { method: 'DELETE', path: `${type}/${id}`, headers: match };
      default:
        return { method: 'DELETE', path: `${type}?${criterion(type)}` };
    }
  };
  const read = (): Request => {
    const type = typeOf();
    const id = pick(IDS);
    const path = pick([
      `${type}/${id}`,
      `${type}/${id}`,
      `${type}/${id}/_history`,
      `${type}/${id}/_history/${pick(['1', '2', '3', 'x'])}`,
      `${type}/${id}?_summary=true`,
      `${type}/_history?_count=${pick(['1', '5', '100'])}`,
      `_history?_count=20&_since=2020-01-01T00:00:00Z`,
      `Patient/${pick(PATIENTS)}/$everything${chance(0.3) ? `?_type=${typeOf()}` : ''}`,
      `Patient/${pick(PATIENTS)}/${chance(0.4) ? '*' : typeOf()}${chance(0.3) ? `?${criterion(type)}` : ''}`,
      `?_type=${typeOf()},${typeOf()}&_lastUpdated=gt2020`,
      `Appointment/$find?start=2030-01-07&end=2030-01-07&practitioner=Practitioner/${pick(['dr', 'other', 'none'])}`,
    ]);
    const headers: Record<string, string> = chance(0.1) ? { 'If-None-Match': `W/"${pick(['1', '2'])}"` } : {};
    return { method: chance(0.05) ? 'HEAD' : 'GET', path, headers };
  };
  const operation = (): Request => {
    const id = pick(IDS);
    const [path, ...parameter] = pick<readonly [string, ...object[]]>([
      [`Appointment/${id}/$cancel`],
      [`Appointment/${id}/$confirm`],
      [`Appointment/${id}/$check-in`],
      [`Appointment/${id}/$release`],
      [`Appointment/${id}/$reschedule`, { name: 'start', valueDateTime: '2030-01-09T14:00:00Z' }],
      [
        'Appointment/$book',
        { name: 'appointment-reference', valueReference: { reference: `Appointment/${id}` } },
        { name: 'patient-reference', valueReference: { reference: `Patient/${pick(PATIENTS)}` } },
      ],
      [`Schedule/${pick(['dr', 'other'])}/$block`],
      [`Patient/${pick(PATIENTS)}/$chart-link`],
      [`${typeOf()}/${id}/$validate`],
      [
        '$launch',
        { name: 'client', valueString: 'x' },
        { name: 'patient', valueReference: { reference: `Patient/${pick(PATIENTS)}` } },
      ],
    ]);
    return json({ resourceType: 'Parameters', ...(parameter.length > 0 ? { parameter } : {}) }, 'POST', path);
  };
  const bundle = (make: () => Request): Request => {
    const entry = Array.from({ length: Math.floor(next() * 3) + 1 }, () => {
      const { method, path, body, headers } = make();
      return {
        request: {
          method: method === 'HEAD' ? 'GET' : method,
          url: path,
          ...(headers?.['If-None-Exist'] === undefined ? {} : { ifNoneExist: headers['If-None-Exist'] }),
          ...(headers?.['If-Match'] === undefined ? {} : { ifMatch: headers['If-Match'] }),
        },
        ...(body === undefined || Array.isArray(body) ? {} : { resource: body }),
      };
    });
    return json({ resourceType: 'Bundle', type: pick(['batch', 'transaction']), entry }, 'POST', '');
  };
  const search = (): Request => {
    const type = typeOf();
    const asked = query(type);
    return chance(0.1)
      ? {
          method: 'POST',
          path: `${type}/_search`,
          body: asked,
          headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        }
      : { method: 'GET', path: `${type}?${asked}`, headers: chance(0.1) ? { Prefer: 'handling=strict' } : {} };
  };
  const single = (): Request => (chance(0.6) ? search() : chance(0.6) ? read() : write());
  return () => {
    const at = next();
    if (at < 0.5) return search();
    if (at < 0.7) return read();
    if (at < 0.8) return write();
    if (at < 0.86) return operation();
    if (at < 0.92) return bundle(single);
    return { method: 'GET', path: '{next}' };
  };
}
