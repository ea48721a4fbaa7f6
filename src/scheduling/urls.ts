/** The names of our extensions and codes of scheduling. @see https://hl7.org/fhir/R4/extensibility.html */
const OWN = 'https://kairos.example/fhir';
/** What all our own extensions begin with. */
export const OURS = `${OWN}/StructureDefinition`;
const R5 = 'http://hl7.org/fhir/5.0/StructureDefinition/extension-Appointment';

export const AVAILABILITY = `${OURS}/schedule-availability`;
export const PARAMETERS = `${OURS}/scheduling-parameters`;
export const HOLIDAY = `${OURS}/holiday`;
export const TIMEZONE = 'http://hl7.org/fhir/StructureDefinition/timezone';
export const HOLD_EXPIRES = `${OURS}/hold-expires`;
export const HOLD_RENEWED = `${OURS}/hold-renewed`;
export const HOLD_EXPIRED = `${OURS}/hold-expired`;
export const AWAITING_APPROVAL = `${OURS}/awaiting-approval`;
/** These end when what was held is booked. */
export const OF_HOLDS = [HOLD_EXPIRES, HOLD_RENEWED, HOLD_EXPIRED, AWAITING_APPROVAL];
export const LATE_CANCEL = `${OURS}/late-cancel`;
export const OVERRIDE = `${OURS}/override`;
export const RESCHEDULE_COUNT = `${OURS}/reschedule-count`;
export const PROMISED_TIME = `${OURS}/promised-time`;
export const PREVIOUS_APPOINTMENT = `${R5}.previousAppointment`;
export const REPLACES = `${R5}.replaces`;
export const SLOT_SERVICE = `${OURS}/slot-service`;
export const SLOT_BLOCK = `${OURS}/slot-block`;
export const FOLLOW_UP = `${OURS}/follow-up`;

/** The same for Slots that were blocked in one act. */
export const BLOCK_IDENTIFIER = `${OWN}/identifier/block`;

export const SLOT_ORIGIN = `${OWN}/CodeSystem/slot-origin`;
/** Of the hold that a Slot's status stands for. */
export const SLOT_HOLDER = `${OWN}/CodeSystem/slot-holder`;
export const GENERATED = 'generated';
export const CANCELLATION_REASON = 'http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason';
