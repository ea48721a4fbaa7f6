/** Columns of sealed types hold tags, and searches find what they found before. Security.md C7. */
import type { Patient, Resource } from '@medplum/fhirtypes';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isSupported } from '../../src/auth/access/supported.ts';
import { parseScope } from '../../src/auth/smart/scope.ts';
import type { Blind } from '../../src/fhir/search/blind/blind.ts';
import { tableOf } from '../../src/fhir/store/layout.ts';
import { clinic, MRN } from './fixtures.ts';
import { openSearch, type SearchServer } from './support.ts';

const e = encodeURIComponent;
let server: SearchServer;
beforeAll(async () => {
  server = await openSearch();
  await server.put(...clinic);
});
afterAll(() => server.close());

describe('canaries', () => {
  /** One that no column may show, in any spelling. */
  const planted: string[] = [];
  const word = (text: string): string => {
    planted.push(text);
    return text;
  };
  const name = (n: string) => [
    { family: word(`Zyfamily${n}`), given: [word(`Zygiven${n}`)], text: word(`Zytext${n}`) },
  ];
  const identifier = (n: string) => [{ system: word(`http://zysystem${n}.example`), value: word(`ZyID-${n}-4711`) }];
  const telecom = (n: string) => [
    { system: 'phone' as const, value: word(`+4915512345${n.length}${n.charCodeAt(0)}`) },
    { system: 'email' as const, value: word(`zymail${n}@example.org`) },
  ];
  const address = (n: string) => [
    {
      line: [word(`Zystreet${n} 1`)],
      city: word(`Zycity${n}`),
      state: word(`Zystate${n}`),
      postalCode: word(`99${n}99`),
    },
  ];
  const concept = (n: string) => ({
    coding: [{ system: word(`http://zycodes${n}.example`), code: word(`zycode${n}`), display: word(`Zydisplay${n}`) }],
    text: word(`Zyconcept${n}`),
  });
  const logical = (n: string) => ({ identifier: identifier(n)[0], display: word(`Zyshown${n}`) });
  const resources = [
    {
      resourceType: 'Patient',
      name: name('pat'),
      identifier: identifier('pat'),
      telecom: telecom('pat'),
      address: address('pat'),
      birthDate: word('1931-07-19'),
      deceasedDateTime: word('2019-08-17'),
      gender: 'other',
      communication: [{ language: concept('lang') }],
      managingOrganization: logical('org'),
      generalPractitioner: [logical('gp')],
      meta: {
        tag: [{ code: word('zytag') }],
        profile: [word('http://zyprofile.example')],
        source: word('http://zysource.example'),
      },
    },
    {
      resourceType: 'RelatedPerson',
      patient: { reference: 'Patient/p', ...logical('rel') },
      name: name('rel'),
      identifier: identifier('rp'),
      telecom: telecom('rel'),
      address: address('rel'),
      birthDate: word('1932-06-18'),
      relationship: [concept('rel')],
    },
    {
      resourceType: 'Coverage',
      status: 'active',
      beneficiary: { reference: 'Patient/p' },
      payor: [logical('payor')],
      identifier: identifier('cov'),
      dependent: word('zydependent'),
      class: [{ type: concept('class'), value: word('zyclassvalue') }],
      type: concept('cov'),
    },
    {
      resourceType: 'Appointment',
      status: 'booked',
      participant: [{ status: 'accepted', actor: logical('app') }],
      reasonCode: [concept('why')],
      reasonReference: [{ reference: word('Condition/zycondition'), ...logical('cond') }],
      identifier: identifier('app'),
    },
    {
      resourceType: 'Communication',
      status: 'completed',
      subject: logical('com'),
      category: [concept('com')],
      medium: [concept('medium')],
      identifier: identifier('com'),
      partOf: [{ reference: word('Communication/zypart') }],
    },
    { resourceType: 'Communication', id: 'c2', status: 'completed', instantiatesUri: [word('http://zyuri.example/a')] },
    {
      resourceType: 'Encounter',
      status: 'finished',
      class: { code: 'AMB' },
      reasonCode: [concept('enc')],
      type: [concept('enctype')],
      diagnosis: [{ condition: { reference: word('Condition/zydiagnosis') } }],
      hospitalization: { specialArrangement: [concept('special')] },
      length: { value: 4711.25, unit: 'h' },
      location: [{ location: logical('loc'), period: { start: word('2013-03-03') } }],
    },
    {
      resourceType: 'Account',
      status: 'active',
      name: word('Zyaccount'),
      identifier: identifier('acc'),
      owner: { reference: word('Organization/zyowner') },
    },
    {
      resourceType: 'Invoice',
      status: 'issued',
      totalGross: { value: 12345.67, currency: 'USD' },
      identifier: identifier('inv'),
    },
    {
      resourceType: 'ServiceRequest',
      status: 'active',
      intent: 'order',
      subject: { reference: 'Patient/p' },
      code: concept('req'),
      bodySite: [concept('body')],
      identifier: identifier('req'),
      occurrenceDateTime: word('2012-02-02'),
    },
    {
      resourceType: 'Task',
      status: 'ready',
      intent: 'order',
      code: concept('task'),
      identifier: identifier('task'),
      businessStatus: concept('biz'),
    },
    {
      resourceType: 'Consent',
      status: 'active',
      scope: concept('scope'),
      category: [concept('consent')],
      dateTime: word('2011-01-01'),
      identifier: identifier('con'),
      patient: { reference: 'Patient/p' },
    },
    {
      resourceType: 'Subscription',
      status: 'requested',
      criteria: word('Zycriteria?x=1'),
      reason: 'r',
      channel: { type: 'rest-hook', endpoint: word('https://zyhook.example/x') },
      contact: telecom('sub'),
    },
    {
      resourceType: 'Group',
      type: 'person',
      actual: true,
      code: concept('group'),
      identifier: identifier('group'),
      characteristic: [{ code: concept('char'), valueCodeableConcept: concept('val'), exclude: false }],
    },
    { resourceType: 'Basic', code: concept('basic'), identifier: identifier('basic'), created: word('2010-10-10') },
    {
      resourceType: 'ChargeItem',
      status: 'billable',
      subject: { reference: 'Patient/p' },
      code: concept('charge'),
      priceOverride: { value: 7654.32, currency: 'EUR' },
      identifier: identifier('charge'),
      service: [{ reference: word('Observation/zyservice') }],
    },
    {
      resourceType: 'PaymentReconciliation',
      status: 'active',
      disposition: word('Zydisposition'),
      identifier: identifier('pay'),
      created: word('2009-09-09'),
    },
  ] as unknown as Resource[];

  test('names, identifiers, phones, addresses, birth dates and codes are in no search column', async () => {
    planted.push('4711.25', '12345.67', '7654.32');
    await server.put(...resources.map((r, i) => ({ id: `canary-${i}`, ...r }) as Resource));
    const client = new Client(server.database.owner);
    await client.connect();
    let rows = 0;
    let text = '';
    try {
      for (const declaration of server.engine.resources.values()) {
        if (declaration.sealed === false || declaration.storage === 'relation') continue;
        const { rows: found } = await client.query<{ t: string }>(
          `select (to_jsonb(r) - 'content')::text as t from "${tableOf(declaration.type)}" r where id like 'canary-%' or id = 'c2'`,
        );
        rows += found.length;
        for (const { t } of found) text += t.toLowerCase();
      }
    } finally {
      await client.end();
    }
    // Tags are printed with hyphens.
    text += text.replaceAll('-', '');
    expect(rows).toBe(resources.length);
    // A plain column beside shows that what stands there would be seen.
    expect(text).toContain('patient/p');
    const shown: string[] = [];
    for (const canary of planted) {
      const bytes = Buffer.from(canary);
      const spellings = [
        canary,
        canary.toLowerCase(),
        canary.replaceAll('-', ''),
        bytes.toString('hex'),
        Buffer.from(canary.toLowerCase()).toString('hex'),
        bytes.toString('base64').replaceAll('=', ''),
        bytes.toString('base64url'),
      ];
      if (spellings.some((s) => text.includes(s.toLowerCase()))) shown.push(canary);
    }
    expect(shown).toEqual([]);
    expect(planted.length).toBeGreaterThan(150);
  });

  test('equal values of two columns, or of two installations, do not look alike', async () => {
    const { blind } = server.engine;
    const tags = new Set([
      blind.tagger('Patient', 'identifier')('x'),
      blind.tagger('Patient', 'telecom')('x'),
      blind.tagger('Person', 'identifier')('x'),
    ]);
    expect(tags.size).toBe(3);
  });
});

