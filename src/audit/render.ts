/** A row as a FHIR AuditEvent. @see https://profiles.ihe.net/ITI/BALP/content.html */
import type { AuditEvent, AuditEventAgent, AuditEventEntity, Coding } from '@medplum/fhirtypes';
import type { ContentCodec } from '../fhir/store/content.ts';
import type { Keys } from '../platform/keys.ts';
import { codesOf, SYSTEMS } from './kinds.ts';
import type { AuditRow } from './row.ts';
import { QUERY } from './rows.ts';

/** What the view gives as content, in its order. */
const CONTENT = [
  'recorded',
  'kind',
  'outcome',
  'actor',
  'person',
  'account',
  'roles',
  'client',
  'address',
  'about',
  'entities',
  'detail',
  'request',
  'query',
] as const satisfies readonly (keyof AuditRow)[];

/** `about`: the patient, where there is one. */
type Stored = Pick<AuditRow, 'id' | Exclude<(typeof CONTENT)[number], 'about'>> & {
  readonly about?: string | undefined;
};

export function parseStored(id: string, stored: string): Stored {
  const values = JSON.parse(stored) as readonly unknown[];
  const entries = CONTENT.map((name, i) => [name, values[i] ?? undefined] as const);
  return { id, ...Object.fromEntries(entries) } as unknown as Stored;
}

const SOURCE: Coding = { system: SYSTEMS.dicom, code: '110153', display: 'Source Role ID' };
const DESTINATION: Coding = { system: SYSTEMS.dicom, code: '110152', display: 'Destination Role ID' };
const SERVER = { identifier: { system: SYSTEMS.server, value: 'kairos' }, display: 'Kairos' };

const OUTCOMES: Readonly<Record<number, string>> = {
  4: 'Refused, or not to be done as it was asked.',
  8: 'Failed at the server.',
};

function agentsOf(row: Stored): AuditEventAgent[] {
  const { client, actor, address, account, person, roles } = row;
  // What is read flows from the server to the client.
  const reads = codesOf(row.kind).action === 'R';
  const hasUser = account !== undefined || person !== undefined;
  const name = client ?? actor ?? 'unknown';
  const agents: AuditEventAgent[] = [
    {
      type: { coding: [reads ? DESTINATION : SOURCE] },
      who:
        client === undefined
          ? { display: name }
          : { identifier: { system: SYSTEMS.client, value: client }, display: client },
      name,
      requestor: !hasUser,
      ...(address === undefined ? {} : { network: { address, type: '2' } }),
    },
    {
      type: { coding: [reads ? SOURCE : DESTINATION] },
      who: SERVER,
      name: 'Kairos',
      requestor: false,
      network: { address: 'kairos', type: '1' },
    },
  ];
  if (!hasUser) return agents;
  const isRead = reads || codesOf(row.kind).action === 'E';
  agents.push({
    type: { coding: [{ system: SYSTEMS.participation, code: isRead ? 'IRCP' : 'AUT' }] },
    ...(roles ? { role: roles.map((code) => ({ coding: [{ system: SYSTEMS.accountRole, code }] })) } : {}),
    who: {
      ...(person === undefined ? {} : { reference: person }),
      ...(account === undefined ? {} : { identifier: { system: SYSTEMS.account, value: account } }),
    },
    ...(account === undefined ? {} : { altId: account }),
    requestor: true,
  });
  return agents;
}

function entitiesOf(row: Stored, keys: Pick<Keys, 'open'>): AuditEventEntity[] {
  const person: Coding = { system: SYSTEMS.entityType, code: '1', display: 'Person' };
  const object: Coding = { system: SYSTEMS.entityType, code: '2', display: 'System Object' };
  const role = (code: string, display: string): Coding => ({ system: SYSTEMS.role, code, display });
  return [
    ...(row.about === undefined ? [] : [{ what: { reference: row.about }, type: person, role: role('1', 'Patient') }]),
    ...(row.entities ?? [])
      .filter((reference) => reference !== row.about)
      .map((reference) => ({ what: { reference }, type: object, role: role('4', 'Domain Resource') })),
    ...(row.query === undefined
      ? []
      : [
          {
            type: object,
            role: role('24', 'Query'),
            query: Buffer.from(keys.open(QUERY, row.id, row.query)).toString('base64'),
          },
        ]),
    ...(row.request === undefined
      ? []
      : [
          {
            what: { identifier: { value: row.request } },
            type: { system: SYSTEMS.entity, code: 'XrequestId' },
          },
        ]),
  ];
}

export function renderAuditEvent(row: Stored, keys: Pick<Keys, 'open'>): AuditEvent {
  const { action, type, subtype, detail } = codesOf(row.kind);
  const recorded = new Date(row.recorded).toISOString();
  const more = detail !== undefined && row.detail !== undefined ? [{ system: detail, code: row.detail }] : [];
  const entity = entitiesOf(row, keys);
  return {
    resourceType: 'AuditEvent',
    id: row.id,
    meta: { versionId: '1', lastUpdated: recorded },
    type,
    subtype: [...subtype, ...more],
    action,
    recorded,
    outcome: row.outcome === 0 ? '0' : row.outcome === 4 ? '4' : '8',
    ...(row.outcome === 0 ? {} : { outcomeDesc: OUTCOMES[row.outcome] ?? '' }),
    agent: agentsOf(row),
    source: {
      observer: SERVER,
      type: [{ system: SYSTEMS.source, code: '4', display: 'Application Server' }],
    },
    ...(entity.length > 0 ? { entity } : {}),
  };
}

/** Makes AuditEvents of what their relation holds; all other types are another codec's. @param keys asked when something is read */
export const auditContent = (others: ContentCodec, keys: () => Pick<Keys, 'open'>): ContentCodec => ({
  ...others,
  decode: (type, id, version, stored) =>
    type === 'AuditEvent'
      ? JSON.stringify(renderAuditEvent(parseStored(id, stored), keys()))
      : others.decode(type, id, version, stored),
});
