/** Ids of resources. R4 types Resource.id as a string; its rules stand with the datatype id. @see https://hl7.org/fhir/R4/datatypes.html#id */

const ID = /^[A-Za-z0-9.-]{1,64}$/;

export const RESOURCE_ID_HINT = '1 to 64 letters A-Z and a-z, digits, hyphens and dots, but not dots alone';

/** `.` and `..` are steps within a URL: what bore them could not be read. */
export const isResourceId = (id: string): boolean => ID.test(id) && id !== '.' && id !== '..';