test('what declarations leave plain: all that compartments need, nothing that names a person', () => {
  const { definitions, resources } = server.engine;
  const revealing = ['HumanName', 'Address', 'ContactPoint', 'Identifier', 'Money', 'Quantity'];
  for (const { type, sealed, storage } of resources.values()) {
    if (sealed === false || storage === 'relation') continue;
    const compartments = [...definitions.compartments.values()].flatMap((c) => c.resources[type] ?? []);
    for (const code of compartments.filter((c) => definitions.searchParams(type).has(c)))
      expect(sealed.plain, `${type}.${code}`).toContain(code);
    for (const code of sealed.plain) {
      const param = definitions.searchParams(type).get(code);
      expect(param, `${type}.${code}`).toBeDefined();
      expect(param?.type, `${type}.${code}`).toMatch(/^(?:token|reference|date)$/);
      expect(
        revealing.filter((d) => param?.datatypes.has(d)),
        `${type}.${code}`,
      ).toEqual([]);
      expect(code).not.toMatch(/birth|death|deceased|gender|reason|diagnosis|code$/);
    }
  }
});

describe('hidden references', () => {
  const rows: readonly (readonly [query: string, ids: string])[] = [
    ['Encounter?part-of=e1', 'e2'],
    ['Encounter?part-of:missing=false', 'e2'],
    ['Encounter?part-of.status=finished', 'e2'],
    ['Encounter?part-of.status=planned', ''],
    ['Encounter?part-of.patient.name=anna', 'e2'],
    ['Encounter?part-of.patient.name=bert', ''],
    ['Encounter?_has:Encounter:part-of:status=in-progress', 'e1'],
    ['Encounter?_has:Encounter:part-of:status=planned', ''],
    [`Encounter?part-of.subject:Patient.identifier=${e(`${MRN}|A-1`)}`, 'e2'],
  ];
  test.each(rows)('%s', async (query, ids) => {
    expect(await server.ids(query, { strict: true })).toEqual(ids === '' ? [] : ids.split(' '));
    const { bundle } = await server.ask(`${query}&_summary=count`);
    expect(bundle.total).toBe(ids === '' ? 0 : ids.split(' ').length);
  });
  test('are followed by includes in both directions', async () => {
    expect((await server.ask('Encounter?_id=e2&_include=Encounter:part-of')).included).toEqual(['Encounter/e1']);
    expect((await server.ask('Encounter?_id=e1&_revinclude=Encounter:part-of')).included).toEqual(['Encounter/e2']);
  });
});

