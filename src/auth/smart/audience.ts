/** The `aud` of an authorization request: which FHIR server the app means. @see https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code */

/** Whether it names our FHIR base, with or without a slash at its end. */
export const isOurAudience = (aud: string | undefined, fhirBase: string): boolean =>
  aud !== undefined && (aud.endsWith('/') ? aud.slice(0, -1) : aud) === fhirBase;
