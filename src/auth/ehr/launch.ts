/**
 * An EHR launches Kairos: from `iss` and `launch` to the patient here. We are the app here; what the EHR must grant is told by its
 * configuration. @see https://hl7.org/fhir/smart-app-launch/app-launch.html#launch-app-ehr-launch
 */
import { isResourceId } from '../../fhir/resource-id.ts';
import type { EhrSettings } from '../../platform/identity-settings.ts';
import type { Account } from '../accounts/account.ts';
import { beginCode, finishCode, takeCodeFlow, type Proven } from '../federation/code-flow.ts';
import { failure } from '../federation/failure.ts';
import { ehrIssuer, type Identity } from '../federation/link.ts';
import type { FederationParts } from '../federation/parts.ts';
import {
  ehrFetch,
  giveBack,
  notePatient,
  tokensOf,
  type EhrConnection,
  type EhrContext,
  type EhrTokens,
} from './connection.ts';
import { matchPatient } from './match.ts';
import { ehrRedirect, ehrRemote, registeredEhr } from './registered.ts';
import { readRemotePatient } from './remote-patient.ts';

/** Handles are opaque; what no URL parameter needs is refused. */
const HANDLE = /^[\x20-\x7e]{1,2048}$/;

/** What an EHR has granted, before it belongs to a session. */
export interface Launched {
  /** FHIR base. */
  readonly ehr: string;
  readonly tokens: EhrTokens;
  readonly context: EhrContext;
}

/** @throws FederationFailure `unknown` before anything is fetched; `unreachable`, `unsafe` */
export async function beginLaunch(
  parts: FederationParts,
  iss: string | undefined,
  launch: string | undefined,
  cookieHeader: string | undefined,
): Promise<{ readonly url: string; readonly cookies: readonly string[] }> {
  if (iss === undefined || launch === undefined || !HANDLE.test(launch)) throw failure('unknown');
  const ehr = registeredEhr(parts, iss);
  return beginCode(parts, {
    kind: 'launch',
    configuration: await parts.remotes.configurationOf(ehrRemote(ehr)),
    redirectUri: ehrRedirect(parts, ehr),
    scope: ehr.scope,
    parameters: { aud: ehr.issuer, launch },
    own: ehr.issuer,
    cookieHeader,
  });
}

/** undefined: the EHR has no patient open. */
function contextOf(response: Readonly<Record<string, unknown>>): EhrContext | undefined {
  const { patient, encounter } = response;
  if (typeof patient !== 'string' || !isResourceId(patient)) return undefined;
  return {
    remotePatient: patient,
    remoteEncounter: typeof encounter === 'string' && isResourceId(encounter) ? encounter : undefined,
  };
}

/** @returns undefined when no EHR comes back to this address */
export const ehrOfCallback = (parts: FederationParts, id: string | undefined): EhrSettings | undefined =>
  parts.settings.ehrs.find((e) => e.id === id);

/** @throws FederationFailure */
export async function finishLaunch(
  parts: FederationParts,
  ehr: EhrSettings,
  answer: URL,
  cookieHeader: string | undefined,
): Promise<{
  readonly state: string;
  readonly proven: Proven;
  readonly identity: Identity;
  readonly launched: Launched;
}> {
  const returned = await takeCodeFlow(parts, 'launch', answer, cookieHeader);
  if (returned.own !== ehr.issuer) throw failure('flow');
  const configuration = await parts.remotes.configurationOf(ehrRemote(ehr));
  const { proven, tokens } = await finishCode(configuration, returned, {
    redirectUri: ehrRedirect(parts, ehr),
    answer,
    mfaAcr: ehr.mfaAcr,
  });
  const launched = { ehr: ehr.issuer, tokens: tokensOf(parts, tokens) };
  const context = contextOf(tokens);
  if (!context) {
    await giveBack(parts, launched.ehr, launched.tokens);
    throw failure('no-patient');
  }
  return {
    state: returned.state,
    proven,
    identity: { issuer: ehrIssuer(ehr.issuer, proven.issuer), subject: proven.subject },
    launched: { ...launched, context },
  };
}

/** Launches bring people who work here. @throws FederationFailure `role` */
export function demandWorksHere({ roles }: Pick<Account, 'roles'>): void {
  if (!roles.some((r) => r === 'staff' || r === 'physician' || r === 'admin')) throw failure('role');
}

/** The id here of the patient that a connection was opened on: read there, matched here, once. @throws FederationFailure */
export async function arrive(parts: FederationParts, connection: EhrConnection): Promise<string> {
  const { patient, remotePatient } = connection.context;
  if (patient !== undefined) return patient;
  const ehr = registeredEhr(parts, connection.issuer);
  const response = await ehrFetch(parts, connection, `Patient/${remotePatient}`);
  if (response.status !== 200) {
    await response.body?.cancel();
    throw failure(response.status >= 500 ? 'unreachable' : 'no-patient');
  }
  const text = await response.text().catch((error: unknown) => {
    throw failure('unreachable', error);
  });
  const remote = readRemotePatient(parts.engine, text, remotePatient, ehr.identifierSystems);
  const found = await matchPatient(parts.engine, ehr, remote);
  await notePatient(parts, connection, found);
  return found;
}