describe('when all tags of strings are alike', () => {
  let alike: SearchServer;
  beforeAll(async () => {
    // Each candidate is a false one, unless the resource says otherwise.
    alike = await openSearch(
      {},
      {
        tagsOf: (blind): Blind => ({
          ...blind,
          tagger: (type, column) => {
            const tag = blind.tagger(type, column);
            const isText = /^(?:name|family|given|phonetic|address|address_(?:city|state|country|postalcode))$/.test(
              column,
            );
            return isText ? () => '0'.repeat(32) : tag;
          },
        }),
      },
    );
    await alike.put(...clinic);
  });
  afterAll(() => alike.close());

  test.each([
    'Patient?name=mul',
    'Patient?name=smith,cleo',
    'Patient?family=lena',
    'Patient?name:exact=Smith',
    'Patient?phonetic=Smyth',
    'Patient?address=bos',
    'Patient?name=anna&gender=female',
    'Appointment?patient.name=mul',
    'Appointment?actor:Patient.family=smi',
    'Patient?_has:RelatedPerson:patient:name=x',
    'Organization?_has:Patient:organization:name=smi',
    'Encounter?subject:Patient.family=mull&status=finished',
    'Encounter?subject:Patient._has:Invoice:patient:subject:Patient.name=mul',
    'Patient/anna/Appointment?patient.name=smith',
  ])('%s', async (query) => {
    expect(await alike.ids(query)).toEqual(await server.ids(query));
    const totals = await Promise.all([alike, server].map((s) => s.ask(`${query}&_summary=count`)));
    expect(totals[0]?.bundle.total).toBe(totals[1]?.bundle.total);
    expect(totals[0]?.bundle.total).toBe((await alike.ids(query)).length);
  });
});

