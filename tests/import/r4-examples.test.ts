/**
 * The published R4 examples through import: what is refused and why, that the rest is found again, and that it reads back as it was sent.
 * @see https://hl7.org/fhir/R4/downloads.html
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { searchValues, type SearchParam } from '../../src/fhir/definitions/registry.ts';
import { parseJson, stringify } from '../../src/fhir/json.ts';
import { search } from '../../src/fhir/search/search.ts';
import { projectFolder } from '../../src/platform/paths.ts';
import { openTestKairos, type TestKairos } from '../support/kairos.ts';
import { importContext, importPaths, type Imported } from './support.ts';

const folder = path.join(projectFolder, '..', 'shared', 'data', 'r4-examples');
const present = existsSync(folder);
if (!present && process.env['CI'] !== undefined) throw new Error(`${folder} is missing: CI must run these tests.`);
if (!present) process.stderr.write(`${folder} is missing: the R4 examples are not imported.\n`);

/** By resource: the targets that are missing (`!`) or were refused themselves. */
const DANGLING = {
  'Account/ewg': 'Coverage/7546D Coverage/9876B1',
  'Account/example': 'Coverage/7546D Organization/hl7',
  'Appointment/example': 'Location/1',
  'Appointment/examplereq': 'Location/1 Slot/example',
  'AppointmentResponse/example': 'Appointment/example',
  'AppointmentResponse/exampleresp': 'Appointment/examplereq',
  'ChargeItem/example': 'Account/example',
  'Communication/example': 'Device/f001!',
  'Communication/fm-attachment': 'Patient/1',
  'Communication/fm-solicited': 'Patient/1',
  'Coverage/7546D': 'Patient/5',
  'Coverage/7547E': 'Patient/5',
  'Coverage/9876B1': 'Patient/4',
  'Coverage/SP1234': 'Patient/5',
  'Encounter/f203': 'Account/example Appointment/example Location/2',
  'Group/example-patientlist': 'Practitioner/123!',
  'HealthcareService/example': 'Endpoint/example! Location/1',
  'Invoice/example': 'Account/example',
  'Location/1': 'Endpoint/example!',
  'Location/2': 'Location/1',
  'Location/3': 'Location/2',
  'Organization/hl7': 'Endpoint/example!',
  'Patient/1': 'Organization/hl7',
  'Patient/10': 'Organization/hl7',
  'Patient/11': 'Organization/hl7',
  'Patient/12': 'Organization/hl7',
  'Patient/2': 'Organization/hl7',
  'Patient/3': 'Organization/hl7',
  'Patient/4': 'Organization/hl7',
  'Patient/5': 'Organization/hl7',
  'Patient/6': 'Organization/hl7',
  'Patient/7': 'Organization/hl7',
  'Patient/8': 'Organization/hl7',
  'Patient/9': 'Organization/hl7',
  'Patient/infant-mom': 'Practitioner/21B!',
  'Patient/mom': 'Organization/hl7',
  'PractitionerRole/example': 'Endpoint/example! HealthcareService/example Location/1',
  'PractitionerRole/example-0': 'Endpoint/example! HealthcareService/example Location/1',
  'Provenance/example': 'Device/software! Location/1',
  'Schedule/example': 'Location/1',
  'ServiceRequest/ambulation': 'Practitioner/3ad0687e-f477-468c-afd5-fcc2bf897809!',
  'ServiceRequest/colon-biopsy': 'Practitioner/3ad0687e-f477-468c-afd5-fcc2bf897809!',
  'ServiceRequest/colonoscopy': 'Practitioner/3ad0687e-f477-468c-afd5-fcc2bf897809!',
  'ServiceRequest/example-implant': 'Practitioner/3ad0687e-f477-468c-afd5-fcc2bf897809!',
  'ServiceRequest/example-pgx': 'Patient/899962! Practitioner/12345!',
  'ServiceRequest/vent': 'Practitioner/3ad0687e-f477-468c-afd5-fcc2bf897809!',
  'Slot/1': 'Schedule/example',
  'Slot/2': 'Schedule/example',
  'Slot/3': 'Schedule/example',
  'Slot/example': 'Schedule/example',
  'Task/fm-example1': 'Organization/example!',
  'Task/fm-example2': 'Organization/example!',
  'Task/fm-example3': 'Organization/example!',
  'Task/fm-example4': 'Organization/example!',
  'Task/fm-example5': 'Organization/example!',
  'Task/fm-example6': 'Organization/example!',
};

type Tree = Record<string, unknown>;

interface Sent {
  readonly key: string;
  readonly text: string;
}

/** Every resource of the examples as it was sent, id and meta aside, with the digits of its decimals. */
function sentResources(): Sent[] {
  const unpack = (tree: Tree): Tree[] =>
    tree['resourceType'] === 'Bundle'
      ? (tree['entry'] as { resource?: Tree }[]).flatMap((e) => (e.resource ? unpack(e.resource) : []))
      : [tree];
  return readdirSync(folder)
    .sort()
    .flatMap((name) => unpack(parseJson(readFileSync(path.join(folder, name)), { maxDepth: 64 }).value as Tree))
    .map((tree) => ({ key: `${String(tree['resourceType'])}/${String(tree['id'])}`, text: bare(tree) }));
}

