/** Who the patient of a launch is here: found by identifier, or imported. @see docs/ehr.md */
import { createHash } from 'node:crypto';
import type { Patient } from '@medplum/fhirtypes';
import { grantAll } from '../../fhir/access.ts';
import type { RequestContext } from '../../fhir/context.ts';
import type { Engine } from '../../fhir/engine.ts';
import { storeAll } from '../../fhir/interaction/store-all.ts';
import { isLive } from '../../fhir/interaction/version.ts';
import { FhirError } from '../../fhir/outcome.ts';
import { escape } from '../../fhir/search/escape.ts';
import { matchCriteria } from '../../fhir/search/match-criteria.ts';
import { newId } from '../../platform/id.ts';
import type { EhrSettings } from '../../platform/identity-settings.ts';
import { failure } from '../federation/failure.ts';
import { importedPatient, type RemoteIdentifier, type RemotePatient } from './remote-patient.ts';

/** The installation itself looks: what the person may see of the patient is asked when it is shown. */
const contextOf = (engine: Engine): RequestContext => ({
  requestId: newId(),
  access: grantAll({ kind: 'system', name: 'ehr-launch' }),
  clock: engine.clock,
  emit: () => undefined,
  baseUrl: engine.baseUrl,
});

/** The same for the same patient of the same EHR: of two launches at a time one imports. */
const importId = (base: string, remoteId: string): string =>
  `ehr-${createHash('sha256').update(`${base}/Patient/${remoteId}`).digest('hex').slice(0, 40)}`;

const bears = (patient: Patient, wanted: readonly RemoteIdentifier[]): boolean =>
  (patient.identifier ?? []).some(
    (i) => i.use !== 'old' && wanted.some((w) => w.system === i.system && w.value === i.value),
  );

/** Patients here that bear one of the identifiers; at most a few, since two are too many. */
async function bearers(
  engine: Engine,
  ctx: RequestContext,
  wanted: readonly RemoteIdentifier[],
): Promise<readonly Patient[]> {
  const value = wanted.map((w) => `${escape(w.system)}|${escape(w.value)}`).join(',');
  const found = await matchCriteria(engine, ctx, engine.repository, 'Patient', [['identifier', value]], 10);
  return found
    .filter(isLive)
    .map((version) => JSON.parse(version.content) as Patient)
    .filter((patient) => bears(patient, wanted));
}

/** Dates may be as short as a year. */
const agree = (a: string | undefined, b: string | undefined): boolean =>
  a === undefined || b === undefined || a.startsWith(b) || b.startsWith(a);

/**
 * The id here of the patient whom the EHR has open.
 * @throws FederationFailure `no-identifier`, `unknown-patient`, `ambiguous`, `different`, `deleted`, `invalid`
 */
export async function matchPatient(engine: Engine, ehr: EhrSettings, remote: RemotePatient): Promise<string> {
  // Without one we cannot tell whether the patient is here already.
  if (remote.identifiers.length === 0) throw failure('no-identifier');
  const ctx = contextOf(engine);
  const found = await bearers(engine, ctx, remote.identifiers);
  const [match, second] = found;
  if (second) throw failure('ambiguous');
  if (match?.id !== undefined) {
    if (!agree(match.birthDate, remote.birthDate)) throw failure('different');
    return match.id;
  }
  if (ehr.unknownPatient === 'refuse') throw failure('unknown-patient');
  return importPatient(engine, ctx, ehr, remote);
}

async function importPatient(
  engine: Engine,
  ctx: RequestContext,
  ehr: EhrSettings,
  remote: RemotePatient,
): Promise<string> {
  const id = importId(ehr.issuer, remote.id);
  const before = await engine.repository.read('Patient', id, ctx.access.to('read'));
  if (isLive(before)) {
    const there = JSON.parse(before.content) as Patient;
    // Another launch has just imported them; or the identifiers were changed here since, which is a matter for a person.
    if (bears(there, remote.identifiers) && agree(there.birthDate, remote.birthDate)) return id;
    throw failure('different');
  }
  // Whoever deleted the record here meant it.
  if (before) throw failure('deleted');
  const patient = importedPatient(engine, remote, ehr.issuer, id);
  const [outcome] = await storeAll(engine, ctx, [patient], { existing: 'keep' });
  if (outcome instanceof FhirError) throw failure('invalid', outcome);
  return id;
}