describe('limits', () => {
  let small: SearchServer;
  const people = 150;
  beforeAll(async () => {
    small = await openSearch({ candidates: 100 });
    const all: Patient[] = Array.from({ length: people }, (_, i) => ({
      resourceType: 'Patient',
      id: `p${String(i).padStart(3, '0')}`,
      name: [{ family: `Same${i}` }],
      gender: i % 3 === 0 ? 'male' : 'female',
      birthDate: `19${50 + (i % 50)}`,
    }));
    await small.put(...all);
  });
  afterAll(() => small.close());

  test.each([
    ['Patient?_sort=family', 'p000'],
    ['Patient?name:contains=ame&_total=accurate', 'p000'],
    ['Patient?name:contains=nobody', 'p000'],
  ])('%s reads too many', async (query) => {
    const error = await small.refusal(query);
    expect([error.status, error.issues[0]?.code]).toEqual([400, 'too-costly']);
    expect(error.issues[0]?.diagnostics).toContain('100');
    // With another criterion it does not.
    expect((await small.ids(`${query}&gender=male&_count=5`)).length).toBeLessThanOrEqual(5);
  });

  test('what SQL decides is counted, whatever the number', async () => {
    for (const [query, total] of [
      ['Patient?gender=female', 100],
      ['Patient?birthdate=ge1950', people],
      ['Patient?birthdate=lt1975', 75],
      ['Patient?birthdate=sa1950-06-01&birthdate=eb1999-01-01', 144],
      ['Patient?birthdate:missing=false', people],
    ] as const)
      expect((await small.ask(`${query}&_summary=count`)).bundle.total, query).toBe(total);
  });

  test('a page link tells nobody what its last match was sorted by', async () => {
    const { next = '' } = await small.ask('Patient?_sort=family&gender=male&_count=10');
    const cursor = new URL(next).searchParams.get('_cursor') ?? '';
    expect(cursor).not.toBe('');
    expect(
      Buffer.from(cursor.split('.')[0] ?? '', 'base64url')
        .toString()
        .toLowerCase(),
    ).not.toContain('same');
    expect((await small.ask(next)).matches).toHaveLength(10);
  });
});

test('scopes may be narrowed by what SQL decides, and by nothing else', () => {
  const supported = (text: string): boolean => {
    const scope = parseScope(text);
    if (!scope) throw new Error(`${text} is no scope`);
    return isSupported(server.engine, scope);
  };
  for (const text of ['gender=female', 'birthdate=ge1980-01-01', `identifier=${MRN}|A-1`, 'general-practitioner=house'])
    expect(supported(`user/Patient.rs?${text}`), text).toBe(true);
  for (const text of [
    'family=Muller',
    'name:exact=M',
    'name:contains=u',
    'language:text=swiss',
    'death-date=lt2020-05-06T10:00:00Z',
  ])
    expect(supported(`user/Patient.rs?${text}`), text).toBe(false);
});