const bare = (tree: Tree): string => {
  const { id: _id, meta: _meta, ...rest } = tree;
  return stringify(rest);
};

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value.trim() !== '' ? value : undefined;
const escaped = (value: string): string => value.replace(/[\\,$|]/g, (c) => `\\${c}`);

/** A search value that matches the one found in the resource; undefined where that takes more than a line. */
function queryValue(param: SearchParam, value: unknown): string | undefined {
  const object = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  if (param.type === 'token') {
    const coding = (Array.isArray(object['coding']) ? (object['coding'][0] as Tree) : object) as {
      system?: string;
      code?: string;
      value?: string;
    };
    const code = coding.code ?? (param.datatypes.has('ContactPoint') ? undefined : coding.value);
    if (code !== undefined) return `${escaped(coding.system ?? '')}|${escaped(code)}`;
    return typeof value === 'boolean' ? String(value) : text(value);
  }
  if (param.type === 'reference')
    return text(object['reference'])?.startsWith('#') === true ? undefined : text(object['reference']);
  if (param.type === 'string') {
    const found = text(value) ?? text(object['family']) ?? text(object['text']) ?? text(object['city']);
    return found === undefined ? undefined : escaped(found);
  }
  if (param.type === 'date') return text(value) ?? text(object['start']);
  return param.type === 'uri' ? text(value) : undefined;
}

describe.runIf(present)('R4 examples', () => {
  let kairos: TestKairos;
  let strict: Imported;
  let sent: ReadonlyMap<string, Sent>;
  let sentCount = 0;

  beforeAll(async () => {
    kairos = await openTestKairos();
    strict = await importPaths(kairos.engine, folder);
    const all = sentResources();
    sentCount = all.length;
    // The first of two with one id is the one that counts.
    sent = new Map(all.toReversed().map((s) => [s.key, s]));
  }, 120_000);
  afterAll(() => kairos.close());

  it('refuses what the definitions forbid, and says why', () => {
    expect(sentCount).toBe(467);
    const of = (code: string): string[] =>
      strict.refused.filter((r) => r.issues.every((i) => i.code === code)).map((r) => r.key ?? '');
    expect(of('not-supported')).toEqual([
      'AuditEvent/example-disclosure',
      'AuditEvent/example-error',
      'AuditEvent/example',
      'MedicationRequest/3123',
      'Medication/example',
    ]);
    expect(of('duplicate')).toEqual(['Location/2']);
    const dangling = strict.refused
      .filter((r) => r.issues.every((i) => i.code === 'not-found'))
      .map(
        (r) =>
          [
            r.key,
            r.issues.map(
              (i) => (i.diagnostics.split(' ')[0] ?? '') + (i.diagnostics.includes('was refused') ? '' : '!'),
            ),
          ] as const,
      );
    expect(Object.fromEntries(dangling.map(([key, targets]) => [key, [...new Set(targets)].sort().join(' ')]))).toEqual(
      DANGLING,
    );
    expect(strict.refused).toHaveLength(6 + Object.keys(DANGLING).length);
    expect(strict.refused.every((r) => r.issues.every((i) => i.expression?.[0] !== undefined))).toBe(true);
  });

  it('twice changes nothing; without reference validation everything else comes in', async () => {
    const sum = (report: Imported, what: 'created' | 'updated' | 'unchanged' | 'refused'): number =>
      [...report.counts.values()].reduce((n, c) => n + c[what], 0);
    expect([sum(strict, 'created'), sum(strict, 'refused')]).toEqual([405, 62]);
    const again = await importPaths(kairos.engine, folder);
    expect([sum(again, 'created'), sum(again, 'updated'), sum(again, 'unchanged'), sum(again, 'refused')]).toEqual([
      0, 0, 405, 62,
    ]);
    const lenient = await importPaths({ ...kairos.engine, validateReferences: false }, folder);
    expect([
      sum(lenient, 'created'),
      sum(lenient, 'updated'),
      sum(lenient, 'unchanged'),
      sum(lenient, 'refused'),
    ]).toEqual([56, 0, 405, 6]);
  });

  it('every stored resource is found again by a search parameter, and equals what was sent', async () => {
    const { engine } = kairos;
    const ctx = importContext(engine);
    const lost: string[] = [];
    const changed: string[] = [];
    let stored = 0;
    for (const { key, text: expected } of sent.values()) {
      const [type = '', id = ''] = key.split('/');
      if (!engine.resources.get(type)?.interactions.includes('create')) continue;
      stored++;
      const content = (await engine.repository.read(type, id, ctx.access.to('read')))?.content ?? '{}';
      const tree = parseJson(content, { maxDepth: 64 }).value as Tree;
      if (bare(tree) !== expected) changed.push(key);
      let found = false;
      for (const param of engine.definitions.searchParams(type).values()) {
        if (param.code.startsWith('_')) continue;
        const value = searchValues(tree, param)
          .map((v) => queryValue(param, v.value))
          .find((v) => v !== undefined);
        if (value === undefined) continue;
        const { resources } = await search(
          engine,
          ctx,
          { type },
          [
            [param.code, value],
            ['_count', '1000'],
          ],
          { strict: true },
        );
        found = resources.includes(key);
        if (found) break;
      }
      if (!found) lost.push(key);
    }
    expect(stored).toBe(461);
    expect(changed).toEqual([]);
    // Binary has no parameters but those of every resource.
    expect(lost).toEqual(['Binary/example']);
  });
});
