/** How long things of the authorization server live, in seconds. @see docs/smart.md */

const DAY = 86_400;

export const CODE_SECONDS = 60;
/** @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#response-5 */
export const ACCESS_TOKEN_SECONDS = 600;
/** @see https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html#issue-access-token */
export const BACKEND_TOKEN_SECONDS = 300;
export const ID_TOKEN_SECONDS = 600;
export const INTERACTION_SECONDS = 1800;
/** The server's own cookie; the sessions of our pages end sooner. */
export const PROVIDER_SESSION_SECONDS = DAY;

/** `offline_access`, from the first token on. */
export const OFFLINE_SECONDS = 365 * DAY;
/** `offline_access` that nobody used. */
export const REFRESH_IDLE_SECONDS = 90 * DAY;
/** `online_access`: at most as long as a session of our pages. */
export const ONLINE_SECONDS = DAY;
/** Grants must outlive what hangs on them. */
export const GRANT_MARGIN_SECONDS = 3_600;

/** An EHR launch: from our page to the app's authorization request. */
export const LAUNCH_SECONDS = 300;
