/** The EHRs that may launch Kairos: those of the configuration, no others. */
import type { EhrSettings } from '../../platform/identity-settings.ts';
import { failure } from '../federation/failure.ts';
import type { Remote } from '../federation/remote.ts';
import type { AuthParts } from '../parts.ts';

/** @param iss as it came with the launch @throws FederationFailure `unknown` */
export function registeredEhr({ settings }: Pick<AuthParts, 'settings'>, iss: string): EhrSettings {
  const wanted = iss.endsWith('/') ? iss.slice(0, -1) : iss;
  const ehr = settings.ehrs.find((e) => e.issuer === wanted);
  if (!ehr) throw failure('unknown');
  return ehr;
}

/** @see https://hl7.org/fhir/smart-app-launch/conformance.html#using-well-known */
export const ehrRemote = (ehr: EhrSettings): Remote => ({
  discovery: `${ehr.issuer}/.well-known/smart-configuration`,
  clientId: ehr.clientId,
  clientSecret: ehr.clientSecret,
});

/** The redirect address to register with the EHR. */
export const ehrRedirect = ({ publicUrl }: Pick<AuthParts, 'publicUrl'>, ehr: EhrSettings): string =>
  `${publicUrl}/launch/callback${ehr.id === undefined ? '' : `/${ehr.id}`}`;
